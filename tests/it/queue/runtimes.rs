//! Runtimes that end, callers without one, and runtimes without timers.

use std::sync::Arc;

use annals::{EventStore as _, EventStoreExt as _, StreamQuery, store::Concurrency};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::{SEVERAL, append, append_to, by_hand::BY_ITSELF, fixture};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn a_runtime_that_ends_leaves_no_caller_hanging(concurrency: Concurrency) {
    let (ending, staying) = (runtime(), runtime());
    let mut at = fixture(concurrency);
    let id = Uuid::now_v7();
    let (written, queued) = staying.block_on(async {
        let first = Arc::clone(&at.front);
        // The batch is begun on the runtime that ends.
        let begun = ending.spawn(async move { first.append_one(append_to(id, "made", "")).await });
        assert_eq!(at.arrived().await, 1);
        // Behind the first one, of whose aggregate it is; the runner is held at the gate.
        let queued = at.spawn(append_to(id, "made", ""));
        tokio::task::yield_now().await;
        (begun, queued)
    });
    ending.shutdown_background();
    staying.block_on(async {
        assert!(written.await.unwrap_err().is_cancelled());
        // Never sent, or sent by a runner of its own after the other had ended: an answer in any case.
        at.gate.add_permits(100);
        match queued.await.unwrap() {
            Ok(_) => {}
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        at.front.append_one(append("made", "")).await.unwrap();
    });
}

#[test]
fn a_runtime_that_ends_under_one_batch_leaves_no_caller_hanging() {
    a_runtime_that_ends_leaves_no_caller_hanging(Concurrency::default());
}

#[test]
fn a_runtime_that_ends_under_several_batches_leaves_no_caller_hanging() {
    a_runtime_that_ends_leaves_no_caller_hanging(SEVERAL);
}

/// The first load goes by itself, the second in a batch on the runtime that ends.
#[test]
fn a_load_whose_runtime_ends_goes_by_itself() {
    let (ending, staying) = (runtime(), runtime());
    let mut at = fixture(SEVERAL);
    staying.block_on(async {
        let alone = at.spawn_load(Uuid::now_v7());
        assert_eq!(at.arrived().await, 1);
        let front = Arc::clone(&at.front);
        let query = StreamQuery::of(Uuid::now_v7());
        let dying = ending.spawn(async move { front.read_stream(&query, &mut |_| Ok(())).await });
        let in_batch = at.arrival().await;
        // Behind it, and in its hands: one more batch is in flight, so this one waits.
        let (second, third) = (at.spawn_load(Uuid::now_v7()), at.spawn_load(Uuid::now_v7()));
        ending.shutdown_background();
        assert!(dying.await.unwrap_err().is_cancelled());
        drop(in_batch);
        at.open();
        for load in [alone, second, third] {
            load.await.unwrap().unwrap();
        }
    });
}

#[test]
fn without_a_runtime_an_append_is_refused() {
    for concurrency in [Concurrency::default(), SEVERAL] {
        let at = fixture(concurrency);
        let mut pending = Box::pin(at.front.append_one(append("made", "")));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(answer) = pending.as_mut().poll(&mut context) else { panic!("it waits") };
        assert!(answer.unwrap_err().is_retryable());
    }
}

#[test]
fn without_a_runtime_a_load_goes_by_itself() {
    let at = fixture(SEVERAL);
    at.open();
    let query = StreamQuery::of(Uuid::now_v7());
    let mut visit = |_: annals::EventRef<'_>| Ok(());
    let mut pending = Box::pin(at.front.read_stream(&query, &mut visit));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(read) = pending.as_mut().poll(&mut context) else { panic!("it waits") };
    assert_eq!(read.unwrap().version, BY_ITSELF);
}

/// This runtime has no timer: whoever asked for one would panic, and its callers would be left without an answer.
#[test]
fn a_caller_that_is_alone_waits_for_no_timer() {
    for concurrency in [Concurrency::default(), SEVERAL] {
        let at = fixture(concurrency);
        at.open();
        Builder::new_current_thread().build().unwrap().block_on(async {
            for _ in 0..200 {
                let id = Uuid::now_v7();
                at.front.read_stream(&StreamQuery::of(id), &mut |_| Ok(())).await.unwrap();
                at.front.append_one(append_to(id, "made", "")).await.unwrap();
            }
        });
        assert_eq!(at.batches(), [1; 200]);
    }
}

/// Loads of which nothing comes are no reason to wait, however slow batches are: on this runtime a wait would panic.
#[test]
fn loads_that_nothing_follows_are_not_waited_for() {
    let mut at = fixture(SEVERAL);
    *at.front.backend().takes.lock().unwrap() = std::time::Duration::from_millis(2);
    Builder::new_current_thread().build().unwrap().block_on(async {
        for _ in 0..20 {
            let load = at.spawn_load(Uuid::now_v7());
            at.arrival().await.let_through();
            load.await.unwrap().unwrap();
            let written = at.spawn(append("made", ""));
            at.arrival().await.let_through();
            written.await.unwrap().unwrap();
        }
        let _load = at.spawn_load(Uuid::now_v7());
        at.arrived().await;
        let written = at.spawn(append("made", ""));
        at.arrival().await.let_through();
        written.await.unwrap().unwrap();
    });
}
