//! Reads that meet an error half-way.

use std::{
    fs::OpenOptions,
    io::{Seek as _, SeekFrom, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use annals::{
    Aggregate, Append, Error, EventStore as _, EventStoreExt as _, Fault, Id, LogQuery, NewEvent, Repository,
    SqliteStore, StreamQuery, Transactional as _, Work as _,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Database, assert_contiguous, note};

/// The size of SQLite's pages, unless told otherwise.
const PAGE: usize = 4096;
const EVENTS: u64 = 2_000;

#[derive(Debug, Default)]
struct Pad(u64);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Padded(String),
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("never")]
enum Never {}

impl Aggregate for Pad {
    const TYPE: &'static str = "pad";
    type Command = ();
    type Event = Event;
    type Rejection = Never;

    fn decide(&self, (): &()) -> Result<Vec<Event>, Never> {
        Ok(vec![Event::Padded(String::new())])
    }

    fn evolve(&mut self, Event::Padded(_): &Event) {
        self.0 += 1;
    }
}

/// A database whose page with one of the last events is damaged.
async fn damaged(id: Id<Pad>) -> Database {
    let database = Database::new();
    let store = database.open().await;
    for chunk in 0..EVENTS / 500 {
        let events = (0..500).map(|at| {
            let text = format!("marker {} {}", chunk * 500 + at, "x".repeat(500));
            NewEvent::new("padded", &text).unwrap()
        });
        store.append_one(Append::to(id).events(events)).await.unwrap();
    }
    store.close().await;
    let bytes = std::fs::read(database.path()).unwrap();
    let marker = format!("\"marker {} x", EVENTS - 100);
    let at =
        bytes.windows(marker.len()).position(|window| window == marker.as_bytes()).expect("the log is in the file");
    let mut file = OpenOptions::new().write(true).open(database.path()).unwrap();
    file.seek(SeekFrom::Start((at / PAGE * PAGE) as u64)).unwrap();
    file.write_all(&[0xff; 16]).unwrap();
    database
}

fn assert_corrupt<T: std::fmt::Debug>(answer: Result<T, Error>, what: &str) {
    match answer {
        Err(Error::Backend { fault: Fault::Corrupt, .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_101_a_damaged_page_is_an_error_and_never_a_shorter_result() {
    let id = Id::<Pad>::new();
    let database = damaged(id).await;
    let store = database.open().await;
    for round in 0..2 {
        let mut visited = 0;
        let read = store
            .read_log(&LogQuery::all(), &mut |_| {
                visited += 1;
                Ok(())
            })
            .await;
        assert_corrupt(read, "the log");
        assert!(visited > EVENTS / 2 && visited < EVENTS, "the error came late in the read, after {visited}");
        assert_corrupt(store.collect_log(&LogQuery::all()).await.map(|events| events.len()), "the collected log");
        let mut visited = 0;
        let read = store
            .read_stream(&StreamQuery::of(id), &mut |_| {
                visited += 1;
                Ok(())
            })
            .await;
        assert_corrupt(read, "a stream");
        assert!(visited > EVENTS / 2 && visited < EVENTS, "the error came late in the read, after {visited}");
        assert_corrupt(
            store.collect_stream(&StreamQuery::of(id).backward()).await.map(|events| events.len()),
            "backward",
        );
        let pads = Repository::<Pad>::new(&store);
        assert_corrupt(pads.load(id).await.map(|loaded| loaded.version), "a load");
        assert_corrupt(pads.replay(id, |_| ()).await.map(|loaded| loaded.version), "a replay");
        let ended = pads.execute(id, &()).await.unwrap_err();
        let corrupt = matches!(ended.store_error(), Some(Error::Backend { fault: Fault::Corrupt, .. }));
        assert!(corrupt, "no decision on half a history: {ended:?}");
        let before = pads.load_at(id, EVENTS / 2).await.unwrap();
        assert_eq!((before.version, before.state.0), (EVENTS / 2, EVENTS / 2), "what is sound is read, round {round}");
    }
}

/// Makes the one connection of a database in memory interrupt what it does, while it is told to.
async fn interruptible(store: &SqliteStore) -> Arc<AtomicBool> {
    let interrupt = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&interrupt);
    let mut work = store.begin().await.unwrap();
    let mut handle = work.connection().lock_handle().await.unwrap();
    handle.set_progress_handler(1_000, move || !told.load(Ordering::SeqCst));
    drop(handle);
    work.commit().await.unwrap();
    interrupt
}

#[tokio::test(flavor = "multi_thread")]
async fn store_101_an_interrupted_read_is_an_error_and_never_a_shorter_result() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let id = Uuid::now_v7();
    for _ in 0..4 {
        store.append_one(note(id, 0..500)).await.unwrap();
    }
    let interrupt = interruptible(&store).await;
    for round in 0..6 {
        let mut visited = 0;
        let mut visit = |_: annals::EventRef<'_>| {
            visited += 1;
            // Once the read is under way.
            interrupt.store(visited >= 10, Ordering::SeqCst);
            Ok(())
        };
        let read = match round % 3 {
            0 => store.read_log(&LogQuery::all(), &mut visit).await.map(|_| ()),
            1 => store.read_stream(&StreamQuery::of(id), &mut visit).await.map(|_| ()),
            _ => store.read_stream(&StreamQuery::of(id).backward(), &mut visit).await.map(|_| ()),
        };
        interrupt.store(false, Ordering::SeqCst);
        let error = read.expect_err("the statement was interrupted");
        assert!(matches!(error, Error::Backend { .. }), "{error:?}");
        assert!((10..2_000).contains(&visited), "interrupted half-way, after {visited}");
        assert_contiguous(&store, 2_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_040_an_interrupted_write_leaves_nothing_and_the_next_one_succeeds() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let interrupt = interruptible(&store).await;
    for round in 0..5 {
        let append = note(Uuid::now_v7(), 0..500);
        interrupt.store(true, Ordering::SeqCst);
        let error = store.append_one(append.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error:?}");
        interrupt.store(false, Ordering::SeqCst);
        assert_contiguous(&store, round * 500).await;
        assert!(!store.append_one(append).await.expect("the connection is sound again").replayed);
    }
}
