//! The check of a whole database file: what must hold whatever happened to its writers.

use std::{collections::HashMap, path::Path};

use annals::{EventStoreExt as _, LogQuery, Repository, SqliteStore, StreamQuery};
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

/// Checks a file: SQLite's own check, positions, sequences, checksums, and receipts against events.
pub async fn check_file(store: &SqliteStore, path: &Path) -> Checked {
    let mut connection = raw(path).await;
    let verdict: String =
        sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap().try_get(0).unwrap();
    assert_eq!(verdict, "ok");

    let log = store.collect_log(&LogQuery::all()).await.unwrap();
    let mut streams: HashMap<Uuid, Vec<_>> = HashMap::new();
    let mut events_of: HashMap<Uuid, usize> = HashMap::new();
    for (index, event) in log.iter().enumerate() {
        assert_eq!(event.position().get(), index as u64 + 1, "positions have no holes");
        streams.entry(event.aggregate_id()).or_default().push(event.clone());
        *events_of.entry(event.command_id()).or_default() += 1;
    }
    for (id, events) in &streams {
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.sequence(), index as u64 + 1, "sequences of {id} have no holes");
        }
        // Reading a stream also compares checksums.
        assert_eq!(&store.collect_stream(&StreamQuery::of(*id)).await.unwrap(), events);
    }

    let rows = sqlx::query(
        "SELECT aggregate_id, command_id, outcome, first_sequence, last_sequence FROM annals_receipts
         ORDER BY aggregate_id, first_sequence",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for row in &rows {
        let (id, command_id) = (row.get::<Uuid, _>(0), row.get::<Uuid, _>(1));
        let (first, last) = (row.get::<u32, _>(3) as usize, row.get::<u32, _>(4) as usize);
        let events = streams.get(&id).map_or(&[][..], Vec::as_slice);
        assert!(last <= events.len(), "a receipt of {id} speaks of event {last}, which is not there");
        let own = &events[first - 1..last.max(first - 1)];
        assert!(own.iter().all(|event| event.command_id() == command_id), "a receipt of {id} has others' events");
        assert_eq!(own.len(), events_of.get(&command_id).copied().unwrap_or(0), "a command of {id} left other events");
        assert!(row.get::<&str, _>(2) == "accepted" || own.is_empty(), "a rejection of {id} has events");
    }
    Checked { events_of, events: log.len(), receipts: rows.len() }
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
