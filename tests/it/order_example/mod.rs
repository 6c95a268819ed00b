//! The order example, from outside: the story it tells, the sums it comes to, and that nothing stops it for long.

mod book;
mod kill;
mod program;

use std::{io::Write as _, path::Path};

use book::{Book, HEADER};
use flate2::{Compression, write::GzEncoder};
use program::{Shop, order, summary_of, text, totals, without_time_and_place};
use serde_json::json;

#[test]
fn the_story_is_told_as_it_is_committed() {
    let told = order().output().unwrap();
    assert!(told.status.success() && told.stderr.is_empty(), "{}", text(&told.stderr));
    let committed = include_str!("../../../examples/order/transcript.txt");
    assert_eq!(
        text(&told.stdout),
        committed,
        "the story has changed; if it was meant to: cargo run --example order > examples/order/transcript.txt"
    );
}

#[test]
fn an_import_comes_to_the_sums_of_its_distinct_lines() {
    let (shop, book) = (Shop::open(), Book::of(500, 1));
    let summary = shop.import(&shop.file("week.csv", &book.csv), &[]);
    assert_eq!(summary["database"], "sqlite:orders.db");
    assert!(summary["elapsed_seconds"].as_f64().unwrap() > 0.0);
    assert!(shop.path("orders.db").is_file(), "where --help says it is");
    let expected = book.summary(1);
    assert_eq!(without_time_and_place(summary), expected);
    for what in ["lines_malformed", "commands_replayed", "sales_orders", "credit_notes", "adjustments"] {
        assert_ne!(expected[what], 0, "the made-up book has some of each: {what}");
    }
    let thirds = ["gross", "credits", "adjusted", "net"].map(|sum| expected[sum].as_str().unwrap().rsplit_once('.'));
    assert!(thirds.iter().any(|sum| sum.unwrap().1.len() == 3), "and prices of three decimals");
}

#[test]
fn a_second_import_changes_nothing() {
    let (shop, book) = (Shop::open(), Book::of(300, 2));
    let file = shop.file("week.csv", &book.csv);
    let first = shop.import(&file, &[]);
    let second = shop.import(&file, &["--workers", "3"]);
    assert_eq!(totals(&first), totals(&second));
    assert_eq!((&second["commands_accepted"], &second["events_recorded"]), (&json!(0), &json!(0)));
    assert_eq!(second["commands_replayed"], json!(book.lines.len()));
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let (shop, book) = (Shop::open(), Book::of(300, 3));
    let file = shop.file("week.csv", &book.csv);
    for workers in ["1", "8"] {
        let database = format!("sqlite:{workers}.db");
        let summary = shop.import(&file, &["--workers", workers, "--database-url", &database]);
        assert_eq!(without_time_and_place(summary), book.summary(1), "{workers} workers");
    }
}

