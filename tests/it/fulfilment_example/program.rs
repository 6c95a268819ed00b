//! The example as its users run it.

use std::path::Path;

use super::place::{Place, on_every_place};
use crate::order_example::program::text;

/// The story as it is committed. After a change that is meant: run the example, and look at what differs.
const TRANSCRIPT: &str = "examples/fulfilment/transcript.txt";

on_every_place! {
    the_story_is_told_as_it_is_committed_and_can_be_told_again
    many_orders_without_mishaps_come_to_their_ends
    orders_are_not_placed_among_those_of_another_run
}

async fn the_story_is_told_as_it_is_committed_and_can_be_told_again(open: impl AsyncFn() -> Place) {
    let place = open().await;
    let [url, _] = place.urls();
    let written = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(TRANSCRIPT)).unwrap();
    let tell = || place.fulfilment().args(["--database-url", &url]).output().unwrap();
    let first = tell();
    assert!(first.status.success(), "{}", text(&first.stderr));
    // But for the name of the database: from the third line on.
    let lines =
        |told: &str| told.lines().enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| line.to_owned()).collect();
    let (told, expected): (Vec<String>, Vec<String>) = (lines(&text(&first.stdout)), lines(&written));
    assert_eq!(told, expected, "what was told:\n{}", text(&first.stdout));
    let again = tell();
    assert!(again.status.success(), "{}", text(&again.stderr));
    let again = text(&again.stdout);
    assert_eq!(again.lines().count(), written.lines().count(), "{again}");
    for end in ["order        2   SHIPPED as parcel-2001", "Order 2003: 3 × lantern-2, 1 × teapot-2, 67.50"] {
        assert!(again.contains(end), "{again}");
    }
}

async fn many_orders_without_mishaps_come_to_their_ends(open: impl AsyncFn() -> Place) {
    let place = open().await;
    let output = place.many(&["--orders", "20", "--seed", "3", "--ship-within", "2"]).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.starts_with("20 orders, 0 kills, seed 3\n") && out.ends_with("\nThe books balance.\n"), "{out}");
    assert!(out.contains("\n  0 requests lost, 0 replies lost, "), "{out}");
}

async fn orders_are_not_placed_among_those_of_another_run(open: impl AsyncFn() -> Place) {
    let place = open().await;
    let run = || place.many(&["--orders", "1", "--seed", "3", "--ship-within", "1"]).output().unwrap();
    assert!(run().status.success());
    let again = run();
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(text(&again.stderr), "error: orders were placed in this database before: take a new one\n");
}

#[tokio::test]
async fn what_it_cannot_do_is_said() {
    let place = Place::on_files().await;
    for (arguments, code, message) in [
        (&["--orders", "0"][..], 2, "0 is not in 1..=100000"),
        (&["--chaos"], 2, "--orders <N>"),
        (&["--database-url", "mysql://ann:s3cret@db/shop"], 1, "\"mysql\" is no database this program knows"),
    ] {
        let output = place.fulfilment().args(arguments).output().unwrap();
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(err.contains(message) && !err.contains("s3cret"), "{err}");
    }
}
