//! `annals show`.

use std::sync::Arc;

use annals::{Append, EventStore, EventStoreExt as _, ManualClock, NewEvent, StreamQuery};
use serde_json::Value;
use uuid::Uuid;

use super::{event, id, key, tell_the_story};
use crate::cli::{
    place::on_both,
    program::{done_on, run, run_on},
    shown::shows,
};

on_both! {
    the_history_of_an_aggregate_is_shown_as_a_timeline
    a_history_is_shown_as_of_a_version_and_as_of_a_time
    every_event_of_a_history_is_an_object_with_its_payload_as_it_was_written
    what_is_not_there_and_what_is_of_another_type_is_told_from_it
    a_long_history_is_shown_whole
}

async fn the_history_of_an_aggregate_is_shown_as_a_timeline(
    url: &str,
    store: impl EventStore,
    clock: Arc<ManualClock>,
) {
    tell_the_story(&store, &clock).await;
    let shown = done_on(url, &["show", "order", "natural:537434"]);
    shows("show", &shown);
    // By its id: the same, but for the key.
    let by_id = done_on(url, &["show", "order", &id("order", "537434").to_string()]);
    assert_eq!(by_id, shown.replace(" (natural:537434)", ""));
    assert!(!shown.contains('\u{1b}'), "a payload can do nothing to a terminal");
}

async fn a_history_is_shown_as_of_a_version_and_as_of_a_time(
    url: &str,
    store: impl EventStore,
    clock: Arc<ManualClock>,
) {
    tell_the_story(&store, &clock).await;
    let at = done_on(url, &["show", "order", "natural:537434", "--at", "2"]);
    shows("show_at", &at);
    // The event of 10:00:07.500 is the first that is left out.
    let until = done_on(url, &["show", "order", "natural:537434", "--until", "2026-01-05T11:00:07.499+01:00"]);
    assert_eq!(until, at);
    assert!(done_on(url, &["show", "order", "natural:537434", "--until", "1s"]).contains("version 4"));
    let (code, out, err) = run_on(url, &["show", "order", "natural:537434", "--at", "5"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("no version 5") && err.contains("at version 4"), "{err}");
    let (code, out, err) = run_on(url, &["show", "order", "natural:537434", "--until", "2026-01-05"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("no events yet") && err.contains("2026-01-05T10:00:00.000Z"), "{err}");
}

async fn every_event_of_a_history_is_an_object_with_its_payload_as_it_was_written(
    url: &str,
    store: impl EventStore,
    clock: Arc<ManualClock>,
) {
    tell_the_story(&store, &clock).await;
    let lines = done_on(url, &["show", "order", "natural:537434", "--format", "jsonl"]);
    shows("show_jsonl", &lines);
    let one = done_on(url, &["show", "order", "natural:537434", "--format", "json"]);
    let (one, lines): (Value, Vec<Value>) =
        (serde_json::from_str(&one).unwrap(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
    assert_eq!(one, Value::from(lines));
    // A number that no float holds, blanks, and a line's end between members.
    let odd = "{ \"big\" : 9007199254740993,\r\n\t\"price\":10.00 }";
    store.append_one(Append::new("note", Uuid::nil()).event(NewEvent::from_json("noted", odd).unwrap())).await.unwrap();
    let shown = done_on(url, &["show", "note", &Uuid::nil().to_string(), "--format", "jsonl"]);
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.contains("\"payload\":{ \"big\" : 9007199254740993,  \t\"price\":10.00 }"), "{shown}");
}

async fn what_is_not_there_and_what_is_of_another_type_is_told_from_it(
    url: &str,
    store: impl EventStore,
    clock: Arc<ManualClock>,
) {
    tell_the_story(&store, &clock).await;
    let order = id("order", "537434").to_string();
    for (args, said) in [
        (["show", "order", "natural:537435"], "there are no events of order"),
        (["show", "refund", &order], "is of type order"),
        (["receipts", "refund", &order], "is of type order"),
        (["receipts", "order", "natural:537435"], "there are no events of order"),
    ] {
        let (code, out, err) = run_on(url, &args);
        assert_eq!((code, out.as_str()), (3, ""), "{args:?}: {err}");
        assert!(err.starts_with("annals: ") && err.contains(said), "{args:?}: {err}");
        let (code, out, err) = run_on(url, &[&args[..], &["-q"]].concat());
        assert_eq!((code, out.as_str(), err.as_str()), (3, "", ""), "{args:?}");
    }
    // A request that was rejected before there was anything is no history, but it is not nothing.
    let refused = Append::new("order", id("order", "1")).expected(annals::ExpectedVersion::New);
    store.append_one(refused.idempotency_key(key("k")).rejected("{}".into())).await.unwrap();
    let (code, _, err) = run_on(url, &["show", "order", "natural:1"]);
    assert!(code == 3 && err.contains("requests to it were rejected, see annals receipts"), "{err}");
    assert!(done_on(url, &["receipts", "order", "natural:1"]).contains("rejected"));
}

async fn a_long_history_is_shown_whole(url: &str, store: impl EventStore, _clock: Arc<ManualClock>) {
    for _ in 0..5 {
        let events = (0..500).map(|_| event("noted", "{}"));
        store.append_one(Append::new("order", id("order", "long")).events(events)).await.unwrap();
    }
    let shown = done_on(url, &["show", "order", "natural:long"]);
    assert_eq!(shown.lines().filter(|line| line.contains("noted")).count(), 2_500);
    assert_eq!(shown.matches('┌').count(), 5);
    let objects = done_on(url, &["show", "order", "natural:long", "--format", "json", "--at", "2400"]);
    let objects: Vec<Value> = serde_json::from_str(&objects).unwrap();
    assert_eq!(objects.len(), 2_400);
    assert_eq!(store.collect_stream(&StreamQuery::of(id("order", "long"))).await.unwrap().len(), 2_500);
}

#[test]
fn what_cannot_be_looked_for_is_a_wrong_call_and_no_database_is_asked() {
    // A file that is not there: whoever opened it would end with 1.
    let url = ["--database-url", "sqlite:/nowhere/at/all.db"];
    for args in [
        &["show", "order"][..],
        &["show", "Order", "natural:1"],
        &["show", "order", "not-a-uuid"],
        &["show", "order", "natural:1", "--at", "0"],
        &["show", "order", "natural:1", "--at", "3", "--until", "1h"],
        &["show", "order", "natural:1", "--until", "yesterday"],
        &["event", "0"],
        &["event", "first"],
        &["log", "--type", "Order"],
        &["log", "--since", "5 minutes"],
        &["log", "--after", "-1"],
        &["log", "--limit", "0"],
        &["log", "--follow", "--until", "5"],
        &["log", "--follow", "--before", "1h"],
        &["trace"],
        &["trace", ""],
        &["trace", "x", "--limit", "0"],
        &["receipts", "order", "natural:1", "--key", "with a blank"],
        &["receipts", "order", "natural:1", "--limit", "0"],
        &["receipts", "a_b", "natural:1"],
    ] {
        let (code, out, err) = run(&[args, &url].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains("--help"), "{args:?}: {err}");
    }
}
