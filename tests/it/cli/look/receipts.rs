//! `annals receipts`.

use std::sync::Arc;

use annals::{Append, EventStore, EventStoreExt as _, ManualClock};
use serde_json::Value;

use super::{event, id, key, tell_the_story};
use crate::cli::{
    place::on_both,
    program::{done_on, run_on},
    shown::shows,
};

on_both! {
    how_the_requests_of_an_aggregate_ended_is_shown_without_their_keys
    one_request_is_looked_up_by_its_key
    of_many_receipts_the_newest_are_shown
}

async fn how_the_requests_of_an_aggregate_ended_is_shown_without_their_keys(
    url: &str,
    store: impl EventStore,
    clock: Arc<ManualClock>,
) {
    tell_the_story(&store, &clock).await;
    let shown = done_on(url, &["receipts", "order", "natural:537434"]);
    shows("receipts", &shown);
    let lines = done_on(url, &["receipts", "order", "natural:537434", "--format", "jsonl"]);
    shows("receipts_jsonl", &lines);
    for secret in ["4c1f-place", "77aa-ship", "9e02-cancel", "short"] {
        assert!(!shown.contains(secret) && !lines.contains(secret), "{secret}:\n{shown}{lines}");
        let keys = done_on(url, &["receipts", "order", "natural:537434", "--keys"]);
        assert!(keys.contains(secret), "{secret}:\n{keys}");
    }
    // Events without any request under a key.
    let (code, out, err) = run_on(url, &["receipts", "refund", "natural:99"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("at version 1, has no receipts"), "{err}");
}

async fn one_request_is_looked_up_by_its_key(url: &str, store: impl EventStore, clock: Arc<ManualClock>) {
    tell_the_story(&store, &clock).await;
    let found = done_on(url, &["receipts", "order", "natural:537434", "--key", "77aa-ship", "--format", "json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let receipt = &found.as_array().unwrap()[0];
    assert_eq!((&receipt["key"], &receipt["outcome"]), (&"77aa…".into(), &"rejected".into()));
    assert_eq!((&receipt["version"], &receipt["first_sequence"]), (&2.into(), &Value::Null));
    assert_eq!(receipt["rejection"]["type"], "NotPaid");
    for (kind, key) in [("order", "77aa-shi"), ("payment", "77aa-ship")] {
        let (code, out, err) = run_on(url, &["receipts", kind, "natural:537434", "--key", key]);
        assert_eq!((code, out.as_str()), (3, ""));
        assert!(err.contains("no receipt under this key") && !err.contains("77aa"), "{err}");
    }
}

async fn of_many_receipts_the_newest_are_shown(url: &str, store: impl EventStore, _clock: Arc<ManualClock>) {
    for number in 0..1_100 {
        let append = Append::new("note", id("note", "1")).idempotency_key(key(&format!("key-{number}")));
        store.append_one(append.event(event("noted", "{}"))).await.unwrap();
    }
    let (code, out, err) = run_on(url, &["receipts", "note", "natural:1", "--format", "jsonl"]);
    assert_eq!(code, 0);
    assert!(err.contains("100 older ones are not shown: --limit"), "{err}");
    let versions: Vec<_> =
        out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (101..=1_100).collect::<Vec<_>>());
    assert_eq!(done_on(url, &["receipts", "note", "natural:1", "--limit", "1100"]).lines().count(), 1_101);
}
