//! The check of a whole log: what must hold whatever happened to its writers.

use std::{collections::HashMap, path::Path};

use annals::{EventRef, EventStore, LogQuery, Metadata, SqliteStore, Verify, store::Auditable};
use sqlx::Row as _;

use super::{raw, tally::Tally};

/// What a sound log holds.
pub struct Checked {
    /// How many events each request has left, by the name that its events bear.
    pub events_of: HashMap<String, usize>,
    pub events: usize,
    pub receipts: usize,
}

/// Checks a log that nobody writes to, and counts what its requests have left.
pub async fn check_log<S: Auditable + EventStore>(store: &S) -> Checked {
    let report = Verify::new(store).refold::<Tally>().run().await.unwrap();
    assert!(report.is_sound(), "{report}");

    let (mut events, mut events_of) = (0, HashMap::new());
    let mut count = |event: EventRef<'_>| {
        events += 1;
        if let Some(name) = Metadata::from_json(event.metadata)?.correlation_id {
            *events_of.entry(name).or_insert(0) += 1;
        }
        Ok(())
    };
    store.read_log(&LogQuery::all(), &mut count).await.unwrap();
    assert_eq!(report.counts.events, events as u64, "the check has seen what a reader of the log sees");
    Checked { events_of, events, receipts: usize::try_from(report.counts.receipts).unwrap() }
}

/// Checks a file: SQLite's own check of its pages and indexes, and the log.
pub async fn check_file(store: &SqliteStore, path: &Path) -> Checked {
    let mut connection = raw(path).await;
    let verdict: String =
        sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap().try_get(0).unwrap();
    assert_eq!(verdict, "ok");
    check_log(store).await
}
