//! Runs that nothing disturbs, on both databases.

use std::path::Path;

use serde_json::Value;

use super::{
    catch_up,
    kill::position,
    projection,
    sums::{Sums, rows_of},
};
use crate::order_example::{
    book::{Book, HEADER},
    program::{Shop, text},
};

/// Makes a test of each of these cases, on the databases that a function opens.
macro_rules! runs_on {
    ($room:ident, $open:path) => {
        mod $room {
            use super::*;

            #[tokio::test]
            async fn the_read_model_comes_to_the_sums_of_the_file() {
                comes_to_the_sums_of_the_file($open().await).await;
            }

            #[tokio::test]
            async fn without_orders_it_says_where_they_come_from() {
                without_orders(&$open().await);
            }

            #[cfg(unix)]
            #[tokio::test]
            async fn it_follows_the_orders_until_it_is_told_to_stop() {
                follows_until_told_to_stop($open().await).await;
            }
        }
    };
}

runs_on!(on_files, Shop::on_file);
#[cfg(feature = "postgres")]
runs_on!(on_server, Shop::on_server);

async fn comes_to_the_sums_of_the_file(shop: Shop) {
    let book = Book::of(600, 21);
    shop.import(&shop.file("week.csv", &book.csv), &[]);
    let expected = Sums::of(&book.readable());
    let printed = catch_up(&shop, &[]);
    assert_eq!(rows_of(&shop).await, expected.rows());
    assert_is_printed(&printed, &expected);
    assert_eq!(printed["database"], shop.shown_url());
    let net = printed["total"]["net"].as_str().unwrap();
    assert_eq!(net, book.summary(1)["net"], "the import's own summary agrees");

    // What is there is not added again; what is new is.
    assert_eq!(catch_up(&shop, &[]), printed);
    let more = Book::of(900, 21);
    assert!(more.readable().starts_with(&book.readable()), "the same book, and more");
    shop.import(&shop.file("more.csv", &more.csv), &[]);
    assert_is_printed(&catch_up(&shop, &["--batch-events", "7"]), &Sums::of(&more.readable()));

    let people = projection(&shop, &["run", "--until-caught-up"]).output().unwrap();
    let (out, err) = (text(&people.stdout), text(&people.stderr));
    assert!(people.status.success() && err.is_empty(), "no progress bar where nobody watches: {err}");
    assert!(out.contains("\nin all ") && out.contains("\n2010-12-07 ") && !out.contains('\u{1b}'), "{out}");
}

/// What is known of the first week of the Online Retail data set: of an import of this file, which takes its time.
pub async fn the_real_week_is_projected(shop: &Shop, file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let mut csv = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut csv).unwrap();
    let expected = Sums::of(&csv);
    let printed = catch_up(shop, &[]);
    assert_eq!(rows_of(shop).await, expected.rows());
    assert_is_printed(&printed, &expected);

    let total = &printed["total"];
    assert_eq!(total["orders"], 678 + 79);
    assert_eq!(
        (&total["gross"], &total["credits"], &total["net"]),
        (&Value::from("338847.47"), &Value::from("-59110.01"), &Value::from("279737.46"))
    );
    for (at, (country, gross)) in
        [("United Kingdom", "318704.23"), ("EIRE", "4337.23"), ("France", "4257.14")].into_iter().enumerate()
    {
        assert_eq!(
            (&printed["countries"][at][0], &printed["countries"][at][1]["gross"]),
            (&Value::from(country), &Value::from(gross))
        );
    }
}

fn without_orders(shop: &Shop) {
    let first_import = "import some first, with `cargo run --release --example order -- FILE.csv`";
    if shop.database_url() == "sqlite:orders.db" {
        let output = projection(shop, &["run"]).output().unwrap();
        let err = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len(), err.lines().count()), (Some(1), 0, 1), "{err}");
        assert!(err.starts_with("error: there is no database sqlite:orders.db") && err.contains(first_import), "{err}");
        assert!(!shop.path("orders.db").exists(), "a mistyped name makes no database");
    }
    shop.import(&shop.file("empty.csv", format!("{HEADER}\n")), &[]);
    let output = projection(shop, &["run", "--until-caught-up"]).output().unwrap();
    let err = text(&output.stderr);
    assert!(output.status.success() && err.contains(first_import), "{err}");
}

/// Ctrl-C ends it well: it says what was sold, and the next one need not wait for its lease.
#[cfg(unix)]
async fn follows_until_told_to_stop(shop: Shop) {
    use rustix::process::{Pid, Signal, kill_process};

    let book = Book::of(200, 22);
    shop.import(&shop.file("empty.csv", format!("{HEADER}\n")), &[]);
    let following = projection(&shop, &["run", "--format", "json", "--lease", "3600000"]).spawn().unwrap();
    shop.import(&shop.file("week.csv", &book.csv), &[]);
    let checkpoints = shop.store().await;
    let head = checkpoints.head().await.unwrap();
    while position(&*checkpoints).await < head {
        tokio::task::yield_now().await;
    }
    kill_process(Pid::from_child(&following), Signal::INT).unwrap();
    let output = following.wait_with_output().unwrap();
    let expected = Sums::of(&book.readable());
    assert_is_printed(&crate::order_example::program::summary_of(&output), &expected);
    shop.import(&shop.file("more.csv", Book::of(300, 22).csv), &[]);
    assert_is_printed(&catch_up(&shop, &[]), &Sums::of(&Book::of(300, 22).readable()));
}

fn assert_is_printed(printed: &Value, expected: &Sums) {
    assert_eq!(printed["total"], expected.total());
    for (name, column) in [("countries", 0), ("days", 1)] {
        let found = printed[name].as_array().unwrap().iter();
        let found = found.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone())).collect();
        assert_eq!(expected.by(column), found, "{name}");
    }
}
