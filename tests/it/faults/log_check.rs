//! The check of a whole database file: what must hold whatever happened to its writers.

use std::{collections::HashMap, path::Path};

use annals::{EventRef, EventStore as _, LogQuery, Repository, SqliteStore, Verify};
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    raw,
    tally::{Request, Tally, answer_line, is_replayed},
};

/// What a sound file holds.
pub struct Checked {
    /// How many events each command id has written.
    pub events_of: HashMap<Uuid, usize>,
    pub events: usize,
    pub receipts: usize,
}

/// Checks a file: SQLite's own check of its pages and indexes, and the check of the whole log.
pub async fn check_file(store: &SqliteStore, path: &Path) -> Checked {
    let mut connection = raw(path).await;
    let verdict: String =
        sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap().try_get(0).unwrap();
    assert_eq!(verdict, "ok");
    let report = Verify::new(store).refold::<Tally>().run().await.unwrap();
    assert!(report.is_sound(), "{report}");

    let mut events_of: HashMap<Uuid, usize> = HashMap::new();
    let mut count = |event: EventRef<'_>| {
        *events_of.entry(event.command_id).or_default() += 1;
        Ok(())
    };
    store.read_log(&LogQuery::all(), &mut count).await.unwrap();
    let events = events_of.values().sum();
    assert_eq!(report.counts.events, events as u64, "the check has seen what a reader of the log sees");
    Checked { events_of, events, receipts: usize::try_from(report.counts.receipts).unwrap() }
}

/// Repeats acknowledged requests: each gets its first answer, and has taken effect once.
pub async fn check_acknowledged<'a>(
    store: &SqliteStore,
    checked: &Checked,
    acknowledged: impl IntoIterator<Item = (&'a String, &'a String)>,
) {
    let tallies = Repository::<Tally>::new(store);
    for (key, first_answer) in acknowledged {
        let request = Request::of(key);
        let command_id = request.key.command_id(request.id.uuid());
        let written = checked.events_of.get(&command_id).copied().unwrap_or(0);
        assert_eq!(written, request.events(), "{key} was acknowledged and has left {written} events");
        let again = request.run(&tallies).await;
        assert_eq!(answer_line(&again).as_ref(), Ok(first_answer), "{key} has another answer now");
        assert!(is_replayed(&again), "{key} was run again");
    }
}
