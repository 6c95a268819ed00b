//! What is shown of events that are no longer what was written.

use std::sync::Arc;

use annals::{EventStore, ManualClock};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::tell_the_story;
use crate::cli::{
    place::on_both,
    program::{done_on, run_on},
};

on_both! {
    a_damaged_event_is_shown_and_said_to_be_damaged
}

/// Changes what must not be changed, as somebody with a shell could.
async fn damage(url: &str) {
    let sql = "UPDATE annals_events SET payload = '{\"amount\":1139.12}' WHERE position = 5";
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::raw_sql("DROP TRIGGER annals_events_refuse_update").execute(&mut connection).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        // Safe: made of constants.
        let sql = AssertSqlSafe(format!("ALTER TABLE annals_events DISABLE TRIGGER USER; {sql}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
}

async fn a_damaged_event_is_shown_and_said_to_be_damaged(url: &str, store: impl EventStore, clock: Arc<ManualClock>) {
    tell_the_story(&store, &clock).await;
    damage(url).await;
    let (code, out, err) = run_on(url, &["event", "5"]);
    assert_eq!(code, 3);
    assert!(out.contains("DAMAGED: this is not what was written") && out.contains("amount: 1139.12"), "{out}");
    assert!(err.contains("annals verify"), "{err}");
    let (_, out, _) = run_on(url, &["event", "5", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["checksum_is_good"], false);
    // The history up to it, and no more that looks whole.
    let (code, out, err) = run_on(url, &["show", "payment", "natural:537434"]);
    assert_eq!(code, 1);
    assert!(out.contains("requested") && !out.contains("captured"), "{out}");
    assert!(err.contains("the checksum of event 2 of payment") && err.contains("damaged"), "{err}");
    // Others are none the worse.
    assert_eq!(done_on(url, &["log"]).lines().count(), 9);
    assert!(done_on(url, &["trace", "request-7"]).contains("captured"));
    assert!(done_on(url, &["show", "order", "natural:537434"]).contains("noted"));
}
