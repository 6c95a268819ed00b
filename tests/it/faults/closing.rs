//! Stores that are closed, and runtimes that end, while calls are under way.

use annals::{Error, EventStore as _, EventStoreExt as _, ExpectedVersion, LogQuery, SqliteStore, StreamQuery};
use annals::{IdempotencyKey, Retry, Transactional as _, Work as _};
use uuid::Uuid;

use super::{log_check::check_file, notes};

#[tokio::test(flavor = "multi_thread")]
async fn closing_lets_calls_under_way_end_and_refuses_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let calls: Vec<_> = (0..60)
        .map(|_| {
            let (store, append) = (store.clone(), notes(Uuid::now_v7(), ExpectedVersion::New, 2, 100));
            tokio::spawn(async move { (append.clone(), store.append_one(append).await) })
        })
        .collect();
    // Some are through, some under way, some not begun.
    store.append_one(notes(Uuid::now_v7(), ExpectedVersion::New, 1, 1)).await.unwrap();
    store.close().await;
    let mut acknowledged = 0;
    let reopened = SqliteStore::open(&path).await.unwrap();
    for call in calls {
        let (append, answer) = call.await.unwrap();
        let there = reopened.collect_stream(&StreamQuery::of(append.aggregate_id)).await.unwrap().len();
        match answer {
            Ok(_) => {
                assert_eq!(there, 2);
                acknowledged += 1;
            }
            Err(Error::Unavailable { .. }) => assert_eq!(there, 0, "it was said that nothing was written"),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(check_file(&reopened, &path).await.events, 1 + 2 * acknowledged);
    let id = Uuid::now_v7();
    let unavailable = |error: Error| assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    unavailable(store.append_one(notes(id, ExpectedVersion::Any, 1, 1)).await.unwrap_err());
    unavailable(store.collect_stream(&StreamQuery::of(id)).await.unwrap_err());
    unavailable(store.collect_log(&LogQuery::all()).await.unwrap_err());
    unavailable(store.head().await.unwrap_err());
    unavailable(store.receipt(id, &IdempotencyKey::random()).await.unwrap_err());
    unavailable(store.begin().await.unwrap_err());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_an_open_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut work = store.begin().await.unwrap();
    let closing = {
        let store = store.clone();
        tokio::spawn(async move { store.close().await })
    };
    work.append(&notes(Uuid::now_v7(), ExpectedVersion::New, 3, 10)).await.unwrap();
    work.commit().await.unwrap();
    closing.await.unwrap();
    let reopened = SqliteStore::open(&path).await.unwrap();
    assert_eq!(check_file(&reopened, &path).await.events, 3);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_runtime_that_ends_under_way_leaves_whole_appends_and_a_store_that_can_be_used_from_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let mut appends = Vec::new();
    let opening = runtime();
    let store = opening.block_on(SqliteStore::open(&path)).unwrap();
    drop(opening);
    for _ in 0..10 {
        let dying = runtime();
        for _ in 0..20 {
            let (store, append) = (store.clone(), notes(Uuid::now_v7(), ExpectedVersion::New, 2, 100));
            appends.push(append.clone());
            dying.spawn(async move { store.append_one(append).await });
        }
        let first = notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10);
        // The queue may still be run by the runtime before this one: its end is an error that can be retried.
        dying.block_on(annals::append(&store, first.clone(), Retry::default())).unwrap();
        appends.push(first);
        dying.shutdown_background();
    }
    runtime().block_on(async {
        for append in &appends {
            let there = store.collect_stream(&StreamQuery::of(append.aggregate_id)).await.unwrap().len();
            assert!(there == 0 || there == 2, "{there} of 2 events");
            let answer = annals::append(&store, append.clone(), Retry::default()).await.unwrap();
            assert!(answer.replayed || there == 0);
        }
        assert_eq!(check_file(&store, &path).await.events, 2 * appends.len());
        store.close().await;
    });
}

/// A transaction may outlive its runtime, as in a static or a test's fixture.
#[test]
fn a_transaction_dropped_outside_a_runtime_leaves_no_trace_and_does_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let first = runtime();
    let id = Uuid::now_v7();
    let (store, work) = first.block_on(async {
        let store = SqliteStore::open(&path).await.unwrap();
        let mut work = store.begin().await.unwrap();
        work.append(&notes(id, ExpectedVersion::New, 2, 10)).await.unwrap();
        (store, work)
    });
    drop(work);
    drop(first);
    runtime().block_on(async {
        assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 0);
        assert!(!store.append_one(notes(id, ExpectedVersion::New, 2, 10)).await.unwrap().replayed);
    });
}
