//! Transactions with the application's own SQL that fail.

use annals::{
    Error, EventStoreExt as _, ExpectedVersion, Fault, LogQuery, PostgresStore, Transactional as _, Work as _,
};
use sqlx::Executor as _;
use uuid::Uuid;

use crate::{
    faults::{fault_of, notes},
    postgres_server::Database,
};

const OWN: &str = "
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE own (
        id int UNIQUE DEFERRABLE INITIALLY DEFERRED,
        parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED
    )";

async fn store_with_own_tables() -> (Database, PostgresStore) {
    let database = Database::create().await;
    database.connection().await.execute(OWN).await.unwrap();
    let store = PostgresStore::connect(database.url()).await.unwrap();
    (database, store)
}

/// Nothing was written, by annals or by the application.
async fn assert_nothing(store: &PostgresStore) {
    assert_eq!(store.collect_log(&LogQuery::all()).await.unwrap().len(), 0);
    let mut work = store.begin().await.unwrap();
    let rows = sqlx::query_scalar("SELECT count(*) FROM own").fetch_one(work.connection()).await;
    assert_eq!(rows.unwrap_or(0_i64), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_own_sql_has_failed_is_not_committed_in_silence() {
    let (_database, store) = store_with_own_tables().await;
    let mut work = store.begin().await.unwrap();
    work.append(&notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10)).await.unwrap();
    work.connection().execute("INSERT INTO nowhere VALUES (1)").await.unwrap_err();
    let error = work.commit().await.unwrap_err();
    assert_eq!(fault_of(&error), Some(Fault::Other));
    assert!(!error.is_retryable() && !error.is_outcome_unknown(), "{error:?}");
    assert_nothing(&store).await;

    // Nor where the application goes on and appends.
    let mut work = store.begin().await.unwrap();
    work.connection().execute("INSERT INTO nowhere VALUES (1)").await.unwrap_err();
    let append = notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10);
    let error = work.append(&append).await.unwrap_err();
    assert!(!error.is_retryable() && !error.is_outcome_unknown(), "{error:?}");
    let error = work.commit().await.unwrap_err();
    assert!(!error.is_outcome_unknown(), "{error:?}");
    assert_nothing(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_application_has_ended_itself_is_an_unknown_outcome() {
    let (_database, store) = store_with_own_tables().await;
    let append = notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10);
    for (ended, is_written) in [("ROLLBACK", false), ("ROLLBACK; BEGIN", false), ("COMMIT", true)] {
        let mut work = store.begin().await.unwrap();
        work.append(&append).await.unwrap();
        sqlx::raw_sql(ended).execute(work.connection()).await.unwrap();
        let error = work.commit().await.unwrap_err();
        assert!(error.is_outcome_unknown() && !error.is_retryable(), "{ended}: {error:?}");
        let there = store.collect_log(&LogQuery::all()).await.unwrap().len();
        assert_eq!(there, if is_written { 2 } else { 0 }, "{ended}");
    }
    assert!(store.append_one(append).await.unwrap().replayed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_fails_at_commit_is_an_error_of_the_backend() {
    let (_database, store) = store_with_own_tables().await;
    for insert in ["INSERT INTO own VALUES (1, 7)", "INSERT INTO own VALUES (1), (1)"] {
        let mut work = store.begin().await.unwrap();
        work.append(&notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10)).await.unwrap();
        work.connection().execute(insert).await.unwrap();
        let error = work.commit().await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::Other), "{insert}: {error:?}");
        assert!(!error.is_retryable() && !error.is_outcome_unknown(), "{insert}: {error:?}");
        assert_nothing(&store).await;
    }
}

/// An append that loses a race inside a transaction takes it down: nothing is known any more of what came before.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_stuck_in_a_transaction_is_contention_and_ends_it() {
    let database = Database::create().await;
    let short = PostgresStore::options().lock_timeout(std::time::Duration::from_millis(200));
    let store = short.connect(database.url()).await.unwrap();
    let id = Uuid::now_v7();
    let mut first = store.begin().await.unwrap();
    first.append(&notes(id, ExpectedVersion::New, 1, 10)).await.unwrap();
    let mut second = store.begin().await.unwrap();
    let elsewhere = notes(Uuid::now_v7(), ExpectedVersion::New, 1, 10);
    second.append(&elsewhere).await.unwrap();
    let error = second.append(&notes(id, ExpectedVersion::New, 2, 10)).await.unwrap_err();
    assert!(matches!(error, Error::Contention { .. }), "{error:?}");
    assert!(second.append(&elsewhere).await.is_err());
    assert!(!second.commit().await.unwrap_err().is_outcome_unknown());
    first.commit().await.unwrap();
    assert_eq!(store.collect_log(&LogQuery::all()).await.unwrap().len(), 1);
}
