//! A COMMIT that fails: whether it happened is not known, and asking again finds out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use annals::{
    EventStore as _, EventStoreExt as _, ExpectedVersion, LogQuery, Repository, SqliteStore, Transactional as _,
    Work as _,
};
use uuid::Uuid;

use super::{
    notes,
    tally::{Request, Tally, answer_line, is_replayed},
};

/// A store in memory whose commits fail while the switch is on: its one connection has a commit hook.
async fn failing_store() -> (SqliteStore, Arc<AtomicBool>) {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let mut work = store.begin().await.unwrap();
    let switch = Arc::clone(&fails);
    work.connection().lock_handle().await.unwrap().set_commit_hook(move || !switch.load(Ordering::SeqCst));
    drop(work);
    (store, fails)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_is_an_unknown_outcome_and_the_store_goes_on() {
    let (store, fails) = failing_store().await;
    let id = Uuid::now_v7();
    let before = notes(id, ExpectedVersion::New, 1, 10);
    store.append_one(before.clone()).await.unwrap();
    fails.store(true, Ordering::SeqCst);
    let append = notes(id, ExpectedVersion::Exact(1), 2, 10);
    for _ in 0..3 {
        assert!(store.append_one(append.clone()).await.unwrap_err().is_outcome_unknown());
        let mut work = store.begin().await.unwrap();
        work.append(&append).await.unwrap();
        assert!(work.commit().await.unwrap_err().is_outcome_unknown());
        // What had been committed earlier is known.
        let answers = store.append(vec![before.clone(), append.clone()]).await;
        assert!(answers[0].as_ref().unwrap().replayed);
        assert!(answers[1].as_ref().unwrap_err().is_outcome_unknown());
    }
    fails.store(false, Ordering::SeqCst);
    let appended = store.append_one(append.clone()).await.unwrap();
    assert_eq!((appended.version, appended.replayed), (3, false));
    assert!(store.append_one(append).await.unwrap().replayed);
    assert_eq!(store.collect_log(&LogQuery::all()).await.unwrap().len(), 3);
}

/// Answers that were read from what the failed transaction itself had written are worth nothing.
/// On one thread, where the whole batch is queued before the first commit begins.
#[tokio::test]
async fn no_answer_rests_on_a_commit_that_failed() {
    let (store, fails) = failing_store().await;
    let id = Uuid::now_v7();
    let append = notes(id, ExpectedVersion::New, 2, 10);
    let rival = notes(id, ExpectedVersion::New, 1, 10);
    let behind = notes(id, ExpectedVersion::Exact(2), 1, 10);
    let mut reused = append.clone();
    reused.events = Arc::new(rival.events.as_ref().clone());
    let elsewhere = notes(Uuid::now_v7(), ExpectedVersion::Exact(7), 1, 10);
    fails.store(true, Ordering::SeqCst);
    let batch = vec![append.clone(), append.clone(), rival, reused, behind, elsewhere];
    let answers = store.append(batch).await;
    let (last, same_aggregate) = answers.split_last().unwrap();
    for answer in same_aggregate {
        assert!(answer.as_ref().unwrap_err().is_outcome_unknown(), "{answer:?}");
    }
    assert!(last.as_ref().unwrap_err().is_conflict(), "{last:?}");
    fails.store(false, Ordering::SeqCst);
    assert!(!store.append_one(append).await.unwrap().replayed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_commit_failed_is_executed_once() {
    let (store, fails) = failing_store().await;
    let tallies = Repository::<Tally>::new(&store);
    for number in 0..20 {
        let request = Request::of(&format!("key {number}").replace(' ', "-"));
        fails.store(true, Ordering::SeqCst);
        let running = {
            let (request, tallies) = (request.clone(), tallies.clone());
            tokio::spawn(async move { request.run(&tallies).await })
        };
        // It fails at least once: this one, sent meanwhile, does.
        let probe = notes(Uuid::now_v7(), ExpectedVersion::New, 1, 1);
        assert!(store.append_one(probe).await.unwrap_err().is_outcome_unknown());
        fails.store(false, Ordering::SeqCst);
        let answer = running.await.unwrap();
        assert!(!is_replayed(&answer));
        let again = request.run(&tallies).await;
        assert_eq!(answer_line(&again), answer_line(&answer));
        assert!(is_replayed(&again));
    }
}
