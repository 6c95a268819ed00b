//! Connections that are all in use.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use annals::{
    Error, EventStore as _, EventStoreExt as _, ExpectedVersion, LogQuery, PostgresStore, StreamQuery,
    Transactional as _, Work as _,
};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::in_time;
use crate::{
    faults::{dropped::within, notes},
    postgres_server::{Database, Server},
};

/// Time enough for a slow machine to connect.
fn soon() -> annals::PostgresOptions {
    PostgresStore::options().acquire_timeout(Duration::from_secs(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_are_all_in_use_are_contention() {
    let database = Database::create().await;
    let store = soon().readers(1).connect(database.url()).await.unwrap();
    let id = Uuid::now_v7();
    store.append_one(notes(id, ExpectedVersion::New, 2, 10)).await.unwrap();
    let (go_on, told) = mpsc::channel::<()>();
    let (visiting, is_visiting) = tokio::sync::oneshot::channel();
    let slow = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut visiting = Some(visiting);
            let visit = &mut move |_: annals::EventRef<'_>| {
                if let Some(visiting) = visiting.take() {
                    visiting.send(()).unwrap();
                    tokio::task::block_in_place(|| told.recv()).unwrap();
                }
                Ok(())
            };
            // The stream itself would come as a page, which holds no connection while it is visited.
            store.read_log(&LogQuery::all(), visit).await
        })
    };
    is_visiting.await.unwrap();
    for _ in 0..2 {
        let error = store.head().await.unwrap_err();
        assert!(matches!(error, Error::Contention { .. }) && error.is_retryable(), "{error:?}");
    }
    // Who writes does not wait for who reads.
    store.append_one(notes(id, ExpectedVersion::Exact(2), 1, 10)).await.unwrap();
    go_on.send(()).unwrap();
    slow.await.unwrap().unwrap();
    assert_eq!(store.head().await.unwrap().get(), 3);
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_are_all_open_are_contention() {
    let database = Database::create().await;
    let store = soon().works(1).connect(database.url()).await.unwrap();
    let id = Uuid::now_v7();
    let mut work = store.begin().await.unwrap();
    work.append(&notes(id, ExpectedVersion::New, 2, 10)).await.unwrap();
    let error = store.begin().await.unwrap_err();
    assert!(matches!(error, Error::Contention { .. }) && error.is_retryable(), "{error:?}");
    // The others have connections of their own.
    store.append_one(notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10)).await.unwrap();
    work.commit().await.unwrap();
    drop(store.begin().await.unwrap());
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_for_a_connection_is_unavailable() {
    let server = Server::options().setting("max_connections", "12").start().await.unwrap();
    let url = server.url("postgres");
    let store = soon().connect(&url).await.unwrap();
    let mut taken = Vec::new();
    let refused = loop {
        match PgConnection::connect(&url).await {
            Ok(connection) => taken.push(connection),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("53300"));
    let id = Uuid::now_v7();
    let append = notes(id, ExpectedVersion::New, 1, 1);
    let unavailable = |error: Error| assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    unavailable(soon().connect(&url).await.unwrap_err());
    unavailable(store.append_one(append.clone()).await.unwrap_err());
    unavailable(store.collect_stream(&StreamQuery::of(id)).await.unwrap_err());
    unavailable(store.begin().await.unwrap_err());
    for connection in taken {
        connection.close().await.unwrap();
    }
    assert!(!store.append_one(append).await.unwrap().replayed);
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 1);
}

/// What one task does: each of these needs a connection of another kind.
async fn use_all(store: &PostgresStore, polls: usize) {
    let id = Uuid::now_v7();
    store.append_one(notes(id, ExpectedVersion::New, 1, 10)).await.unwrap();
    // Others go away at any point, and may not keep what they had.
    let _ = within(polls, store.collect_stream(&StreamQuery::of(id))).await;
    let _ = within(polls, store.append_one(notes(Uuid::now_v7(), ExpectedVersion::Any, 1, 10))).await;
    let _ = within(polls, async {
        let mut work = store.begin().await?;
        work.append(&notes(Uuid::now_v7(), ExpectedVersion::New, 1, 10)).await?;
        work.commit().await
    })
    .await;
    let mut work = store.begin().await.unwrap();
    work.append(&notes(id, ExpectedVersion::Exact(1), 1, 10)).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 2);
}

const CONNECTIONS: u32 = 3;
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_as_many_tasks_as_connections_never_stall() {
    let database = Database::create().await;
    let options = PostgresStore::options().writers(CONNECTIONS).readers(CONNECTIONS).works(CONNECTIONS);
    let store = options.acquire_timeout(super::LONGEST_WAIT).connect(database.url()).await.unwrap();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..10 * CONNECTIONS as usize {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                use_all(&store, (task + round * 3) % 17).await;
            }
        });
    }
    let mut ended = 0;
    while let Some(task) = in_time("a task", tasks.join_next()).await {
        task.unwrap();
        ended += 1;
    }
    println!("{ended} tasks of {ROUNDS} rounds over {CONNECTIONS} connections took {:?}", began.elapsed());
    assert_eq!(ended, 10 * CONNECTIONS);
    let (_, checked) = super::database_check::check_database(database.url()).await;
    assert!(checked.events >= 2 * ended as usize * ROUNDS);
}
