//! Files that were damaged behind the store's back.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use annals::store::{LoadQuery, LoadVisitor, SnapshotRef};
use annals::{
    Error, EventRef, EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, Id, LogQuery, Repository,
    SqliteStore, StreamQuery,
};
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    fault_of, notes, raw,
    tally::{Tally, TallyCommand},
};

/// A closed file with one tally of so many events, and notes of another aggregate around it.
async fn closed_file(folder: &Path, events: u8) -> (PathBuf, Id<Tally>) {
    let path = folder.join("events.db");
    let id = Id::natural("damaged");
    let store = SqliteStore::open(&path).await.unwrap();
    store.append_one(notes(Uuid::nil(), ExpectedVersion::New, 10, 50)).await.unwrap();
    let tallies = Repository::<Tally>::new(&store);
    for _ in 0..events / 3 {
        tallies.execute(id, &TallyCommand::Add { events: 3 }).await.unwrap();
    }
    store.append_one(notes(Uuid::nil(), ExpectedVersion::Any, 10, 50)).await.unwrap();
    store.close().await;
    (path, id)
}

/// Changes rows as somebody with a shell could: past the triggers.
async fn tamper(path: &Path, statement: &'static str, id: Id<Tally>) {
    let mut connection = raw(path).await;
    for sql in
        ["DROP TRIGGER annals_events_refuse_update", "DROP TRIGGER annals_events_refuse_delete", "PRAGMA foreign_keys"]
    {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    assert!(sqlx::query(statement).bind(id.uuid()).execute(&mut connection).await.unwrap().rows_affected() > 0);
}

/// Looks at nothing that is loaded.
struct Ignore;

impl LoadVisitor for Ignore {
    fn visit_snapshot(&mut self, _: SnapshotRef<'_>) -> bool {
        true
    }

    fn visit_event(&mut self, _: EventRef<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// Corruption, with the number of the event in its message.
fn names_event(error: &Error, sequence: u64) {
    assert_eq!(fault_of(error), Some(Fault::Corrupt), "{error:?}");
    assert!(error.to_string().contains(&format!("event {sequence} ")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_event_is_found_by_its_checksum() {
    for statement in [
        "UPDATE annals_events SET payload = '{\"by\":2}' WHERE aggregate_id = ? AND sequence = 5",
        "UPDATE annals_events SET metadata = '{\"actor\":\"x\"}' WHERE aggregate_id = ? AND sequence = 5",
        "UPDATE annals_events SET schema_version = 2 WHERE aggregate_id = ? AND sequence = 5",
        "UPDATE annals_events SET checksum = checksum + 1 WHERE aggregate_id = ? AND sequence = 5",
        "UPDATE annals_events SET event_type = 'addee' WHERE aggregate_id = ? AND sequence = 5",
        // Not UTF-8 any more.
        "UPDATE annals_events SET payload = CAST(x'7bff7d' AS TEXT) WHERE aggregate_id = ? AND sequence = 5",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (path, id) = closed_file(folder.path(), 9).await;
        tamper(&path, statement, id).await;
        let store = SqliteStore::open(&path).await.unwrap();
        let tallies = Repository::<Tally>::new(&store);
        names_event(&tallies.load(id).await.unwrap_err(), 5);
        names_event(&tallies.load_at(id, 7).await.unwrap_err(), 5);
        names_event(&store.collect_log(&LogQuery::all()).await.unwrap_err(), 5);
        let error = tallies.execute(id, &TallyCommand::Nothing).await.unwrap_err();
        names_event(error.store_error().unwrap(), 5);
        // What lies before the damage, and beside it, is whole.
        assert_eq!(tallies.load_at(id, 4).await.unwrap().state.sum, 4);
        assert_eq!(store.collect_stream(&StreamQuery::of(Uuid::nil())).await.unwrap().len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_event_is_found_wherever_it_is_missing() {
    for (statement, sequence) in [
        ("DELETE FROM annals_events WHERE aggregate_id = ? AND sequence = 1", 1),
        ("DELETE FROM annals_events WHERE aggregate_id = ? AND sequence <= 3", 1),
        ("DELETE FROM annals_events WHERE aggregate_id = ? AND sequence = 5", 5),
        ("DELETE FROM annals_events WHERE aggregate_id = ? AND sequence BETWEEN 4 AND 6", 4),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (path, id) = closed_file(folder.path(), 9).await;
        tamper(&path, statement, id).await;
        let store = SqliteStore::open(&path).await.unwrap();
        let tallies = Repository::<Tally>::new(&store);
        names_event(&tallies.load(id).await.unwrap_err(), sequence);
        let by_snapshot = LoadQuery { aggregate_id: id.uuid(), snapshot_version: 1, receipt_of: None };
        names_event(&store.load(&by_snapshot, &mut Ignore).await.unwrap_err(), sequence);
        names_event(&tallies.load_at(id, 8).await.unwrap_err(), sequence);
        names_event(&tallies.load_at(id, 5).await.unwrap_err(), sequence);
        let error = store.collect_log(&LogQuery::all()).await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::Corrupt), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (path, id) = closed_file(folder.path(), 9).await;
    let bytes = fs::read(&path).unwrap();
    // The payload of the tally's events, as it stands in the file: a digit becomes another digit.
    let places: Vec<_> = bytes.windows(8).enumerate().filter(|(_, found)| found == b"{\"by\":1}").collect();
    assert_eq!(places.len(), 9);
    for (at, _) in places {
        let mut damaged = bytes.clone();
        damaged[at + 6] = b'3';
        fs::write(&path, &damaged).unwrap();
        let store = SqliteStore::open(&path).await.unwrap();
        let mut connection = raw(&path).await;
        let verdict = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
        assert_eq!(verdict.get::<&str, _>(0), "ok", "SQLite itself sees nothing wrong");
        let error = Repository::<Tally>::new(&store).load(id).await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::Corrupt), "{error:?}");
        drop(connection);
        store.close().await;
    }
}

/// Reads everything there is; the histories that came back must be whole.
async fn whole_or_error(path: &Path, events: usize, id: Id<Tally>, tally: u64) -> Result<(), Error> {
    let store = SqliteStore::open(path).await?;
    let outcome = async {
        let log = store.collect_log(&LogQuery::all()).await;
        let loaded = Repository::<Tally>::new(&store).load(id).await;
        let noted = store.collect_stream(&StreamQuery::of(Uuid::nil())).await;
        if let Ok(log) = &log {
            assert_eq!(log.len(), events, "a shorter log looks complete");
        }
        if let Ok(loaded) = &loaded {
            assert_eq!((loaded.version, loaded.state.sum), (tally, tally), "a shorter history looks complete");
        }
        if let Ok(noted) = &noted {
            assert_eq!(noted.len(), 20, "a shorter history looks complete");
        }
        log.and(loaded.map(|_| ())).and(noted.map(|_| ()))
    };
    let outcome = outcome.await;
    store.close().await;
    outcome
}

fn is_about_the_file(error: &Error) -> bool {
    matches!(
        error,
        Error::Backend { fault: Fault::Corrupt | Fault::Io | Fault::Other, .. }
            | Error::Schema { .. }
            | Error::Codec { .. }
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_is_an_error_and_never_a_shorter_history() {
    let folder = tempfile::tempdir().unwrap();
    let (path, id) = closed_file(folder.path(), 240).await;
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 10, "{pages} pages");
    // SQLite takes a file of 0 bytes, or of 1, for a new database.
    let lengths =
        (1..pages).map(|page| page * 4096).chain([2, 50, 100, 1000, 5000, whole.len() - 1, whole.len() - 4000]);
    for length in lengths {
        fs::write(&path, &whole[..length]).unwrap();
        match whole_or_error(&path, 260, id, 240).await {
            // A page that was cut short may have lost nothing that was ever used.
            Ok(()) => assert!(length % 4096 != 0, "{length} of {} bytes passed", whole.len()),
            Err(error) => assert!(is_about_the_file(&error), "{length} of {} bytes: {error:?}", whole.len()),
        }
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(folder.path().join(format!("events.db{suffix}")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zeroed_page_is_an_error_and_never_a_shorter_history() {
    let folder = tempfile::tempdir().unwrap();
    let (path, id) = closed_file(folder.path(), 240).await;
    let whole = fs::read(&path).unwrap();
    let (mut found, mut with_rows) = (0, 0);
    for page in 0..whole.len() / 4096 {
        // Of a page that holds nothing (of a table that is empty) nobody misses anything. Its rows are counted in its head.
        with_rows += usize::from(whole[page * 4096 + 3..page * 4096 + 5] != [0, 0]);
        fs::write(&path, &whole).unwrap();
        let mut file: File = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(page as u64 * 4096)).unwrap();
        file.write_all(&[0; 4096]).unwrap();
        drop(file);
        match whole_or_error(&path, 260, id, 240).await {
            Ok(()) => {}
            Err(error) => {
                found += 1;
                assert!(is_about_the_file(&error), "page {page}: {error:?}");
            }
        }
    }
    // A page of the receipts, or of an index nobody asked, may pass unseen.
    assert!(found * 3 >= with_rows * 2, "only {found} of {with_rows} zeroed pages were noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_receipt_is_an_error_and_not_a_second_run() {
    use annals::IdempotencyKey;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let id = Id::<Tally>::natural("damaged");
    let key = IdempotencyKey::new("once").unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let tallies = Repository::<Tally>::new(&store);
    tallies.execute(id, &TallyCommand::Refuse).idempotency_key(key.clone()).await.unwrap_err();
    let mut connection = raw(&path).await;
    for statement in [
        "UPDATE annals_receipts SET rejection = NULL",
        "UPDATE annals_receipts SET outcome = 'accepted', rejection = 'x'",
        "UPDATE annals_receipts SET outcome = 'rejected', rejection = '{\"sum\":'",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
        let error = tallies.execute(id, &TallyCommand::Refuse).idempotency_key(key.clone()).await.unwrap_err();
        let error = error.store_error().expect("what is damaged is no rejection");
        assert!(is_about_the_file(error), "{statement}: {error:?}");
        assert!(is_about_the_file(&tallies.outcome(id, &key).await.unwrap_err()));
        assert_eq!(store.head().await.unwrap().get(), 0);
    }
}
