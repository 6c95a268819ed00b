//! Servers that are away, come back, or refuse.

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use annals::{
    Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, LogQuery, PostgresOptions, PostgresStore,
    Retry, StreamQuery, Transactional as _, Work as _,
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{in_time, raw};
use crate::{
    faults::{fault_of, notes},
    postgres_server::{
        Database, Server,
        url::{with_database, with_user},
    },
};

fn assert_unavailable<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }) && error.is_retryable(), "{error:?}");
}

/// A store that gives up soon, on a machine that may be slow.
async fn connected(options: &PostgresOptions, url: &str) -> PostgresStore {
    loop {
        match options.clone().connect(url).await {
            Err(Error::Unavailable { .. }) => {}
            connected => return connected.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_unavailable_and_one_that_comes_back_is_found() {
    let mut server = Server::options().tcp().start().await.unwrap();
    let soon = || PostgresStore::options().acquire_timeout(Duration::from_millis(600));
    for url in [server.url("postgres"), server.tcp_url(server.tcp_address().unwrap(), "postgres")] {
        let store = in_time("a first connection", connected(&soon(), &url)).await;
        let id = Uuid::now_v7();
        store.append_one(notes(id, ExpectedVersion::New, 1, 10)).await.unwrap();
        assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 1);
        server.stop_immediately().await;
        let append = notes(id, ExpectedVersion::Exact(1), 1, 10);
        // On a connection that was in use a moment ago; what is said of it later does not take that back.
        let first = store.append_one(append.clone()).await.unwrap_err();
        assert!(first.is_outcome_unknown() || first.is_retryable(), "{first:?}");
        assert_unavailable(soon().connect(&url).await);
        assert_unavailable(store.append_one(append.clone()).await);
        for _ in 0..2 {
            assert_unavailable(store.collect_stream(&StreamQuery::of(id)).await);
            assert_unavailable(store.collect_log(&LogQuery::all()).await);
            assert_unavailable(store.head().await);
        }
        assert_unavailable(store.begin().await);
        server.start_again().await;
        let appended = in_time("the retry", annals::append(&store, append, Retry::default())).await.unwrap();
        assert!(!appended.replayed, "what cannot have arrived was there");
        let store = in_time("a new connection", connected(&PostgresStore::options(), &url)).await;
        assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_idle_connections_are_found_out_before_they_are_written_on() {
    let mut server = Server::start().await;
    let url = server.url("postgres");
    let store = PostgresStore::connect(&url).await.unwrap();
    let id = Uuid::now_v7();
    store.append_one(notes(id, ExpectedVersion::New, 1, 10)).await.unwrap();
    store.collect_stream(&StreamQuery::of(id)).await.unwrap();
    drop(store.begin().await.unwrap());
    let since = Instant::now();
    server.stop_immediately().await;
    server.start_again().await;
    // Time itself is what counts here: a connection is not asked before it was idle for a second.
    let left = Duration::from_millis(1100).saturating_sub(since.elapsed()).as_secs_f64();
    sqlx::query("SELECT pg_sleep($1)").bind(left).execute(&mut raw(&url).await).await.unwrap();
    assert!(!store.append_one(notes(id, ExpectedVersion::Exact(1), 1, 10)).await.unwrap().replayed);
    let mut work = store.begin().await.unwrap();
    work.append(&notes(id, ExpectedVersion::Exact(2), 1, 10)).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_an_error_of_the_backend_and_told_to_nobody() {
    const SECRET: &str = "hunter2-is-not-it";
    let server = Server::options().tcp().start().await.unwrap();
    let right = server.tcp_url(server.tcp_address().unwrap(), "postgres");
    let wrong = with_user(&right, "postgres", Some(SECRET)).unwrap();
    let began = Instant::now();
    let error = PostgresStore::connect(&wrong).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(4), "it is not asked again and again");
    assert_eq!(fault_of(&error), Some(Fault::Other));
    assert!(!error.is_retryable() && !error.is_outcome_unknown());
    let mut told = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(&format!("{cause} {cause:?}"));
        source = cause.source();
    }
    assert!(!told.contains(SECRET), "{told}");

    let secret = right.split(['@', ':']).nth(2).unwrap().to_owned();
    let store = PostgresStore::connect(&right).await.unwrap();
    assert!(!format!("{store:?} {:?}", PostgresStore::options()).contains(&secret));
    let broken = PostgresStore::connect(&format!("postgres://postgres:{SECRET}@127.0.0.1:99999/x")).await.unwrap_err();
    assert!(matches!(broken, Error::Invalid { .. }) && !format!("{broken} {broken:?}").contains(SECRET), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_dropped_is_an_error_of_the_backend() {
    let database = Database::create().await;
    let store = PostgresStore::options().acquire_timeout(Duration::from_secs(2)).connect(database.url()).await.unwrap();
    let id = Uuid::now_v7();
    store.append_one(notes(id, ExpectedVersion::New, 1, 10)).await.unwrap();
    store.collect_stream(&StreamQuery::of(id)).await.unwrap();
    let mut elsewhere = raw(&with_database(database.url(), "postgres").unwrap()).await;
    let dropped = format!("DROP DATABASE {} WITH (FORCE)", database.name());
    sqlx::raw_sql(AssertSqlSafe(dropped)).execute(&mut elsewhere).await.unwrap();
    // What was idle meets the end of its connection first.
    let append = || store.append_one(notes(id, ExpectedVersion::Exact(1), 1, 10));
    let first = append().await.unwrap_err();
    assert!(first.is_outcome_unknown() || !first.is_retryable(), "{first:?}");
    let _ = store.collect_stream(&StreamQuery::of(id)).await.unwrap_err();
    for error in [
        append().await.unwrap_err(),
        store.collect_stream(&StreamQuery::of(id)).await.unwrap_err(),
        store.begin().await.unwrap_err(),
        PostgresStore::connect(database.url()).await.unwrap_err(),
    ] {
        assert_eq!(fault_of(&error), Some(Fault::Other), "{error:?}");
        assert!(!error.is_retryable() && !error.is_outcome_unknown());
    }
}

const ENDED: &str = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// An operator ends every backend: what is open is lost, what comes after gets through.
#[tokio::test(flavor = "multi_thread")]
async fn backends_that_were_ended_leave_open_transactions_unwritten() {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut operator = database.connection().await;
    let id = Uuid::now_v7();
    let append = notes(id, ExpectedVersion::New, 2, 10);
    let mut work = store.begin().await.unwrap();
    work.append(&append).await.unwrap();
    sqlx::query(ENDED).execute(&mut operator).await.unwrap();
    // Whether its COMMIT arrived is not known where the connection is found to be gone at COMMIT.
    let error = work.commit().await.unwrap_err();
    assert!(error.is_outcome_unknown() || matches!(error, Error::Unavailable { .. }), "{error:?}");
    let appended = in_time("the retry", annals::append(&store, append, Retry::default())).await.unwrap();
    assert!(!appended.replayed);
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 2);
}
