//! Processes that tell one another of commits, and what happens when they cannot.

use std::time::{Duration, Instant};

use annals::{
    EventStore, EventStoreExt as _, Polling, Position, PostgresOptions, PostgresStore, Transactional as _, Work as _,
};
use sqlx::{Executor as _, PgConnection, postgres::PgListener};
use tokio::{task::JoinHandle, time::timeout};

use super::{append, pause};
use crate::postgres_server::Database;

/// Longer than any wait may take here, short enough to call it lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// So seldom that no test sees it: who is woken was told.
const NEVER: Polling = Polling { every: Duration::from_secs(3_600), idle: Duration::from_secs(3_600) };

fn told_only() -> PostgresOptions {
    PostgresStore::options().polling(NEVER)
}

/// Waits in a task of its own.
fn waiting(store: &PostgresStore, after: Position) -> JoinHandle<Position> {
    let store = store.clone();
    tokio::spawn(async move { timeout(PATIENCE, store.wait_for(after)).await.expect("it was woken").unwrap() })
}

/// The processes that listen on the channels of annals in this database.
async fn listeners(connection: &mut PgConnection) -> Vec<i32> {
    // A connection that listens has said so last, and has nothing to do since.
    let sql = "SELECT pid FROM pg_stat_activity
               WHERE datname = current_database() AND query LIKE 'LISTEN \"annals_events_%' ORDER BY pid";
    sqlx::query_scalar(sql).fetch_all(connection).await.unwrap()
}

/// Waits until exactly so many others listen.
async fn until_listening(connection: &mut PgConnection, count: usize) -> Vec<i32> {
    let look = async {
        loop {
            let found = listeners(&mut *connection).await;
            if found.len() == count {
                return found;
            }
            pause(&mut *connection, 0.001).await;
        }
    };
    timeout(PATIENCE, look).await.expect("as many as were expected")
}

#[tokio::test]
async fn who_waits_is_told_of_what_another_process_commits() {
    let database = Database::create().await;
    let (reader, writer) = (told_only(), told_only());
    let reader = reader.connect(database.url()).await.unwrap();
    let writer = writer.connect(database.url()).await.unwrap();
    let mut connection = database.connection().await;
    let mut last = Position::START;
    for round in 0..20 {
        let waits = waiting(&reader, last);
        until_listening(&mut connection, 1).await;
        let written = if round % 2 == 0 {
            writer.append_one(append(1)).await.unwrap()
        } else {
            let mut work = writer.begin().await.unwrap();
            let written = work.append(&append(1)).await.unwrap();
            work.commit().await.unwrap();
            written
        };
        last = waits.await.unwrap();
        assert_eq!(Some(last), written.position);
    }
}

#[tokio::test]
async fn one_connection_listens_for_all_who_wait_and_none_for_nobody() {
    let database = Database::create().await;
    let store = told_only().connect(database.url()).await.unwrap();
    let mut connection = database.connection().await;
    store.append_one(append(1)).await.unwrap();
    store.head().await.unwrap();
    assert!(listeners(&mut connection).await.is_empty());
    let waits: Vec<_> = (0..10).map(|_| waiting(&store, Position::new(1))).collect();
    until_listening(&mut connection, 1).await;
    let told = store.append_one(append(1)).await.unwrap();
    for waits in waits {
        assert_eq!(Some(waits.await.unwrap()), told.position);
    }
    assert_eq!(listeners(&mut connection).await.len(), 1);
    store.close().await;
    until_listening(&mut connection, 0).await;
}

#[tokio::test]
async fn behind_a_pooler_nobody_listens_or_tells_and_waiting_goes_by_looking() {
    let database = Database::create().await;
    let often = Polling { every: Duration::from_millis(5), idle: Duration::from_millis(5) };
    let store = |polling| PostgresStore::options().pooled(true).polling(polling).connect(database.url());
    let (reader, writer) = (store(often).await.unwrap(), store(NEVER).await.unwrap());
    let mut ear = PgListener::connect(database.url()).await.unwrap();
    ear.listen(&channel(&mut database.connection().await).await).await.unwrap();
    let waits = waiting(&reader, Position::START);
    let written = writer.append_one(append(1)).await.unwrap();
    assert_eq!(Some(waits.await.unwrap()), written.position);
    assert_eq!(listeners(&mut database.connection().await).await.len(), 1, "the ear of this test alone");
    // What was told is there before the answer to a statement.
    ear.execute("SELECT 1").await.unwrap();
    assert!(ear.next_buffered().is_none(), "nothing was told");
}

async fn channel(connection: &mut PgConnection) -> String {
    sqlx::query_scalar(super::following::statement("read_channel")).fetch_one(connection).await.unwrap()
}

