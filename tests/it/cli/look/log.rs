//! `annals log`, without `--follow`.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::Arc,
};

use annals::{Append, EventStore, ManualClock};

use super::{event, id, tell_the_story};
use crate::cli::{
    place::on_both,
    program::{annals, done_on, run_on},
    shown::shows,
};

on_both! {
    the_log_is_shown_a_line_an_event
    events_of_the_log_are_chosen_by_what_they_are
    without_a_range_the_newest_twenty_are_shown
    a_reader_who_has_seen_enough_is_no_failure
}

async fn the_log_is_shown_a_line_an_event(url: &str, store: impl EventStore, clock: Arc<ManualClock>) {
    assert_eq!(run_on(url, &["log"]), (0, String::new(), "annals: there are no such events\n".to_owned()));
    assert_eq!(done_on(url, &["log", "--format", "json"]), "[]\n");
    tell_the_story(&store, &clock).await;
    shows("log", &done_on(url, &["log"]));
    shows("log_jsonl", &done_on(url, &["log", "--format", "jsonl", "--after", "5", "--limit", "2"]));
}

/// The positions that a call shows.
fn positions(url: &str, args: &[&str]) -> Vec<u64> {
    let lines = done_on(url, &[&["log", "--format", "jsonl"], args].concat());
    let of = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["position"].as_u64().unwrap();
    lines.lines().map(of).collect()
}

async fn events_of_the_log_are_chosen_by_what_they_are(url: &str, store: impl EventStore, clock: Arc<ManualClock>) {
    tell_the_story(&store, &clock).await;
    // Six appends with events lie a second and a half apart, the second of ten was rejected.
    let (third, sixth) = ("2026-01-05T10:00:03Z", "2026-01-05T10:00:07.5Z");
    for (args, right) in [
        (&["--type", "order"][..], &[1, 2, 6, 8][..]),
        (&["--type", "order,parcel", "--type", "refund"], &[1, 2, 4, 6, 7, 8]),
        (&["--event-type", "placed,paid", "--event-type", "captured"], &[1, 5, 6]),
        (&["--type", "order", "--event-type", "paid,captured"], &[6]),
        (&["--correlation", "request-7"], &[1, 2, 3, 5, 6, 7]),
        (&["--correlation", "request-7", "--type", "payment"], &[3, 5]),
        (&["--correlation", "request"], &[]),
        (&["--after", "5"], &[6, 7, 8]),
        (&["--until", "2"], &[1, 2]),
        (&["--after", "2", "--until", "5"], &[3, 4, 5]),
        (&["--after", "18446744073709551615"], &[]),
        (&["--since", third], &[3, 4, 5, 6, 7, 8]),
        (&["--before", third], &[1, 2]),
        (&["--since", third, "--before", sixth], &[3, 4, 5]),
        (&["--since", "0s"], &[]),
        (&["--limit", "3"], &[1, 2, 3]),
        (&["--after", "2", "--limit", "2"], &[3, 4]),
        (&["--last", "3"], &[6, 7, 8]),
        (&["--last", "3", "--until", "5"], &[3, 4, 5]),
        (&["--last", "2", "--type", "payment"], &[3, 5]),
        (&["--last", "3", "--limit", "2"], &[6, 7]),
        (&["--last", "0"], &[]),
    ] {
        assert_eq!(positions(url, args), right, "{args:?}");
    }
}

async fn fill(store: &dyn EventStore, appends: u64) {
    for number in 0..appends {
        let events =
            (0..500).map(|_| event("noted", r#"{"text":"some words, so that a line is as long as lines are"}"#));
        let append = Append::new("note", id("note", &number.to_string())).events(events);
        store.append(vec![append]).await.remove(0).unwrap();
    }
}

async fn without_a_range_the_newest_twenty_are_shown(url: &str, store: impl EventStore, _clock: Arc<ManualClock>) {
    fill(&store, 20).await;
    assert_eq!(positions(url, &[]), (9_981..=10_000).collect::<Vec<_>>());
    assert_eq!(positions(url, &["--after", "5"]), (6..=10_000).collect::<Vec<_>>());
    assert_eq!(positions(url, &["--last", "9999"]), (2..=10_000).collect::<Vec<_>>());
}

async fn a_reader_who_has_seen_enough_is_no_failure(url: &str, store: impl EventStore, _clock: Arc<ManualClock>) {
    fill(&store, 20).await;
    for format in ["table", "json", "jsonl"] {
        let mut command = annals(&["log", "--after", "0", "--format", format]);
        let mut child = command.env("DATABASE_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().is_some_and(|line| line.is_ok()));
        drop(lines);
        let said = BufReader::new(child.stderr.take().unwrap()).lines().count();
        assert_eq!((child.wait().unwrap().code(), said), (Some(0), 0), "{format}");
    }
}
