//! A database that writes several batches at once.

use std::sync::Arc;

use annals::{Append, EventStore as _, EventStoreExt as _, NewEvent};
use futures_util::future::join_all;
use uuid::Uuid;

use super::{Fixture, SEVERAL, append, append_to, by_hand::Arrival, fixture, settle};

/// Three callers, each of whose appends is in flight: whoever comes now has to gather.
async fn three_in_flight(at: &mut Fixture) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for _ in 0..3 {
        at.spawn(append("made", ""));
        let arrival = at.arrival().await;
        assert_eq!(arrival.aggregates.len(), 1);
        arrivals.push(arrival);
    }
    arrivals
}

#[tokio::test]
async fn few_callers_do_not_wait_for_one_another_and_more_share() {
    let mut at = fixture(SEVERAL);
    let few = three_in_flight(&mut at).await;
    let rest: Vec<_> = (0..5).map(|_| at.spawn(append("made", ""))).collect();
    at.assert_nothing_arrives().await;
    few.into_iter().for_each(Arrival::let_through);
    assert_eq!(at.arrived().await, 5);
    at.open();
    for waiting in rest {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(at.batches(), [1, 1, 1, 5]);
}

#[tokio::test]
async fn a_batch_goes_while_another_is_in_flight() {
    let mut at = fixture(SEVERAL);
    let _first = at.spawn(append("made", ""));
    let first = at.arrival().await;
    let ten: Vec<_> = (0..10).map(|_| append("made", "")).collect();
    let front = Arc::clone(&at.front);
    let ten = tokio::spawn(async move { front.append(ten).await });
    let second = at.arrival().await;
    assert_eq!(second.aggregates.len(), 10);
    second.let_through();
    assert!(ten.await.unwrap().iter().all(Result::is_ok), "it need not wait for the first");
    first.let_through();
}

#[tokio::test]
async fn an_append_waits_for_one_of_its_aggregate_in_flight_and_holds_up_nobody_behind_it() {
    let mut at = fixture(SEVERAL);
    let (hot, other) = (Uuid::now_v7(), Uuid::now_v7());
    let first = at.spawn(append_to(hot, "made", "1"));
    let in_flight = at.arrival().await;
    let second = at.spawn(append_to(hot, "made", "2"));
    at.assert_nothing_arrives().await;
    let third = at.spawn(append_to(hot, "made", "3"));
    let behind = at.spawn(append_to(other, "made", "4"));
    let passed = at.arrival().await;
    assert_eq!(passed.aggregates, [other]);
    passed.let_through();
    behind.await.unwrap().unwrap();
    at.assert_nothing_arrives().await;
    in_flight.let_through();
    first.await.unwrap().unwrap();
    let next = at.arrival().await;
    assert_eq!(next.aggregates, [hot, hot], "what waited for one aggregate may share a batch");
    next.let_through();
    second.await.unwrap().unwrap();
    third.await.unwrap().unwrap();
    assert_eq!(at.front.backend().written_to(hot), ["\"1\"", "\"2\"", "\"3\""]);
}

#[tokio::test]
async fn a_thousand_appends_to_one_aggregate_hold_up_nobody_behind_them() {
    let mut at = fixture(SEVERAL);
    let hot = Uuid::now_v7();
    at.spawn(append_to(hot, "made", ""));
    let in_flight = at.arrival().await;
    let front = Arc::clone(&at.front);
    let crowd: Vec<Append> = (0..1_000).map(|_| append_to(hot, "made", "")).collect();
    let crowd = tokio::spawn(async move { front.append(crowd).await });
    settle().await;
    let behind = at.spawn(append("made", ""));
    at.arrival().await.let_through();
    behind.await.unwrap().unwrap();
    in_flight.let_through();
    at.open();
    assert!(crowd.await.unwrap().iter().all(Result::is_ok));
}

#[tokio::test]
async fn callers_that_go_away_take_nothing_with_them() {
    let mut at = fixture(SEVERAL);
    let hot = Uuid::now_v7();
    let in_flight = at.spawn(append_to(hot, "made", "1"));
    let first = at.arrival().await;
    let waiting = at.spawn(append_to(hot, "made", "2"));
    settle().await;
    in_flight.abort();
    waiting.abort();
    assert!(in_flight.await.unwrap_err().is_cancelled() && waiting.await.unwrap_err().is_cancelled());
    first.let_through();
    at.open();
    at.front.append_one(append_to(hot, "made", "3")).await.unwrap();
    assert_eq!(at.front.backend().written_to(hot), ["\"1\"", "\"2\"", "\"3\""]);
}

#[tokio::test]
async fn close_answers_what_is_in_flight_and_what_waits() {
    let mut at = fixture(SEVERAL);
    let few = three_in_flight(&mut at).await;
    let waiting: Vec<_> = (0..9).map(|_| at.spawn(append("made", ""))).collect();
    settle().await;
    let front = Arc::clone(&at.front);
    let closing = tokio::spawn(async move { front.close().await });
    settle().await;
    assert!(!closing.is_finished(), "batches are still being written");
    few.into_iter().for_each(Arrival::let_through);
    at.open();
    closing.await.unwrap();
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(at.front.backend().written(), 12);
    let refused = at.front.append_one(append("made", "")).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
}

#[tokio::test]
async fn a_batch_that_is_written_append_by_append_holds_up_nobody_else() {
    let mut at = fixture(SEVERAL);
    let few = three_in_flight(&mut at).await;
    let ids = [(); 3].map(|()| Uuid::now_v7());
    let [first, poison, last] =
        [(ids[0], "made"), (ids[1], "poison"), (ids[2], "made")].map(|(id, event)| at.spawn(append_to(id, event, "")));
    settle().await;
    few.into_iter().for_each(Arrival::let_through);
    let whole = at.arrival().await;
    assert_eq!(whole.aggregates, ids);
    whole.let_through();
    let alone = at.arrival().await;
    assert_eq!(alone.aggregates, ids[..1]);
    // Others go meanwhile, also those of an aggregate that has its answer.
    let other = at.spawn(append("made", ""));
    let passing = at.arrival().await;
    assert!(!ids.contains(&passing.aggregates[0]));
    passing.let_through();
    other.await.unwrap().unwrap();
    alone.let_through();
    first.await.unwrap().unwrap();
    assert_eq!(at.arrival().await.aggregates, ids[1..2], "the first has its answer, the second is at it");
    let again = at.spawn(append_to(ids[0], "made", ""));
    let again_in_flight = at.arrival().await;
    assert_eq!(again_in_flight.aggregates, ids[..1]);
    at.open();
    assert!(poison.await.unwrap().is_err());
    last.await.unwrap().unwrap();
    again.await.unwrap().unwrap();
    assert_eq!(at.front.backend().written_to(ids[0]).len(), 2);
}

/// The database by hand checks that no aggregate is in two batches at once, and no more batches than it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_aggregate_keeps_its_order_among_many() {
    const EACH: usize = 200;
    let at = fixture(SEVERAL);
    at.open();
    let ids: Vec<_> = (0..8).map(|_| Uuid::now_v7()).collect();
    let tasks = ids.iter().map(|id| {
        let (front, id) = (Arc::clone(&at.front), *id);
        tokio::spawn(async move {
            for round in 0..EACH / 20 {
                // Queued in this order, answered together.
                let numbers = round * 20..(round + 1) * 20;
                let appends = numbers.map(|number| front.append_one(append_to(id, "made", &number.to_string())));
                assert!(join_all(appends).await.iter().all(Result::is_ok));
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let expected: Vec<_> = (0..EACH).map(|number| format!("\"{number}\"")).collect();
    for id in ids {
        assert_eq!(at.front.backend().written_to(id), expected);
    }
}

/// What a statement writes takes its time: from some size on the rest goes beside it.
#[tokio::test]
async fn long_histories_are_spread_over_two_batches_at_once() {
    let mut at = fixture(SEVERAL);
    let history = |events: usize| append("made", "").events((1..events).map(|_| NewEvent::new("made", "").unwrap()));
    let front = Arc::clone(&at.front);
    let histories: Vec<_> = (0..100).map(|_| history(10)).collect();
    let written = tokio::spawn(async move { front.append(histories).await });
    let both = [at.arrival().await, at.arrival().await];
    assert_eq!([both[0].aggregates.len(), both[1].aggregates.len()], [51, 49]);
    at.open();
    drop(both);
    assert!(written.await.unwrap().iter().all(Result::is_ok));

    // One that is larger goes by itself.
    assert!(at.front.append(vec![history(500), history(400), history(1)]).await.iter().all(Result::is_ok));
    assert_eq!(at.batches()[2..], [1, 2]);
}

#[tokio::test]
async fn a_crowd_is_spread_over_bounded_batches() {
    let at = fixture(SEVERAL);
    at.open();
    let crowd: Vec<_> = (0..2_000).map(|_| append("made", "")).collect();
    assert!(at.front.append(crowd).await.iter().all(Result::is_ok));
    let batches = at.batches();
    assert!(batches.iter().all(|appends| *appends <= 512), "{batches:?}");
    assert_eq!(batches.iter().sum::<usize>(), 2_000);
}
