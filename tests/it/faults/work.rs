//! Events and the application's own rows in one transaction.

use annals::{
    Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, LogQuery, SqliteStore, StreamQuery,
    Transactional as _, Work as _,
};
use sqlx::Row as _;
use uuid::Uuid;

use super::{fault_of, notes};

async fn with_own_table(store: &SqliteStore) {
    let mut work = store.begin().await.unwrap();
    sqlx::query("CREATE TABLE own (id BLOB PRIMARY KEY) STRICT").execute(work.connection()).await.unwrap();
    work.commit().await.unwrap();
}

async fn own_rows(store: &SqliteStore) -> i64 {
    let mut work = store.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM own").fetch_one(work.connection()).await.unwrap().get(0)
}

async fn events(store: &SqliteStore) -> usize {
    store.collect_log(&LogQuery::all()).await.unwrap().len()
}

async fn commits_both_or_neither(store: &SqliteStore) {
    with_own_table(store).await;
    let id = Uuid::now_v7();
    let append = notes(id, ExpectedVersion::New, 2, 10);
    let insert = || sqlx::query("INSERT INTO own (id) VALUES (?)").bind(id);

    let mut work = store.begin().await.unwrap();
    assert_eq!(work.append(&append).await.unwrap().version, 2);
    insert().execute(work.connection()).await.unwrap();
    drop(work);
    assert_eq!((own_rows(store).await, events(store).await), (0, 0), "dropped without commit it leaves no trace");

    let mut work = store.begin().await.unwrap();
    let first = work.append(&append).await.unwrap();
    // Within one transaction, too, a repeated append is answered and not written again.
    let again = work.append(&append).await.unwrap();
    assert_eq!((again.position, again.replayed), (first.position, true));
    // What it refuses does not end it.
    let conflict = work.append(&notes(id, ExpectedVersion::New, 1, 10)).await.unwrap_err();
    assert!(matches!(conflict, Error::Conflict { actual: 2, .. }), "{conflict:?}");
    assert!(matches!(
        work.append(&notes(id, ExpectedVersion::Exact(2), 0, 0)).await.unwrap_err(),
        Error::Invalid { .. }
    ));
    insert().execute(work.connection()).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!((own_rows(store).await, events(store).await), (1, 2));
    assert!(store.append_one(append.clone()).await.unwrap().replayed);

    // Run again as after a lost reply: the append tells that its rows are there.
    let mut work = store.begin().await.unwrap();
    assert!(work.append(&append).await.unwrap().replayed);
    insert().execute(work.connection()).await.unwrap_err();
    drop(work);
    assert_eq!((own_rows(store).await, events(store).await), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn own_rows_and_events_commit_together_or_not_at_all_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    commits_both_or_neither(&SqliteStore::open(folder.path().join("events.db")).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_rows_and_events_commit_together_or_not_at_all_in_memory() {
    commits_both_or_neither(&SqliteStore::open_in_memory().await.unwrap()).await;
}

/// SQLite itself ends a transaction that met a full disk. What the application does after that, not having looked at
/// the error, must not be written on its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_failed_writes_nothing_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::options().pragma("max_page_count", "40").open(&path).await.unwrap();
    with_own_table(&store).await;
    let little = notes(Uuid::now_v7(), ExpectedVersion::New, 1, 10);
    for through_the_store in [true, false] {
        let mut work = store.begin().await.unwrap();
        work.append(&notes(Uuid::now_v7(), ExpectedVersion::New, 1, 10)).await.unwrap();
        if through_the_store {
            let huge = notes(Uuid::now_v7(), ExpectedVersion::New, 1, 200_000);
            assert_eq!(fault_of(&work.append(&huge).await.unwrap_err()), Some(Fault::Full));
            let own = sqlx::query("INSERT INTO own (id) VALUES (?)").bind(Uuid::now_v7());
            let _ = own.execute(work.connection()).await;
        } else {
            let huge = sqlx::query("INSERT INTO own (id) VALUES (zeroblob(200000))");
            huge.execute(work.connection()).await.unwrap_err();
        }
        work.append(&little).await.unwrap_err();
        let error = work.commit().await.unwrap_err();
        assert!(!error.is_outcome_unknown(), "nothing can have been written: {error:?}");
        assert_eq!((own_rows(&store).await, events(&store).await), (0, 0));
    }
    assert_eq!(store.append_one(little).await.unwrap().position.unwrap().get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_waits_for_an_open_transaction_and_reads_around_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("events.db")).await.unwrap();
    let id = Uuid::now_v7();
    let mut work = store.begin().await.unwrap();
    work.append(&notes(id, ExpectedVersion::New, 2, 10)).await.unwrap();
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 0, "it is not committed yet");
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.append_one(notes(id, ExpectedVersion::Exact(2), 1, 10)).await })
    };
    work.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().version, 3);
    assert_eq!(store.head().await.unwrap().get(), 3);
}
