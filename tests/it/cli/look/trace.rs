//! `annals trace`.

use std::sync::Arc;

use annals::{Append, EventStore, EventStoreExt as _, ManualClock, Metadata, StreamQuery};
use serde_json::Value;
use uuid::Uuid;

use super::{event, id, tell_the_story};
use crate::cli::{
    place::on_both,
    program::{done_on, run_on},
    shown::shows,
};

on_both! {
    what_led_to_what_is_shown_as_a_tree
    a_chain_that_began_without_a_correlation_has_its_first_event
    events_that_are_one_anothers_cause_are_shown_once
    a_large_correlation_is_cut_and_says_so
}

async fn what_led_to_what_is_shown_as_a_tree(url: &str, store: impl EventStore, clock: Arc<ManualClock>) {
    tell_the_story(&store, &clock).await;
    shows("trace", &done_on(url, &["trace", "request-7"]));
    shows("trace_jsonl", &done_on(url, &["trace", "request-7", "--format", "jsonl"]));
    let (code, out, err) = run_on(url, &["trace", "request-8"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("no events of the correlation request-8"), "{err}");
}

async fn a_chain_that_began_without_a_correlation_has_its_first_event(
    url: &str,
    store: impl EventStore,
    _clock: Arc<ManualClock>,
) {
    let order = id("order", "1");
    store.append_one(Append::new("order", order).event(event("placed", "{}"))).await.unwrap();
    let placed = store.collect_stream(&StreamQuery::of(order)).await.unwrap().remove(0);
    for (kind, cause) in [("payment", placed.clone()), ("parcel", placed.clone())] {
        let caused = Append::new(kind, id(kind, "1")).metadata(Metadata::caused_by(&cause).unwrap());
        store.append_one(caused.event(event("begun", "{}"))).await.unwrap();
    }
    let events = done_on(url, &["trace", &placed.name(), "--format", "jsonl"]);
    let parents: Vec<_> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|event| (event["position"].as_u64(), event["parent_position"].as_u64(), event["depth"].as_u64()))
        .collect();
    assert_eq!(parents, [(Some(1), None, Some(0)), (Some(2), Some(1), Some(1)), (Some(3), Some(1), Some(1))]);
    assert_eq!(run_on(url, &["trace", &format!("{order}-2")]).0, 3);
}

async fn events_that_are_one_anothers_cause_are_shown_once(
    url: &str,
    store: impl EventStore,
    _clock: Arc<ManualClock>,
) {
    let note = id("note", "1");
    let caused_by =
        |cause: String| Append::new("note", note).metadata(Metadata::new().correlation_id("c").causation_id(cause));
    for cause in [2, 1, 3, 9] {
        store.append_one(caused_by(format!("{note}-{cause}")).event(event("noted", "{}"))).await.unwrap();
    }
    let shown = done_on(url, &["trace", "c"]);
    for position in 1..=4 {
        let lines = shown.lines().filter(|line| line.trim_start().starts_with(&format!("{position}  "))).count();
        assert_eq!(lines, 1, "{position}:\n{shown}");
    }
    assert!(shown.contains(&format!("caused by {note}-9")), "{shown}");
}

async fn a_large_correlation_is_cut_and_says_so(url: &str, store: impl EventStore, _clock: Arc<ManualClock>) {
    for _ in 0..5 {
        let append = Append::new("note", Uuid::now_v7()).metadata(Metadata::new().correlation_id("large"));
        store.append_one(append.events((0..250).map(|_| event("noted", "{}")))).await.unwrap();
    }
    let (code, out, err) = run_on(url, &["trace", "large", "--format", "jsonl"]);
    assert_eq!((code, out.lines().count()), (0, 1_000));
    assert!(err.contains("the first 1,000 are shown, and there are more: --limit"), "{err}");
    let (code, out, err) = run_on(url, &["trace", "large", "--limit", "1250"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.lines().filter(|line| line.contains("noted")).count(), 1_250);
}
