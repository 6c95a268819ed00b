//! What holds on every database the example knows.

use std::process::Command;

use serde_json::json;

use super::{
    book::{Book, HEADER},
    program::{Shop, order, summary_of, text, totals, without_time_and_place},
};
use crate::projection_example::runs::the_real_week_is_projected;

pub async fn the_story_is_told_as_it_is_committed(open: impl AsyncFn() -> Shop) {
    let committed = include_str!("../../../examples/order/transcript.txt");
    let tell = |mut order: Command| {
        let told = order.output().unwrap();
        assert!(told.status.success() && told.stderr.is_empty(), "{}", text(&told.stderr));
        text(&told.stdout)
    };
    assert_eq!(
        tell(order()),
        committed,
        "the story has changed; if it was meant to: cargo run --example order > examples/order/transcript.txt"
    );
    // The same in a database that stays, and again there: with another order, which changes nothing but its number.
    let shop = open().await;
    for invoice in ["500001", "500002"] {
        let mut order = order();
        order.current_dir(shop.path("")).args(["--database-url", &shop.database_url()]);
        let there = format!("It lives on {}.\n", shop.shown_url());
        let expected = committed.replace("It lives on a database in memory.\n", &there).replace("500001", invoice);
        assert_eq!(tell(order), expected);
    }
}

pub async fn an_import_comes_to_the_sums_of_its_distinct_lines(open: impl AsyncFn() -> Shop) {
    let (shop, book) = (open().await, Book::of(500, 1));
    let summary = shop.import(&shop.file("week.csv", &book.csv), &[]);
    assert_eq!(summary["database"], shop.shown_url());
    assert!(summary["elapsed_seconds"].as_f64().unwrap() > 0.0);
    let expected = book.summary(1);
    assert_eq!(without_time_and_place(summary), expected);
    for what in ["lines_malformed", "commands_replayed", "sales_orders", "credit_notes", "adjustments"] {
        assert_ne!(expected[what], 0, "the made-up book has some of each: {what}");
    }
    let thirds = ["gross", "credits", "adjusted", "net"].map(|sum| expected[sum].as_str().unwrap().rsplit_once('.'));
    assert!(thirds.iter().any(|sum| sum.unwrap().1.len() == 3), "and prices of three decimals");
}

pub async fn a_second_import_changes_nothing(open: impl AsyncFn() -> Shop) {
    let (shop, book) = (open().await, Book::of(300, 2));
    let file = shop.file("week.csv", &book.csv);
    let first = shop.import(&file, &[]);
    let second = shop.import(&file, &["--workers", "3"]);
    assert_eq!(totals(&first), totals(&second));
    assert_eq!((&second["commands_accepted"], &second["events_recorded"]), (&json!(0), &json!(0)));
    assert_eq!(second["commands_replayed"], json!(book.lines.len()));
}

pub async fn the_number_of_workers_changes_nothing(open: impl AsyncFn() -> Shop) {
    let book = Book::of(300, 3);
    for workers in ["1", "8"] {
        let shop = open().await;
        let summary = shop.import(&shop.file("week.csv", &book.csv), &["--workers", workers]);
        assert_eq!(without_time_and_place(summary), book.summary(1), "{workers} workers");
    }
}

pub async fn a_repeated_import_makes_orders_of_their_own(open: impl AsyncFn() -> Shop) {
    let (shop, book) = (open().await, Book::of(100, 5));
    let file = shop.file("week.csv", &book.csv);
    let thrice = shop.import(&file, &["--repeat", "3"]);
    assert_eq!(without_time_and_place(thrice.clone()), book.summary(3));
    let once = shop.import(&file, &[]);
    assert_eq!((totals(&once), &once["events_recorded"]), (totals(&thrice), &json!(0)), "the first of the three");
}

pub async fn a_rejected_line_is_reported_and_stays_rejected(open: impl AsyncFn() -> Shop) {
    let shop = open().await;
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

/// The figures that are known of the first week of the Online Retail data set.
pub async fn the_real_week_comes_to_its_known_sums(open: impl AsyncFn() -> Shop) {
    let Some(file) = std::env::var_os("ANNALS_RETAIL_WEEK") else {
        eprintln!("NOT RUN: ANNALS_RETAIL_WEEK does not name the file");
        return;
    };
    let shop = open().await;
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
    the_real_week_is_projected(&shop, &file).await;
}

/// The number in `line 17: …`.
pub fn line_number(complaint: &str) -> u64 {
    let number = complaint.strip_prefix("line ").and_then(|rest| rest.split(':').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("not a complaint: {complaint}"))
}
