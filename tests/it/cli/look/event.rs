//! `annals event`.

use std::sync::Arc;

use annals::{Append, EventStore, EventStoreExt as _, ManualClock};
use serde_json::Value;
use uuid::Uuid;

use super::tell_the_story;
use crate::cli::{
    place::on_both,
    program::{done_on, run_on},
    shown::shows,
};

on_both! {
    everything_about_an_event_is_shown
    a_position_without_an_event_names_those_beside_it
}

async fn everything_about_an_event_is_shown(url: &str, store: impl EventStore, clock: Arc<ManualClock>) {
    tell_the_story(&store, &clock).await;
    let shown: Vec<_> = ["1", "2", "6", "8"].map(|position| done_on(url, &["event", position])).into();
    shows("event", &shown.join("\n"));
    let json = done_on(url, &["event", "2", "--format", "json"]);
    shows("event_json", &json);
    let line = done_on(url, &["event", "2", "--format", "jsonl"]);
    assert_eq!(line.lines().count(), 1);
    let (line, json): (Value, Value) = (serde_json::from_str(&line).unwrap(), serde_json::from_str(&json).unwrap());
    assert_eq!(line, json);
}

async fn a_position_without_an_event_names_those_beside_it(url: &str, store: impl EventStore, clock: Arc<ManualClock>) {
    let (code, out, err) = run_on(url, &["event", "1"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("no event at position 1: there are none at all"), "{err}");
    tell_the_story(&store, &clock).await;
    for position in ["9", "18446744073709551615"] {
        let (code, out, err) = run_on(url, &["event", position]);
        assert_eq!((code, out.as_str()), (3, ""));
        assert!(err.contains(&format!("position {position}: the last one is at 8")), "{err}");
    }
}

/// What was drawn and rolled back leaves a hole.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_log_of_postgresql_is_told_from_its_end() {
    let (url, store, _clock, database) = crate::cli::place::postgres().await;
    for _ in 0..2 {
        sqlx::query("SELECT nextval('annals_positions')").execute(&mut database.connection().await).await.unwrap();
        let append = Append::new("order", Uuid::now_v7()).event(super::event("placed", "{}"));
        store.append_one(append).await.unwrap();
    }
    let (code, _, err) = run_on(&url, &["event", "1"]);
    assert!(code == 3 && err.contains("position 1: the first one is at 2"), "{err}");
    let (code, _, err) = run_on(&url, &["event", "3"]);
    assert!(code == 3 && err.contains("position 3: the one before it is at 2, the one after it at 4"), "{err}");
}