/// What was told until now.
async fn told(ear: &mut PgListener) -> usize {
    ear.execute("SELECT 1").await.unwrap();
    std::iter::from_fn(|| ear.next_buffered()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_told_of_once_for_many_and_not_where_nothing_was_committed() {
    let database = Database::create().await;
    let store = told_only().connect(database.url()).await.unwrap();
    let mut connection = database.connection().await;
    let mut ear = PgListener::connect(database.url()).await.unwrap();
    ear.listen(&channel(&mut connection).await).await.unwrap();

    let begun = Instant::now();
    for _ in 0..200 {
        store.append_one(append(1)).await.unwrap();
    }
    timeout(PATIENCE, ear.recv()).await.expect("a notice").unwrap();
    // The last of them is on its way.
    pause(&mut connection, 0.05).await;
    let count = told(&mut ear).await;
    let most = usize::try_from(begun.elapsed().as_millis() / 5).unwrap() + 1;
    assert!(count <= most.min(200), "{count} notices of 200 commits, in {:?}", begun.elapsed());

    // A retry, a conflict, a rollback.
    let again = append(1);
    store.append_one(again.clone()).await.unwrap();
    timeout(PATIENCE, ear.recv()).await.expect("a notice").unwrap();
    assert!(store.append_one(again.clone()).await.unwrap().replayed);
    let lost = super::append_to(again.aggregate_id, 1).expected(annals::ExpectedVersion::New);
    assert!(store.append_one(lost).await.unwrap_err().is_conflict());
    let mut work = store.begin().await.unwrap();
    work.append(&append(1)).await.unwrap();
    drop(work);
    pause(&mut connection, 0.05).await;
    assert_eq!(told(&mut ear).await, 0);
}

#[tokio::test]
async fn two_schemas_of_one_database_have_channels_of_their_own() {
    let database = Database::create().await;
    let mut owner = database.connection().await;
    owner.execute(sqlx::raw_sql("CREATE SCHEMA one; CREATE SCHEMA other")).await.unwrap();
    let open = |schema: &str| told_only().schema(schema).connect(database.url());
    let (one, other) = (open("one").await.unwrap(), open("other").await.unwrap());
    let mut channels = Vec::new();
    for schema in ["one", "other"] {
        sqlx::query("SELECT set_config('search_path', $1, false)").bind(schema).execute(&mut owner).await.unwrap();
        channels.push(channel(&mut owner).await);
    }
    assert_ne!(channels[0], channels[1]);
    let mut ear = PgListener::connect(database.url()).await.unwrap();
    ear.listen(&channels[0]).await.unwrap();
    other.append_one(append(1)).await.unwrap();
    one.append_one(append(1)).await.unwrap();
    timeout(PATIENCE, ear.recv()).await.expect("a notice of the one").unwrap();
    pause(&mut owner, 0.05).await;
    assert_eq!(told(&mut ear).await, 0, "none of the other");
}

#[tokio::test]
async fn store_075_a_lost_notification_connection_is_made_again_and_looking_finds_what_it_has_missed() {
    let database = Database::create().await;
    let mut killer = database.connection().await;
    let often = Polling { every: Duration::from_millis(50), idle: Duration::from_millis(50) };
    for polling in [often, NEVER] {
        let reader = PostgresStore::options().polling(polling).connect(database.url()).await.unwrap();
        let writer = PostgresStore::connect(database.url()).await.unwrap();
        let mut last = writer.head().await.unwrap();
        for _ in 0..3 {
            let waits = waiting(&reader, last);
            let listens = until_listening(&mut killer, 1).await[0];
            sqlx::query("SELECT pg_terminate_backend($1)").bind(listens).execute(&mut killer).await.unwrap();
            // Told to nobody, or to the next one: found all the same, as who begins to listen looks first.
            let written = writer.append_one(append(1)).await.unwrap();
            last = waits.await.unwrap();
            assert_eq!(Some(last), written.position);
        }
        // And it is there again.
        let waits = waiting(&reader, last);
        until_listening(&mut killer, 1).await;
        writer.append_one(append(1)).await.unwrap();
        waits.await.unwrap();
        reader.close().await;
        writer.close().await;
        until_listening(&mut killer, 0).await;
    }
}

#[tokio::test]
async fn store_075_where_nobody_may_listen_looking_finds_everything() {
    let database = Database::create().await;
    let often = Polling { every: Duration::from_millis(20), idle: Duration::from_millis(20) };
    let reader = PostgresStore::options().polling(often).connect(database.url()).await.unwrap();
    let writer = PostgresStore::connect(database.url()).await.unwrap();
    let mut killer = database.connection().await;
    // Whatever listens or tells is cut, over and over, while events come.
    let url = database.url().to_owned();
    let cutting = tokio::spawn(async move {
        let mut cutter = <PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
        loop {
            let cut = "SELECT pg_terminate_backend(pid), pg_sleep(0.001) FROM pg_stat_activity
                       WHERE datname = current_database()
                         AND (query LIKE 'LISTEN \"annals_events_%' OR query LIKE '%pg_notify(%' OR query LIKE '%AS channel%')
                         AND pid <> pg_backend_pid()";
            cutter.execute(cut).await.unwrap();
        }
    });
    let mut last = Position::START;
    for _ in 0..30 {
        let waits = waiting(&reader, last);
        pause(&mut killer, 0.005).await;
        let written = writer.append_one(append(1)).await.unwrap();
        let begun = Instant::now();
        last = waits.await.unwrap();
        assert_eq!(Some(last), written.position);
        assert!(begun.elapsed() < PATIENCE / 2, "waiting is bounded by looking: {:?}", begun.elapsed());
    }
    cutting.abort();
}
