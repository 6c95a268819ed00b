//! Statements and locks that take too long.

use std::time::Duration;

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, PostgresStore, StreamQuery,
    Transactional as _, Work as _,
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{faults::notes, postgres_server::Database};

async fn events(store: &PostgresStore, id: Uuid) -> usize {
    store.collect_stream(&StreamQuery::of(id)).await.unwrap().len()
}

fn is_contention(error: &Error) -> bool {
    matches!(error, Error::Contention { .. }) && error.is_retryable()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_timeout_is_contention_and_nothing_was_written() {
    let database = Database::create().await;
    // For the time it takes to make the tables, none.
    let other = PostgresStore::connect(database.url()).await.unwrap();
    let limited = format!("ALTER DATABASE {} SET statement_timeout = '300ms'", database.name());
    sqlx::raw_sql(AssertSqlSafe(limited)).execute(&mut database.connection().await).await.unwrap();
    let store = PostgresStore::options().lock_timeout(Duration::from_secs(60)).connect(database.url()).await.unwrap();
    let (held, free) = (Uuid::now_v7(), Uuid::now_v7());
    let mut work = other.begin().await.unwrap();
    work.append(&notes(held, ExpectedVersion::New, 1, 10)).await.unwrap();

    let append = notes(held, ExpectedVersion::New, 2, 10);
    let error = store.append_one(append.clone()).await.unwrap_err();
    assert!(is_contention(&error), "{error:?}");
    let neighbour = notes(free, ExpectedVersion::New, 2, 10);
    let answers = store.append(vec![append.clone(), neighbour]).await;
    assert!(is_contention(answers[0].as_ref().unwrap_err()), "{answers:?}");
    assert!(answers[1].is_ok(), "one that is stuck holds its neighbour: {answers:?}");
    drop(work);
    assert_eq!((events(&store, held).await, events(&store, free).await), (0, 2));
    assert!(!store.append_one(append).await.unwrap().replayed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_stuck_behind_an_open_transaction_is_contention_and_its_neighbours_are_written() {
    let database = Database::create().await;
    let other = PostgresStore::connect(database.url()).await.unwrap();
    let store =
        PostgresStore::options().lock_timeout(Duration::from_millis(200)).connect(database.url()).await.unwrap();
    let held = Uuid::now_v7();
    store.append_one(notes(held, ExpectedVersion::New, 1, 10)).await.unwrap();
    let mut work = other.begin().await.unwrap();
    work.append(&notes(held, ExpectedVersion::Exact(1), 1, 10)).await.unwrap();

    let stuck = notes(held, ExpectedVersion::Exact(1), 2, 10);
    let behind = notes(held, ExpectedVersion::Exact(3), 2, 10);
    let neighbours: Vec<_> = (0..6).map(|_| notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10)).collect();
    let mut batch: Vec<Append> = neighbours.clone();
    batch.insert(3, behind.clone());
    batch.insert(3, stuck.clone());
    let answers = store.append(batch.clone()).await;
    for (append, answer) in batch.iter().zip(&answers) {
        match answer {
            Err(error) if append.aggregate_id == held => assert!(is_contention(error), "{error:?}"),
            answer => assert!(answer.as_ref().is_ok_and(|appended| appended.version == 2), "{answer:?}"),
        }
    }
    assert_eq!(events(&store, held).await, 1);
    drop(work);
    let answers = store.append(vec![stuck, behind]).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|appended| !appended.replayed)), "{answers:?}");
    assert_eq!(events(&store, held).await, 5);
}

/// An append that waits for a transaction which ends in time is answered by what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_waits_for_an_open_transaction_and_is_answered_by_what_becomes_of_it() {
    let database = Database::create().await;
    let other = PostgresStore::connect(database.url()).await.unwrap();
    let store = PostgresStore::options().lock_timeout(Duration::from_secs(60)).connect(database.url()).await.unwrap();
    let mut operator = database.connection().await;
    for commits in [true, false] {
        let id = Uuid::now_v7();
        let mut work = other.begin().await.unwrap();
        work.append(&notes(id, ExpectedVersion::New, 1, 10)).await.unwrap();
        let waiting = {
            let store = store.clone();
            tokio::spawn(async move { store.append_one(notes(id, ExpectedVersion::New, 2, 10)).await })
        };
        let is_waiting = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                          WHERE datname = current_database() AND wait_event_type = 'Lock')";
        super::in_time("the wait for the transaction", async {
            while !sqlx::query_scalar::<_, bool>(is_waiting).fetch_one(&mut operator).await.unwrap() {}
        })
        .await;
        if commits {
            work.commit().await.unwrap();
            assert!(waiting.await.unwrap().unwrap_err().is_conflict());
        } else {
            drop(work);
            assert_eq!(waiting.await.unwrap().unwrap().version, 2);
        }
    }
}
