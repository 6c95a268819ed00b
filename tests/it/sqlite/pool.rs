//! Few connections under many tasks.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use annals::{
    EventStore as _, EventStoreExt as _, IdempotencyKey, LogQuery, SqliteStore, StreamQuery, Transactional as _,
    Work as _,
};
use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;

use super::{Database, assert_contiguous, note};

/// Longer than any of this may take, short enough to call a stall a stall.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn store_103_few_connections_serve_many_tasks() {
    const CONNECTIONS: u32 = 2;
    let database = Database::new();
    for store in [
        SqliteStore::options().readers(CONNECTIONS).open(database.path()).await.unwrap(),
        SqliteStore::open_in_memory().await.unwrap(),
    ] {
        let mut tasks = JoinSet::new();
        for task in 0..10 * u64::from(CONNECTIONS) {
            let store = store.clone();
            tasks.spawn(async move {
                let key = IdempotencyKey::new("k").unwrap();
                for round in 0..10 {
                    let id = Uuid::now_v7();
                    let append = note(id, [task, round]).idempotency_key(key.clone());
                    store.append_one(append.clone()).await.unwrap();
                    let mut work = store.begin().await.unwrap();
                    assert!(work.append(&append).await.unwrap().replayed);
                    work.append(&note(id, [99])).await.unwrap();
                    work.commit().await.unwrap();
                    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 3);
                    assert!(store.receipt(id, &key).await.unwrap().is_some());
                    store.read_log(&LogQuery::all(), &mut |_| Ok(())).await.unwrap();
                }
            });
        }
        timeout(PATIENCE, tasks.join_all()).await.expect("no task waits for ever");
        assert_contiguous(&store, 10 * u64::from(CONNECTIONS) * 10 * 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn store_103_visitors_on_every_reader_hold_up_no_writer() {
    const CONNECTIONS: usize = 2;
    let database = Database::new();
    let options = SqliteStore::options().readers(2).busy_timeout(PATIENCE);
    let store = options.open(database.path()).await.unwrap();
    let first = Uuid::now_v7();
    store.append_one(note(first, 0..10)).await.unwrap();
    let (begun, all_begun) = mpsc::channel();
    let mut visitors = JoinSet::new();
    let mut releases = Vec::new();
    for visitor in 0..CONNECTIONS {
        let (release, released) = mpsc::channel::<()>();
        releases.push(release);
        let (store, begun, released) = (store.clone(), begun.clone(), Arc::new(Mutex::new(released)));
        visitors.spawn(async move {
            let mut visited = 0;
            let mut visit = |_: annals::EventRef<'_>| {
                visited += 1;
                if visited == 3 {
                    begun.send(()).unwrap();
                    // In the middle of the read, on a thread that has nothing else to do.
                    released.lock().unwrap().recv().unwrap();
                }
                Ok(())
            };
            match visitor {
                0 => drop(store.read_log(&LogQuery::all(), &mut visit).await.unwrap()),
                _ => drop(store.read_stream(&StreamQuery::of(first), &mut visit).await.unwrap()),
            }
            visited
        });
    }
    for _ in 0..CONNECTIONS {
        all_begun.recv_timeout(PATIENCE).expect("both readers are in the middle of a read");
    }
    // All readers are taken. Writers, and transactions that read what they wrote, need none of them.
    let mut writers = JoinSet::new();
    for task in 0..20 {
        let store = store.clone();
        writers.spawn(async move {
            let append = note(Uuid::now_v7(), [task]);
            store.append_one(append.clone()).await.unwrap();
            let mut work = store.begin().await.unwrap();
            assert!(work.append(&append).await.unwrap().replayed);
            work.append(&note(Uuid::now_v7(), [task])).await.unwrap();
            work.commit().await.unwrap();
        });
    }
    timeout(PATIENCE, writers.join_all()).await.expect("no writer waits for a reader");
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.collect_log(&LogQuery::all()).await.unwrap().len() })
    };
    drop(releases.iter().map(|release| release.send(()).unwrap()).collect::<Vec<_>>());
    let visited = timeout(PATIENCE, visitors.join_all()).await.unwrap();
    assert_eq!(visited, [10, 10], "a read shows what was there when it began");
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), 50);
}

#[tokio::test]
async fn the_longest_timeout_there_is_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteStore::options().busy_timeout(Duration::MAX);
    annals::EventStore::head(&options.open(folder.path().join("annals.db")).await.unwrap()).await.unwrap();
}
