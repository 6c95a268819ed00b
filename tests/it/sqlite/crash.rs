//! Processes that are killed at the worst moment.

use annals::{
    EventStore as _, EventStoreExt as _, IdempotencyKey, SqliteStore, StreamQuery, Transactional as _, Work as _,
};
use uuid::Uuid;

use super::{
    Database, assert_contiguous, note,
    process::{self, Process},
};

fn key() -> IdempotencyKey {
    IdempotencyKey::new("k").unwrap()
}

/// The append that is repeated by whoever sees it through.
fn append() -> annals::Append {
    note(Uuid::from_u128(7), [1, 2, 3]).idempotency_key(key())
}

/// Lets a process go up to where it says so, then kills it.
fn killed_at(database: &Database, place: &str) {
    let mut process = Process::start("sqlite::crash::to_be_killed", &database.path());
    process.tell(place);
    assert_eq!(process.answer(), "here");
}

#[test]
fn store_037_a_process_killed_before_its_commit_leaves_nothing() {
    let database = Database::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for place in ["before anything", "in the transaction"] {
        killed_at(&database, place);
        runtime.block_on(async {
            let store = database.open().await;
            assert_contiguous(&store, 0).await;
            assert_eq!(store.receipt(append().aggregate_id, &key()).await.unwrap(), None, "{place}");
            store.close().await;
        });
    }
    runtime.block_on(async {
        let store = database.open().await;
        let done = store.append_one(append()).await.unwrap();
        assert!(!done.replayed, "the retry is the one that is executed");
        assert!(store.append_one(append()).await.unwrap().replayed);
        assert_contiguous(&store, 3).await;
    });
}

#[test]
fn store_033_a_process_killed_after_its_commit_is_answered_by_its_retry() {
    for place in ["after the transaction", "after the append"] {
        let database = Database::new();
        killed_at(&database, place);
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let store = database.open().await;
            let again = store.append_one(append()).await.unwrap();
            assert!(again.replayed, "what was committed is found, killed {place}");
            assert_eq!(again.version, 3);
            assert_contiguous(&store, 3).await;
            assert_eq!(store.collect_stream(&StreamQuery::of(append().aggregate_id)).await.unwrap().len(), 3);
        });
    }
}

#[tokio::test]
#[ignore = "run by the tests of this file, as a process of its own"]
async fn to_be_killed() {
    let store = SqliteStore::open(process::database()).await.unwrap();
    let place = process::told();
    let mut open = None;
    match place.as_str() {
        "before anything" => {}
        "after the append" => drop(store.append_one(append()).await.unwrap()),
        place => {
            let mut work = store.begin().await.unwrap();
            work.append(&append()).await.unwrap();
            if place == "after the transaction" {
                work.commit().await.unwrap();
            } else {
                open = Some(work);
            }
        }
    }
    process::answer("here");
    process::told();
    drop(open);
}
