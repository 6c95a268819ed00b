//! The order example, from outside: the story it tells, the sums it comes to, and that nothing stops it for long.

pub mod book;
mod cases;
pub mod kill;
#[cfg(feature = "postgres")]
mod postgres;
pub mod program;

use std::{io::Write as _, path::Path};

use book::{Book, HEADER};
use cases::line_number;
use flate2::{Compression, write::GzEncoder};
use program::{Shop, order, summary_of, text, without_time_and_place};

/// Makes a test of each of [`cases`], on the databases that a function opens.
macro_rules! cases_on {
    ($open:path) => {
        crate::order_example::cases_on!($open:
            the_story_is_told_as_it_is_committed
            an_import_comes_to_the_sums_of_its_distinct_lines
            a_second_import_changes_nothing
            the_number_of_workers_changes_nothing
            a_repeated_import_makes_orders_of_their_own
            a_rejected_line_is_reported_and_stays_rejected
            the_real_week_comes_to_its_known_sums
        );
    };
    ($open:path: $($case:ident)+) => {$(
        #[tokio::test]
        async fn $case() {
            crate::order_example::cases::$case($open).await;
        }
    )+};
}
use cases_on;

mod on_files {
    super::cases_on!(crate::order_example::program::Shop::on_file);
}

#[test]
fn a_file_may_be_gzipped_whatever_its_name_says() {
    let (shop, book) = (Shop::new(), Book::of(100, 4));
    let bytes = book.csv.as_bytes();
    let (one, other) = bytes.split_at(bytes.len() / 2);
    // Two members, as `cat a.gz b.gz` makes them.
    let gzipped = [gzip(one), gzip(other)].concat();
    for name in ["week.csv.gz", "week.csv"] {
        let database = format!("sqlite:{name}.db");
        let summary = shop.import(&shop.file(name, &gzipped), &["--database-url", &database]);
        assert_eq!(without_time_and_place(summary), book.summary(1), "{name}");
    }
}

#[test]
fn malformed_rows_are_reported_with_their_line_numbers() {
    let (shop, book) = (Shop::new(), Book::of(400, 6));
    let output = shop.importer(&shop.file("week.csv", &book.csv)).output().unwrap();
    let err = text(&output.stderr);
    let reported: Vec<u64> = err.lines().map(line_number).collect();
    assert_eq!(reported, book.malformed, "{err}");
    assert!((2..=20).contains(&reported.len()), "some, and few enough to be shown one by one");
}

#[test]
fn of_many_malformed_rows_the_first_are_shown_and_the_rest_counted() {
    let shop = Shop::new();
    let file = shop.file("bad.csv", format!("{HEADER}\n{}", "not a row\n".repeat(50)));
    let output = shop.importer(&file).args(["--repeat", "2"]).output().unwrap();
    let err = text(&output.stderr);
    let (last, shown) =
        err.lines().collect::<Vec<_>>().split_last().map(|(last, shown)| ((*last).to_owned(), shown.to_vec())).unwrap();
    assert_eq!(shown.iter().map(|line| line_number(line)).collect::<Vec<_>>(), (2..=21).collect::<Vec<_>>());
    assert_eq!(last, "and 30 more lines");
    assert_eq!(summary_of(&output)["lines_malformed"], 100, "twice as many were read");
}

#[test]
fn piped_output_is_the_summary_alone() {
    let (shop, book) = (Shop::new(), Book::of(50, 7));
    let file = shop.file("week.csv", book.readable());
    let json = shop.importer(&file).output().unwrap();
    assert_eq!(text(&json.stderr), "", "no progress bar where nobody watches");
    let people = order().current_dir(shop.path("")).arg(&file).output().unwrap();
    assert_eq!(text(&people.stderr), "");
    let out = text(&people.stdout);
    assert!(!out.contains(['\u{1b}', '\r']) && out.contains("sqlite:orders.db now holds"), "{out}");
}

#[test]
fn what_cannot_be_used_is_named() {
    let shop = Shop::new();
    let book = Book::of(300, 8).csv;
    let good = shop.file("good.csv", &book);
    let whole = gzip(book.as_bytes());
    let url = |url| [good.to_str().unwrap().to_owned(), "--database-url".to_owned(), url];
    let file = |path: &Path| [path.to_str().unwrap().to_owned(), "--workers".to_owned(), "2".to_owned()];
    let cases = [
        (file(&shop.path("none.csv")), "none.csv: cannot open it: No such file"),
        (file(&shop.path("")), "cannot open it: Is a directory"),
        (file(&shop.file("plain.csv.gz", &book)), "plain.csv.gz: its name ends with .gz, but it is not gzipped"),
        (file(&shop.file("empty.csv", "")), "empty.csv: its first line is \"\"; expected InvoiceNo,"),
        (file(&shop.file("other.csv", "a,b\n1,2\n")), "other.csv: its first line is \"a,b\"; expected InvoiceNo,"),
        (file(&shop.file("cut.csv.gz", &whole[..whole.len() / 2])), "cut.csv.gz: cannot read on after line "),
        (url("mysql://ann:s3cret@db/shop".to_owned()), "\"mysql\" is no database this program knows"),
        (url("orders.db".to_owned()), "a database is named by a URL such as sqlite:orders.db"),
        (
            url("sqlite://ann:s3cret@none/orders.db?key=s3cret".to_owned()),
            "cannot use the database sqlite://ann@none/orders.db",
        ),
        (url(format!("sqlite:{}", good.display())), "good.csv: stored data is damaged"),
    ];
    for (arguments, message) in cases {
        let output = order().current_dir(shop.path("")).args(&arguments).output().unwrap();
        let err = text(&output.stderr);
        let errors: Vec<&str> = err.lines().filter(|line| !line.starts_with("line ")).collect();
        assert!(
            matches!(errors[..], [line] if line.starts_with("error: ") && line.contains(message)),
            "{arguments:?}: {err}"
        );
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}: {err}");
        assert!(!err.contains("s3cret"), "{err}");
        let is_known_at_once = !message.contains("cannot read on");
        assert!(shop.path("orders.db").exists() != is_known_at_once, "{arguments:?} leaves no database behind");
        let _ = std::fs::remove_file(shop.path("orders.db"));
    }
    let misused = order().args(["--workers", "0", "good.csv"]).output().unwrap();
    assert_eq!(misused.status.code(), Some(2));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
