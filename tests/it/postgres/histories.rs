//! Whole histories that several processes write at once.

use std::time::Duration;

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, IdempotencyKey, LogQuery, NewEvent,
    PostgresStore, StreamQuery, Transactional as _, Work as _,
};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::postgres_server::Database;

/// How many aggregates there are.
const AGGREGATES: usize = 40;

/// Of each of them a history of so many events, told by its writer.
fn histories(ids: &[Uuid], writer: u64, events: usize) -> Vec<Append> {
    let events = || (0..events).map(|_| NewEvent::new("noted", &writer).unwrap());
    ids.iter().map(|id| Append::new("note", *id).expected(ExpectedVersion::New).events(events())).collect()
}

/// Each is one writer's whole history; all writers know which.
#[tokio::test(flavor = "multi_thread")]
async fn histories_that_meet_are_written_once_and_whole() {
    let database = Database::create().await;
    let writers = 4;
    let stores = join_all((0..writers).map(|_| PostgresStore::connect(database.url()))).await;
    let stores: Vec<_> = stores.into_iter().map(Result::unwrap).collect();
    for round in 0..10 {
        let ids: Vec<_> = (0..AGGREGATES).map(|_| Uuid::new_v4()).collect();
        let write = |(at, store): (usize, &PostgresStore)| {
            let mut ids = ids.clone();
            ids.rotate_left(at * AGGREGATES / writers);
            let (store, appends) = (store.clone(), histories(&ids, at as u64, 3));
            tokio::spawn(async move { (appends.clone(), store.append(appends).await) })
        };
        let written = join_all(stores.iter().enumerate().map(write)).await;
        let mut winners = 0;
        for (writer, done) in (0_u64..).zip(written) {
            let (appends, answers) = done.unwrap();
            for (append, answer) in appends.into_iter().zip(answers) {
                let events = stores[0].collect_stream(&StreamQuery::of(append.aggregate_id)).await.unwrap();
                let of_this: Vec<_> = events.iter().filter(|event| event.command_id() == append.command_id).collect();
                assert_eq!(events.len(), 3, "round {round}");
                match answer {
                    Ok(appended) => {
                        winners += 1;
                        assert_eq!((of_this.len(), appended.version, appended.replayed), (3, 3, false));
                        assert_eq!(events.last().map(annals::RecordedEvent::position), appended.position);
                    }
                    Err(Error::Conflict { .. }) => assert!(of_this.is_empty(), "writer {writer} has lost"),
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        assert_eq!(winners, AGGREGATES);
    }
    assert_eq!(stores[0].collect_log(&LogQuery::all()).await.unwrap().len(), 10 * 3 * AGGREGATES);
}

/// How a transaction ends that another's appends wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
}

/// Who comes in between takes nobody along: the neighbours of what it met are written, whole and once.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_comes_in_between_takes_no_neighbour_along() {
    // The plain statements, by how they begin.
    const WAITS: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock'
                           AND (query LIKE '%a plain INSERT%' OR query LIKE '%in one INSERT%'))";
    for (events, has_keys) in [(1, false), (1, true), (3, false)] {
        for (end, is_the_same) in
            [(End::Commit, false), (End::Commit, true), (End::Rollback, false), (End::Rollback, true)]
        {
            let histories = |ids: &[Uuid], writer| {
                let key = IdempotencyKey::new(format!("writer-{writer}")).unwrap();
                let appends = histories(ids, writer, events).into_iter();
                let keyed = |append: Append| if has_keys { append.idempotency_key(key.clone()) } else { append };
                appends.map(keyed).collect::<Vec<_>>()
            };
            let database = Database::create().await;
            // Each has met nobody yet.
            let store = PostgresStore::connect(database.url()).await.unwrap();
            let ids = [(); 3].map(|()| Uuid::now_v7());
            let appends = histories(&ids, 1);
            let first = if is_the_same { appends[1].clone() } else { histories(&ids[1..2], 2).remove(0) };
            let mut holder = store.begin().await.unwrap();
            holder.append(&first).await.unwrap();
            let late = tokio::spawn({
                let (store, appends) = (store.clone(), appends.clone());
                async move { store.append(appends).await }
            });
            let mut operator = database.connection().await;
            let waits =
                async { while !sqlx::query_scalar::<_, bool>(WAITS).fetch_one(&mut operator).await.unwrap() {} };
            tokio::time::timeout(Duration::from_secs(60), waits).await.expect("a plain INSERT waits");
            match end {
                End::Commit => holder.commit().await.unwrap(),
                End::Rollback => drop(holder),
            }
            let answers = late.await.unwrap();
            for (at, (append, answer)) in appends.iter().zip(answers).enumerate() {
                let stored = store.collect_stream(&StreamQuery::of(append.aggregate_id)).await.unwrap();
                assert_eq!(stored.len(), events, "{end:?}");
                let is_own = stored.iter().all(|event| event.command_id() == append.command_id);
                match answer {
                    Ok(appended) => {
                        assert!(is_own && appended.version == events as u64);
                        assert_eq!(appended.replayed, at == 1 && end == End::Commit && is_the_same);
                    }
                    Err(Error::Conflict { .. }) => assert!(!is_own && at == 1 && end == End::Commit && !is_the_same),
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    }
}
