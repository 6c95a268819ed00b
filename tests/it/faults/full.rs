//! A database that has no room left.

use std::path::Path;

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, IdempotencyKey, LogQuery, NewEvent,
    SqliteStore, StreamQuery, Transactional as _, Work as _,
};
use uuid::Uuid;

use super::{fault_of, log_check::check_file, notes};

/// Enough for the schema and some events.
const FEW_PAGES: &str = "40";

async fn small(path: &Path) -> SqliteStore {
    SqliteStore::options().pragma("max_page_count", FEW_PAGES).open(path).await.unwrap()
}

/// Appends until the database is full, and returns what was acknowledged and the error.
async fn fill(store: &SqliteStore, events: usize) -> (Vec<(Append, u64)>, Append, Error) {
    let mut acknowledged = Vec::new();
    for number in 0..10_000 {
        let append = notes(Uuid::now_v7(), ExpectedVersion::New, events, 700)
            .idempotency_key(IdempotencyKey::new(format!("key-{number}")).unwrap());
        match store.append_one(append.clone()).await {
            Ok(appended) => acknowledged.push((append, appended.position.unwrap().get())),
            Err(error) => return (acknowledged, append, error),
        }
    }
    panic!("the database never filled up");
}

async fn refuses_and_loses_nothing(events: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.db");
    let store = small(&path).await;
    let (acknowledged, refused, error) = fill(&store, events).await;
    assert_eq!(fault_of(&error), Some(Fault::Full), "{error:?}");
    assert!(!acknowledged.is_empty());

    // Full stays full, whoever asks and however often; and never turns into something else.
    for _ in 0..5 {
        let error = store.append_one(refused.clone()).await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::Full), "{error:?}");
        let mut work = store.begin().await.unwrap();
        let error = work.append(&refused).await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::Full), "{error:?}");
    }
    // What was written is still read and still answered.
    assert_eq!(store.collect_log(&LogQuery::all()).await.unwrap().len(), acknowledged.len() * events);
    for (append, position) in &acknowledged {
        let again = store.append_one(append.clone()).await.unwrap();
        assert_eq!((again.position.unwrap().get(), again.replayed), (*position, true));
    }
    assert_eq!(check_file(&store, &path).await.events, acknowledged.len() * events);
    store.close().await;

    let roomy = SqliteStore::open(&path).await.unwrap();
    let appended = roomy.append_one(refused.clone()).await.unwrap();
    assert!(!appended.replayed);
    let checked = check_file(&roomy, &path).await;
    assert_eq!((checked.events, checked.receipts), ((acknowledged.len() + 1) * events, acknowledged.len() + 1));
    assert_eq!(roomy.collect_stream(&StreamQuery::of(refused.aggregate_id)).await.unwrap().len(), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_an_event_and_loses_nothing() {
    refuses_and_loses_nothing(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_a_large_append_whole() {
    refuses_and_loses_nothing(23).await;
}

/// Room can come back while the store is open: the pragma is raised on the very connection that was full.
async fn works_again_once_there_is_room(store: SqliteStore) {
    let (acknowledged, refused, error) = fill(&store, 1).await;
    assert_eq!(fault_of(&error), Some(Fault::Full), "{error:?}");
    let mut work = store.begin().await.unwrap();
    sqlx::query("PRAGMA max_page_count = 4000").execute(work.connection()).await.unwrap();
    drop(work);
    let appended = store.append_one(refused).await.unwrap();
    assert_eq!(appended.position.unwrap().get(), acknowledged.len() as u64 + 1);
    assert_eq!(store.head().await.unwrap(), appended.position.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_full_works_again_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    works_again_once_there_is_room(small(&folder.path().join("full.db")).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_was_full_works_again_once_there_is_room() {
    let store = SqliteStore::options().pragma("max_page_count", FEW_PAGES).open_in_memory().await.unwrap();
    works_again_once_there_is_room(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_fills_the_disk_does_not_fail_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.db");
    let store = small(&path).await;
    let little = || notes(Uuid::now_v7(), ExpectedVersion::New, 1, 10);
    let huge = || notes(Uuid::now_v7(), ExpectedVersion::New, 4, 100_000);
    for _ in 0..3 {
        let answers = store.append(vec![huge(), little(), huge(), little()]).await;
        for (index, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(appended) => assert!(index % 2 == 1 && appended.version == 1),
                Err(error) => assert!(index % 2 == 0 && fault_of(&error) == Some(Fault::Full), "{error:?}"),
            }
        }
    }
    assert_eq!(check_file(&store, &path).await.events, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_too_full_for_the_schema_is_said_to_be_full() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.db");
    let error = SqliteStore::options().pragma("max_page_count", "4").open(&path).await.unwrap_err();
    assert_eq!(fault_of(&error), Some(Fault::Full), "{error:?}");
    // Half a schema would be worse than none.
    let store = SqliteStore::open(&path).await.unwrap();
    let event = NewEvent::new("noted", "text").unwrap();
    store.append_one(Append::new("note", Uuid::now_v7()).event(event)).await.unwrap();
}
