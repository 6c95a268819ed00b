//! What is refused: changing the history, and calls that break a bound.

use annals::{Append, Error, EventStoreExt as _, IdempotencyKey, NewEvent, SqliteStore, Transactional as _, Work as _};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{Database, assert_contiguous, log, note};

/// Ways in which SQL can change or remove a row that is there, refused on every connection.
const CHANGES: [&str; 11] = [
    "UPDATE annals_events SET payload = '0'",
    "UPDATE annals_events SET payload = payload",
    "UPDATE annals_events SET position = position + 100 WHERE position = 2",
    "UPDATE annals_events SET sequence = 9 WHERE sequence = 1",
    "UPDATE OR IGNORE annals_events SET payload = '0' WHERE position = 1",
    "UPDATE OR REPLACE annals_events SET position = 1 WHERE position = 2",
    "DELETE FROM annals_events",
    "DELETE FROM annals_events WHERE position = 2",
    "INSERT INTO annals_events SELECT * FROM annals_events",
    "INSERT INTO annals_events SELECT * FROM annals_events WHERE true
         ON CONFLICT (position) DO UPDATE SET payload = '0'",
    "INSERT INTO annals_events SELECT 100, aggregate_id, sequence, aggregate_type, event_type, schema_version,
         command_id, '0', metadata, checksum, recorded_at FROM annals_events WHERE position = 2
         ON CONFLICT DO UPDATE SET payload = '0'",
];

/// Ways that ask the triggers only on the store's own connections.
const REPLACEMENTS: [&str; 4] = [
    "REPLACE INTO annals_events SELECT * FROM annals_events WHERE position = 1",
    "INSERT OR REPLACE INTO annals_events SELECT * FROM annals_events",
    // In the place of one event by its position, and of another by its sequence.
    "REPLACE INTO annals_events SELECT 1, zeroblob(16), 1, aggregate_type, event_type, schema_version, command_id,
         '0', metadata, checksum, recorded_at FROM annals_events WHERE position = 2",
    "REPLACE INTO annals_events SELECT 100, aggregate_id, sequence, aggregate_type, event_type, schema_version,
         command_id, '0', metadata, checksum, recorded_at FROM annals_events WHERE position = 2",
];

async fn assert_refused(connection: &mut SqliteConnection, change: &'static str) {
    let error = sqlx::query(change).execute(connection).await.expect_err(change);
    let code = error.as_database_error().and_then(|error| error.code()).expect("the database refuses").into_owned();
    let primary = code.parse::<u32>().unwrap() & 0xff;
    assert_eq!(primary, 19, "refused by a constraint: {change}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_020_events_can_be_neither_changed_nor_removed() {
    let database = Database::new();
    let store = database.open().await;
    store.append_one(note(Uuid::now_v7(), [1, 2])).await.unwrap();
    store.append_one(note(Uuid::now_v7(), [3])).await.unwrap();
    let before = log(&store).await;
    for change in CHANGES.into_iter().chain(REPLACEMENTS) {
        // On the store's own connection, in a transaction that goes on and is committed.
        let mut work = store.begin().await.unwrap();
        assert_refused(work.connection(), change).await;
        work.commit().await.unwrap();
        assert_eq!(log(&store).await, before, "{change}");
    }
    // On a connection that knows nothing of this crate.
    let mut foreign = database.connect().await;
    for change in CHANGES {
        assert_refused(&mut foreign, change).await;
        assert_eq!(log(&store).await, before, "{change}");
    }
    store.append_one(note(Uuid::now_v7(), [4])).await.unwrap();
    assert_contiguous(&store, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_102_bounds_are_checked_before_any_io() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    store.close().await;
    let id = Uuid::now_v7();
    let key = || IdempotencyKey::new("k").unwrap();
    let sound = store.append_one(note(id, [1])).await;
    assert!(matches!(sound, Err(Error::Unavailable { .. })), "a sound append needs the database: {sound:?}");
    let large = NewEvent::new("noted", &"x".repeat(1 << 20)).unwrap();
    let unsound = [
        Append::new("Not Kebab", id).event(NewEvent::new("noted", &1).unwrap()),
        note(id, []),
        note(id, 0..501),
        note(id, []).event(large),
        note(id, []).event(NewEvent::new("line\nbreak", &1).unwrap()),
        note(id, []).event(NewEvent::new("noted", &1).unwrap().in_schema_version(0)),
        note(id, [1]).metadata(annals::Metadata::new().actor("x".repeat(64 << 10))),
        note(id, [1]).idempotency_key(key()).keep_receipt_for(std::time::Duration::ZERO),
        note(id, [1]).rejected("\"no\"".into()),
        note(id, [1]).idempotency_key(key()).rejected("\"no\"".into()),
        note(id, []).rejected("\"no\"".into()),
    ];
    for append in unsound {
        let answer = store.append_one(append).await;
        assert!(matches!(answer, Err(Error::Invalid { .. })), "refused before the database is asked: {answer:?}");
    }
}
