//! Databases that can only be read.

use annals::{
    EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, IdempotencyKey, LogQuery, PostgresStore, Repository,
    Selection, StreamQuery, Transactional as _, Work as _,
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{in_time, raw};
use crate::{
    faults::{
        fault_of, notes,
        tally::{Request, Tally, answer_line, is_replayed},
    },
    postgres_server::{Database, Server},
};

/// Waits until a standby has all that its primary has written so far.
async fn caught_up(primary: &Server, standby: &Server) {
    let mut writing = raw(&primary.url("postgres")).await;
    let written = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text").fetch_one(&mut writing);
    let written: String = written.await.unwrap();
    let mut connection = raw(&standby.url("postgres")).await;
    in_time("the standby", async {
        let replayed = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
        while !sqlx::query_scalar::<_, bool>(replayed).bind(&written).fetch_one(&mut connection).await.unwrap() {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_only_and_does_not_know_the_order_of_the_log() {
    let primary = Server::start().await;
    let writing = PostgresStore::connect(&primary.url("postgres")).await.unwrap();
    let id = Uuid::now_v7();
    let keyed = notes(id, ExpectedVersion::New, 2, 10).idempotency_key(IdempotencyKey::random());
    let first = writing.append_one(keyed.clone()).await.unwrap();
    let request = Request::of("on-the-primary");
    let answer = answer_line(&request.run(&Repository::<Tally>::new(&writing)).await).unwrap();
    // A hole in the log: positions that were drawn and rolled back.
    let mut work = writing.begin().await.unwrap();
    work.append(&notes(Uuid::now_v7(), ExpectedVersion::New, 1, 10)).await.unwrap();
    drop(work);
    writing.append_one(notes(id, ExpectedVersion::Exact(2), 1, 10)).await.unwrap();

    let standby = primary.standby().await;
    caught_up(&primary, &standby).await;
    let store = PostgresStore::connect(&standby.url("postgres")).await.unwrap();
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 3);
    assert!(store.receipt(id, keyed.key.as_ref().map(|key| &key.key).unwrap()).await.unwrap().is_some());
    for expected in [ExpectedVersion::Any, ExpectedVersion::Exact(3)] {
        let append = notes(id, expected, 1, 10);
        let error = store.append_one(append.clone()).await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::ReadOnly), "{error:?}");
        assert!(!error.is_retryable() && !error.is_outcome_unknown());
        let answers = store.append(vec![append, notes(Uuid::now_v7(), ExpectedVersion::New, 1, 10)]).await;
        let faults: Vec<_> = answers.iter().map(|answer| fault_of(answer.as_ref().unwrap_err())).collect();
        assert_eq!(faults, [Some(Fault::ReadOnly); 2], "{answers:?}");
    }
    let begun = store.begin().await.unwrap_err();
    assert_eq!(fault_of(&begun), Some(Fault::ReadOnly), "{begun:?}");
    // What was answered on the primary needs no writing.
    let again = request.run(&Repository::<Tally>::new(&store)).await;
    assert_eq!((answer_line(&again), is_replayed(&again)), (Ok(answer), true));

    let selected = LogQuery::all().select(Selection::all().aggregate_types(["note"]));
    for error in [
        store.head().await.unwrap_err(),
        store.horizon().await.unwrap_err(),
        store.collect_log(&LogQuery::all()).await.unwrap_err(),
        store.collect_log(&LogQuery::all().after(first.position.unwrap())).await.unwrap_err(),
        store.collect_log(&selected).await.unwrap_err(),
    ] {
        assert_eq!(fault_of(&error), Some(Fault::ReadOnly), "{error:?}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_read_only_by_default_refuses_appends_and_is_read() {
    let database = Database::create().await;
    let writing = PostgresStore::connect(database.url()).await.unwrap();
    let id = Uuid::now_v7();
    writing.append_one(notes(id, ExpectedVersion::New, 2, 10)).await.unwrap();
    let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name());
    sqlx::raw_sql(AssertSqlSafe(read_only)).execute(&mut database.connection().await).await.unwrap();
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let error = store.append_one(notes(id, ExpectedVersion::Exact(2), 1, 10)).await.unwrap_err();
    assert_eq!(fault_of(&error), Some(Fault::ReadOnly), "{error:?}");
    assert!(!error.is_retryable() && !error.is_outcome_unknown());
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 2);
    assert_eq!(store.collect_log(&LogQuery::all()).await.unwrap().len(), 2);
    assert_eq!(store.head().await.unwrap().get(), 2);
}