#[test]
fn a_file_may_be_gzipped_whatever_its_name_says() {
    let (shop, book) = (Shop::open(), Book::of(100, 4));
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
fn a_repeated_import_makes_orders_of_their_own() {
    let (shop, book) = (Shop::open(), Book::of(100, 5));
    let file = shop.file("week.csv", &book.csv);
    let thrice = shop.import(&file, &["--repeat", "3"]);
    assert_eq!(without_time_and_place(thrice.clone()), book.summary(3));
    let once = shop.import(&file, &[]);
    assert_eq!((totals(&once), &once["events_recorded"]), (totals(&thrice), &json!(0)), "the first of the three");
}

#[test]
fn malformed_rows_are_reported_with_their_line_numbers() {
    let (shop, book) = (Shop::open(), Book::of(400, 6));
    let output = shop.importer(&shop.file("week.csv", &book.csv)).output().unwrap();
    let err = text(&output.stderr);
    let reported: Vec<u64> = err.lines().map(line_number).collect();
    assert_eq!(reported, book.malformed, "{err}");
    assert!((2..=20).contains(&reported.len()), "some, and few enough to be shown one by one");
}

#[test]
fn of_many_malformed_rows_the_first_are_shown_and_the_rest_counted() {
    let shop = Shop::open();
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
fn a_rejected_line_is_reported_and_stays_rejected() {
    let shop = Shop::open();
    let line = |invoice, price| format!("{invoice},85123A,MUG,1.0,2010-12-01 08:26:00,{price},,France\n");
    let rows = line(1, "0.0000001") + &line(1, "2.55") + &line(2, "9999999999999");
    let file = shop.file("odd.csv", format!("{HEADER}\n{rows}"));
    for (accepted, replayed, rejected) in [(1, 0, 2), (0, 3, 0)] {
        let output = shop.importer(&file).args(["--workers", "1"]).output().unwrap();
        let (summary, err) = (summary_of(&output), text(&output.stderr));
        assert_eq!(summary["commands_accepted"], accepted);
        assert_eq!(summary["commands_replayed"], replayed, "a rejection has a receipt, too");
        assert_eq!(summary["commands_rejected"], rejected);
        assert_eq!((&summary["sales_orders"], &summary["gross"]), (&json!(1), &json!("2.55")));
        let reported: Vec<u64> = err.lines().map(line_number).collect();
        assert_eq!(reported, [2, 4], "{err}");
        assert!(err.contains("rejected: "), "{err}");
    }
}

#[test]
fn piped_output_is_the_summary_alone() {
    let (shop, book) = (Shop::open(), Book::of(50, 7));
    let clean: String =
        book.csv.lines().zip(1..).filter(|(_, n)| !book.malformed.contains(n)).map(|(l, _)| format!("{l}\n")).collect();
    let file = shop.file("week.csv", clean);
    let json = shop.importer(&file).output().unwrap();
    assert_eq!(text(&json.stderr), "", "no progress bar where nobody watches");
    let people = order().current_dir(shop.path("")).arg(&file).output().unwrap();
    assert_eq!(text(&people.stderr), "");
    let out = text(&people.stdout);
    assert!(!out.contains(['\u{1b}', '\r']) && out.contains("sqlite:orders.db now holds"), "{out}");
}

#[test]
fn what_cannot_be_used_is_named() {
    let shop = Shop::open();
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

/// The figures that are known of the first week of the Online Retail data set.
#[test]
fn the_real_week_comes_to_its_known_sums() {
    let Some(file) = std::env::var_os("ANNALS_RETAIL_WEEK") else {
        eprintln!("NOT RUN: ANNALS_RETAIL_WEEK does not name the file");
        return;
    };
    let shop = Shop::open();
    let file = std::path::absolute(file).unwrap();
    let summary = shop.import(&file, &[]);
    for (name, known) in [
        ("lines_read", json!(16_985)),
        ("lines_malformed", json!(0)),
        ("commands_accepted", json!(16_713)),
        ("commands_replayed", json!(272)),
        ("commands_rejected", json!(0)),
        ("events_recorded", json!(16_713 + 757)),
        ("sales_orders", json!(678)),
        ("credit_notes", json!(79)),
        ("adjustments", json!(0)),
        ("gross", json!("338847.47")),
        ("credits", json!("-59110.01")),
        ("adjusted", json!("0.00")),
        ("net", json!("279737.46")),
    ] {
        assert_eq!(summary[name], known, "{name}");
    }
    let top = [("United Kingdom", "318704.23"), ("EIRE", "4337.23"), ("France", "4257.14")];
    for (found, (country, gross)) in summary["top_countries"].as_array().unwrap().iter().zip(top) {
        assert_eq!(*found, json!({ "country": country, "gross": gross }));
    }
    let again = shop.import(&file, &["--workers", "1"]);
    assert_eq!((&again["commands_replayed"], &again["events_recorded"]), (&json!(16_985), &json!(0)));
    assert_eq!(totals(&again), totals(&summary));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The number in `line 17: …`.
fn line_number(complaint: &str) -> u64 {
    let number = complaint.strip_prefix("line ").and_then(|rest| rest.split(':').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("not a complaint: {complaint}"))
}
