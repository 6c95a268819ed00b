//! `annals status` and `annals types`.

use std::sync::Arc;

use annals::{CheckpointStore, Inspect, ManualClock, TimerStore};
use sqlx::Connection as _;

use super::{
    place::on_both,
    program::{done_on, run_on},
    shop,
    shown::{shows, shows_but_for},
};

on_both! {
    status_tells_what_is_there_and_what_needs_attention
    status_of_an_empty_store_is_no_riddle
    types_counts_aggregates_and_events
}

/// What differs from run to run, and from one database to the other but for what each alone can tell.
///
/// How long ago something was is as wide as the time of day makes it, and the column that it stands in with it.
const DIFFERS: [(&str, &str); 11] = [
    ("(SQLite|PostgreSQL) [0-9][^,\"]*", "[engine]"),
    (r"(sqlite|postgres):\S*", "[url]"),
    (r"(?m)^size .*$", "size      [size]"),
    (r"(?m)^(annals_\w+ +\d+) .*$", "$1"),
    (r#""(bytes|free_bytes|log_bytes|lag_seconds)": (null|[0-9.e-]+)"#, r#""$1": [number]"#),
    (r" \d{2,}d( \d+h)?", " [days]"),
    ("FOR +PARKED", "FOR       PARKED"),
    (r"(subscription +\d+ +\d+ +)- +", "$1-         "),
    (r"since 20\d\d-[0-9T:.-]*Z", "since [time]"),
    ("schema [0-9]+", "schema [n]"),
    (r#""(found|needed)": \d+"#, r#""$1": [n]"#),
];

async fn status_tells_what_is_there_and_what_needs_attention<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: CheckpointStore + TimerStore + Clone + 'static,
{
    shop::fill(&store, &clock).await;
    shop::consume(&store).await;
    let out = done_on(url, &["status"]);
    shows_but_for("status", &out, &DIFFERS);
    aligned(&out, "CONSUMER", "PARKED");
    shows_but_for("status_json", &done_on(url, &["status", "--format", "json"]), &DIFFERS);
    let line = done_on(url, &["status", "--format", "jsonl"]);
    let (one, all): (serde_json::Value, String) =
        (serde_json::from_str(&line).unwrap(), done_on(url, &["status", "--format", "json"]));
    assert_eq!((line.lines().count(), &one["consumers"][0]["name"]), (1, &"ledger".into()));
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(one["tables"], all["tables"]);
}

/// Every row of the table that begins with `first` has something where its head has `column`, and nothing before it.
fn aligned(out: &str, first: &str, column: &str) {
    let mut lines = out.lines().skip_while(|line| !line.starts_with(first));
    let place = lines.next().and_then(|head| head.find(column)).expect("the table has that column");
    let rows: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let begins = |row: &&str| row.as_bytes()[place] != b' ' && row.as_bytes()[place - 2..place] == *b"  ";
    assert!(!rows.is_empty() && rows.iter().all(begins), "{out}");
}

async fn status_of_an_empty_store_is_no_riddle<S: Send>(url: &str, _: S, _: Arc<ManualClock>) {
    shows_but_for("status_empty", &done_on(url, &["status"]), &DIFFERS);
    assert_eq!(run_on(url, &["types"]).0, 0);
    assert_eq!(done_on(url, &["types", "-q", "--format", "json"]), "[]\n");
}

async fn types_counts_aggregates_and_events<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: CheckpointStore + Inspect + Clone + 'static,
{
    shop::fill(&store, &clock).await;
    shows("types", &done_on(url, &["types"]));
    shows("types_json", &done_on(url, &["types", "--format", "json"]));
    let lines = done_on(url, &["types", "--format", "jsonl"]);
    assert_eq!(lines.lines().count(), 3);
    // The port refuses what it could not answer at once.
    assert!(store.count_types(0).await.is_err() && store.timer_queues(None, 10_001).await.is_err());
}

/// A transaction that has written events and is open.
#[tokio::test(flavor = "multi_thread")]
async fn status_names_who_holds_readers_back() {
    let (url, store, clock, database) = super::place::postgres().await;
    shop::fill(&store, &clock).await;
    let mut holder = database.connection().await;
    let mut open = holder.begin().await.unwrap();
    sqlx::raw_sql(
        "SET LOCAL application_name = 'night-report';
         SELECT pg_advisory_xact_lock_shared('annals_positions'::regclass::oid::int, last_value::int) FROM annals_positions;
         SELECT nextval('annals_positions')",
    )
    .execute(&mut *open)
    .await
    .unwrap();
    let out = done_on(&url, &["status"]);
    assert!(out.contains("readable up to position 5 of 6"), "{out}");
    assert!(out.contains("readers of the log wait for process"), "{out}");
    assert!(out.contains("(night-report)") && out.contains("idle in transaction"), "{out}");
    let told: serde_json::Value = serde_json::from_str(&done_on(&url, &["status", "--format", "json"])).unwrap();
    assert!(told["log"]["held_by"].as_str().unwrap().contains("night-report"), "{told}");
    open.rollback().await.unwrap();
    let out = done_on(&url, &["status"]);
    assert!(out.contains("readable to its end") && !out.contains("wait for"), "{out}");
}

/// What is beyond the bound is estimated, where the database does, and never shown as if it were counted.
#[tokio::test(flavor = "multi_thread")]
async fn status_counts_up_to_a_bound_and_says_so() {
    let (url, _store, _, database) = super::place::postgres().await;
    let mut connection = database.connection().await;
    let fill = "INSERT INTO annals_inbox (consumer, message_id, content, received_at, expires_at)
                SELECT 'shop', number::text, sha256('paid'), now(), now() FROM generate_series(1, 120000) AS number";
    sqlx::raw_sql("ALTER TABLE annals_inbox SET (autovacuum_enabled = false)").execute(&mut connection).await.unwrap();
    sqlx::raw_sql(fill).execute(&mut connection).await.unwrap();
    let out = done_on(&url, &["status"]);
    assert!(out.contains("more than 100,000"), "{out}");
    sqlx::raw_sql("ANALYZE annals_inbox").execute(&mut connection).await.unwrap();
    let out = done_on(&url, &["status"]);
    assert!(out.contains("about 120,000"), "{out}");
}
