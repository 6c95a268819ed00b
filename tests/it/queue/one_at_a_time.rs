//! A database that writes one batch at a time: what waits meanwhile goes as the next.

use std::sync::Arc;

use annals::{EventStore as _, EventStoreExt as _, store::Concurrency};

use super::{Fixture, append, fixture, settle};

const ONE: Concurrency = Concurrency { writes: 1, loads: 0 };

fn open_fixture() -> Fixture {
    let fixture = fixture(ONE);
    fixture.open();
    fixture
}

#[tokio::test]
async fn what_waits_while_a_batch_is_written_goes_as_one_commit() {
    let mut at = fixture(ONE);
    let first = at.spawn(append("made", ""));
    assert_eq!(at.arrived().await, 1);
    let rest: Vec<_> = (0..9).map(|_| at.spawn(append("made", ""))).collect();
    // The nine have queued when each of their tasks has run once.
    settle().await;
    at.gate.add_permits(2);
    first.await.unwrap().unwrap();
    for waiting in rest {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(at.batches(), [1, 9]);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_with_it() {
    let mut at = fixture(ONE);
    let abandoned = at.spawn(append("made", ""));
    assert_eq!(at.arrived().await, 1);
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    at.gate.add_permits(2);
    at.front.append_one(append("made", "")).await.unwrap();
    assert_eq!(at.batches(), [1, 1], "the abandoned append was written too");
}

#[tokio::test]
async fn an_append_that_cannot_be_stored_does_not_fail_its_neighbours() {
    let mut at = fixture(ONE);
    let first = at.spawn(append("made", ""));
    assert_eq!(at.arrived().await, 1);
    let rest = ["made", "poison", "made"].map(|event_type| at.spawn(append(event_type, "")));
    settle().await;
    at.gate.add_permits(100);
    first.await.unwrap().unwrap();
    let mut failed = Vec::new();
    for waiting in rest {
        failed.push(waiting.await.unwrap().is_err());
    }
    assert_eq!(failed, [false, true, false]);
    assert_eq!(at.batches(), [1, 3, 1, 1, 1]);
}

#[tokio::test]
async fn a_commit_is_bounded_in_appends_and_bytes() {
    let at = open_fixture();
    let small: Vec<_> = (0..600).map(|_| append("made", "")).collect();
    assert!(at.front.append(small).await.iter().all(Result::is_ok));
    assert_eq!(at.batches(), [512, 88]);

    let large = "x".repeat(1_000_000);
    let heavy: Vec<_> = (0..10).map(|_| append("made", &large)).collect();
    assert!(at.front.append(heavy).await.iter().all(Result::is_ok));
    assert_eq!(at.batches()[2..], [4, 4, 2]);
}

#[tokio::test]
async fn one_batch_larger_than_the_queue_passes_through_it() {
    let at = open_fixture();
    let large = "x".repeat(1_000_000);
    let heavy: Vec<_> = (0..150).map(|_| append("made", &large)).collect();
    assert!(at.front.append(heavy).await.iter().all(Result::is_ok));
    assert_eq!(at.batches().iter().sum::<usize>(), 150);
}

#[tokio::test]
async fn close_answers_what_was_taken_and_takes_no_more() {
    let mut at = fixture(ONE);
    let taken = at.spawn(append("made", ""));
    assert_eq!(at.arrived().await, 1);
    let front = Arc::clone(&at.front);
    let closing = tokio::spawn(async move { front.close().await });
    tokio::task::yield_now().await;
    assert!(!closing.is_finished(), "a batch is still being written");
    at.gate.add_permits(1);
    closing.await.unwrap();
    taken.await.unwrap().unwrap();
    let refused = at.front.append_one(append("made", "")).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    at.front.close().await;
}
