//! Appends, seen from the database.

use std::time::Duration;

use annals::{
    Appended, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, IdempotencyKey, Metadata, NewEvent,
    SqliteStore, StreamQuery, Transactional as _, Work as _,
};
use uuid::Uuid;

use super::{
    Database, assert_contiguous, log, note,
    process::{self, Process},
};

/// Plants a trigger that refuses events of type `refused`.
async fn refuse_some(store: &SqliteStore) {
    let mut work = store.begin().await.unwrap();
    sqlx::query(
        "CREATE TRIGGER refuse_some BEFORE INSERT ON annals_events WHEN NEW.event_type = 'refused'
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    .execute(work.connection())
    .await
    .unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn store_008_a_constraint_at_the_third_event_leaves_none() {
    let database = Database::new();
    for store in [database.open().await, SqliteStore::open_in_memory().await.unwrap()] {
        refuse_some(&store).await;
        let key = IdempotencyKey::new("k").unwrap();
        let refused = |id| note(id, [1, 2]).event(NewEvent::new("refused", &3).unwrap()).idempotency_key(key.clone());
        let id = Uuid::now_v7();
        let error = store.append_one(refused(id)).await.unwrap_err();
        assert!(matches!(error, Error::Backend { fault: Fault::Other, .. }), "{error:?}");
        assert!(log(&store).await.is_empty(), "none of the three is stored");
        assert_eq!(store.receipt(id, &key).await.unwrap(), None, "and no receipt");
        let neighbours = [(); 2].map(|()| Uuid::now_v7());
        let batch = vec![note(neighbours[0], [1]), refused(Uuid::now_v7()), note(neighbours[1], [2])];
        let answers = store.append(batch).await;
        assert!(matches!(&answers[..], [Ok(_), Err(Error::Backend { .. }), Ok(_)]), "{answers:?}");
        assert_contiguous(&store, 2).await;
        let mut work = store.begin().await.unwrap();
        work.append(&refused(id)).await.unwrap_err();
        drop(work);
        store.append_one(note(id, [1, 2, 3])).await.unwrap();
        assert_contiguous(&store, 5).await;
    }
}

/// Rounds of the race between processes.
const ROUNDS: u64 = 40;

#[test]
fn store_009_of_two_processes_at_one_version_one_wins() {
    let (database, id) = (Database::new(), Uuid::now_v7());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(database.open());
    let mut racers = [(); 2].map(|()| Process::start("sqlite::append::a_racer", &database.path()));
    let mut winners = Vec::new();
    for version in 0..ROUNDS {
        for (racer, number) in racers.iter_mut().zip(1_u64..) {
            assert_eq!(racer.answer(), "ready");
            racer.tell(&format!("{id} {version} {number}"));
        }
        let answers = racers.each_mut().map(Process::answer);
        let lost = format!("lost to version {}", version + 1);
        match answers.each_ref().map(String::as_str) {
            ["won", other] if other == lost => winners.push(1),
            [other, "won"] if other == lost => winners.push(2),
            _ => panic!("of two processes at version {version} one wins: {answers:?}"),
        }
    }
    let stored = runtime.block_on(store.collect_stream(&StreamQuery::of(id))).unwrap();
    let stored: Vec<u64> = stored.iter().map(|event| event.payload().parse().unwrap()).collect();
    assert_eq!(stored, winners, "the events are the winners'");
}

#[tokio::test]
#[ignore = "run by store_009_of_two_processes_at_one_version_one_wins, as a process of its own"]
async fn a_racer() {
    let store = SqliteStore::open(process::database()).await.unwrap();
    loop {
        process::answer("ready");
        let told = process::told();
        let [id, version, number]: [&str; 3] = told.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let expected = ExpectedVersion::Exact(version.parse().unwrap());
        let append = note(id.parse().unwrap(), [number.parse().unwrap()]).expected(expected);
        match store.append_one(append).await {
            Ok(Appended { replayed: false, .. }) => process::answer("won"),
            Err(Error::Conflict { expected: told, actual, .. }) if told == expected => {
                process::answer(&format!("lost to version {actual}"));
            }
            other => process::answer(&format!("{other:?}")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_023_a_retry_behind_many_events_and_a_restart_gets_its_first_answer() {
    const OTHERS: u64 = 20_000;
    let (database, id) = (Database::new(), Uuid::now_v7());
    let store = database.open().await;
    let appends = [
        note(id, [1, 2]),
        note(id, [3]).expected(ExpectedVersion::Exists),
        note(id, [4]).expected(ExpectedVersion::Exact(3)),
        note(id, [5]).idempotency_key(IdempotencyKey::new("k").unwrap()),
    ];
    let mut first = Vec::new();
    for append in &appends {
        first.push(store.append_one(append.clone()).await.unwrap());
    }
    let crowd: Vec<_> = (0..100).map(|_| Uuid::now_v7()).collect();
    for chunk in 0..OTHERS / 500 {
        let batch = (0..500).map(|at| note(crowd[at % 100], [chunk])).chain([note(id, [0])]).collect();
        assert!(store.append(batch).await.iter().all(Result::is_ok));
    }
    for reopened in [false, true] {
        let store = if reopened { database.open().await } else { store.clone() };
        for (append, first) in appends.iter().zip(&first) {
            let again = store.append_one(append.clone()).await.unwrap();
            assert_eq!(again, Appended { replayed: true, ..first.clone() });
        }
        assert_eq!(store.head().await.unwrap().get(), 5 + OTHERS + OTHERS / 500, "retries wrote nothing");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_032_a_retry_waits_for_an_open_first_attempt_or_is_told_to() {
    let (database, id) = (Database::new(), Uuid::now_v7());
    let store = database.open().await;
    for append in [note(id, [1]).expected(ExpectedVersion::New), note(id, [2])] {
        let mut work = store.begin().await.unwrap();
        let first = work.append(&append).await.unwrap();
        // Another process, and one that does not wait for long.
        let hasty = SqliteStore::options().busy_timeout(Duration::from_millis(1)).open(database.path()).await.unwrap();
        let error = hasty.append_one(append.clone()).await.unwrap_err();
        assert!(error.is_retryable(), "nothing was written, so it can be sent again: {error:?}");
        // The same process, and one that waits.
        let patient = {
            let (store, append) = (store.clone(), append.clone());
            tokio::spawn(async move { store.append_one(append).await })
        };
        work.commit().await.unwrap();
        let replay = Appended { replayed: true, ..first };
        assert_eq!(patient.await.unwrap().unwrap(), replay);
        assert_eq!(hasty.append_one(append).await.unwrap(), replay);
        hasty.close().await;
    }
    assert_contiguous(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_032_a_retry_of_an_attempt_that_is_rolled_back_is_written() {
    let (database, id) = (Database::new(), Uuid::now_v7());
    let store = database.open().await;
    let append = note(id, [1]).idempotency_key(IdempotencyKey::new("k").unwrap());
    let mut work = store.begin().await.unwrap();
    let rolled_back = work.append(&append).await.unwrap();
    let retry = {
        let (store, append) = (store.clone(), append.clone());
        tokio::spawn(async move { store.append_one(append).await })
    };
    drop(work);
    let written = retry.await.unwrap().unwrap();
    assert!(!written.replayed, "what was rolled back is no first attempt");
    assert_eq!((written.version, written.position), (rolled_back.version, rolled_back.position));
    assert_contiguous(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_063_writers_that_roll_back_leave_no_holes() {
    let database = Database::new();
    for store in [database.open().await, SqliteStore::open_in_memory().await.unwrap()] {
        refuse_some(&store).await;
        let mut events = 0;
        for round in 0..10 {
            let head = store.head().await.unwrap().get();
            assert_eq!(head, events);
            let mut work = store.begin().await.unwrap();
            let dropped = work.append(&note(Uuid::now_v7(), 0..round)).await;
            assert_eq!(dropped.is_ok(), round > 0, "an append without events needs a key");
            drop(work);
            let refused = note(Uuid::now_v7(), 0..round).event(NewEvent::new("refused", &0).unwrap());
            store.append_one(refused).await.unwrap_err();
            assert_eq!(store.head().await.unwrap().get(), events, "what was rolled back is not seen");
            let mut work = store.begin().await.unwrap();
            work.append(&note(Uuid::now_v7(), [1, 2])).await.unwrap();
            work.append(&note(Uuid::now_v7(), [3])).await.unwrap();
            work.commit().await.unwrap();
            store.append_one(note(Uuid::now_v7(), [4])).await.unwrap();
            events += 4;
            assert_contiguous(&store, events).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_063_a_reader_never_sees_an_open_transaction() {
    let database = Database::new();
    let store = database.open().await;
    store.append_one(note(Uuid::now_v7(), [1])).await.unwrap();
    let mut work = store.begin().await.unwrap();
    let id = Uuid::now_v7();
    let appended = work.append(&note(id, [2]).idempotency_key(IdempotencyKey::new("k").unwrap())).await.unwrap();
    assert_eq!(appended.position.unwrap().get(), 2);
    assert_contiguous(&store, 1).await;
    assert!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().is_empty());
    assert_eq!(store.receipt(id, &IdempotencyKey::new("k").unwrap()).await.unwrap(), None);
    work.commit().await.unwrap();
    assert_contiguous(&store, 2).await;
}

/// What most rows of a statement share is bound once, and the others bind their own.
#[tokio::test]
async fn events_of_many_kinds_in_one_batch_keep_their_own_type_and_metadata() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let kinds = ["notebook", "diary", "notebook", "ledger"];
    let numbered = |number: usize| {
        let mut append = note(Uuid::now_v7(), 0..number as u64 % 7 + 1);
        append.aggregate_type = kinds[number % kinds.len()].into();
        if number.is_multiple_of(3) { append } else { append.metadata(Metadata::new().actor(format!("a{number}"))) }
    };
    // More than one statement holds, and an end that does not fill its statement.
    let batch: Vec<_> = (0..200).map(numbered).collect();
    for answer in store.append(batch.clone()).await {
        answer.unwrap();
    }
    let expected: Vec<_> = batch
        .iter()
        .flat_map(|append| append.events.iter().map(move |_| (append.aggregate_type.as_ref(), append.metadata.clone())))
        .collect();
    let stored = log(&store).await;
    let found: Vec<_> = stored.iter().map(|event| (event.aggregate_type(), event.metadata().unwrap())).collect();
    assert_eq!(found, expected);
    assert_contiguous(&store, expected.len() as u64).await;
}
