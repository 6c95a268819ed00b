//! Loads that share round trips.

use std::sync::{Arc, atomic::Ordering};

use annals::{
    Error, EventRef, EventStore as _, StreamQuery,
    store::{LoadQuery, LoadVisitor, SnapshotRef},
};
use uuid::Uuid;

use super::{
    Fixture, SEVERAL,
    by_hand::{Arrival, BY_ITSELF, WITH_OTHERS},
    fixture, settle,
};

struct Nothing;

impl LoadVisitor for Nothing {
    fn visit_snapshot(&mut self, _: SnapshotRef<'_>) -> bool {
        false
    }

    fn visit_event(&mut self, _: EventRef<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A load under way by itself: whoever comes now shares.
async fn one_alone(at: &mut Fixture) -> Arrival {
    at.spawn_load(Uuid::now_v7());
    at.arrival().await
}

#[tokio::test]
async fn a_load_that_is_alone_goes_by_itself_and_those_that_come_meanwhile_share() {
    let mut at = fixture(SEVERAL);
    let alone = at.spawn_load(Uuid::now_v7());
    let first = at.arrival().await;
    let shared: Vec<_> = (0..10).map(|_| at.spawn_load(Uuid::now_v7())).collect();
    let batch = at.arrival().await;
    assert_eq!(batch.aggregates.len(), 10);
    let more: Vec<_> = (0..5).map(|_| at.spawn_load(Uuid::now_v7())).collect();
    let second = at.arrival().await;
    assert_eq!(second.aggregates.len(), 5, "two batches go at once");
    let last: Vec<_> = (0..3).map(|_| at.spawn_load(Uuid::now_v7())).collect();
    at.assert_nothing_arrives().await;
    batch.let_through();
    assert_eq!(at.arrived().await, 3, "what waited meanwhile goes as the next");
    first.let_through();
    second.let_through();
    at.open();
    assert_eq!(alone.await.unwrap().unwrap().version, BY_ITSELF);
    for load in shared.into_iter().chain(more).chain(last) {
        assert_eq!(load.await.unwrap().unwrap().version, WITH_OTHERS);
    }
}

#[tokio::test]
async fn loads_of_snapshots_and_of_the_rest_of_a_stream_share_as_well() {
    let mut at = fixture(SEVERAL);
    let _alone = one_alone(&mut at).await;
    let front = Arc::clone(&at.front);
    let snapshot = tokio::spawn(async move {
        let query = LoadQuery { aggregate_id: Uuid::now_v7(), snapshot_version: 1, receipt_of: None };
        front.load(&query, &mut Nothing).await
    });
    let front = Arc::clone(&at.front);
    let rest = tokio::spawn(async move {
        let query = StreamQuery::of(Uuid::now_v7()).from_sequence(7);
        front.read_stream(&query, &mut |_| Ok(())).await
    });
    let batch = at.arrival().await;
    assert_eq!(batch.aggregates.len(), 2);
    batch.let_through();
    assert_eq!(snapshot.await.unwrap().unwrap().version, WITH_OTHERS);
    assert_eq!(rest.await.unwrap().unwrap().version, WITH_OTHERS);
}

#[tokio::test]
async fn a_read_that_asks_for_less_goes_by_itself() {
    let mut at = fixture(SEVERAL);
    let _alone = one_alone(&mut at).await;
    let whole = || StreamQuery::of(Uuid::now_v7());
    let queries = [
        whole().limit(1),
        whole().backward(),
        whole().to_sequence(9),
        whole().event_types(["made"]),
        whole().recorded_until(chrono::Utc::now()),
    ];
    for query in queries {
        let front = Arc::clone(&at.front);
        let read = tokio::spawn(async move { front.read_stream(&query, &mut |_| Ok(())).await });
        at.arrival().await.let_through();
        assert_eq!(read.await.unwrap().unwrap().version, BY_ITSELF);
    }
}

#[tokio::test]
async fn a_batch_of_loads_is_bounded() {
    let mut at = fixture(SEVERAL);
    let _alone = one_alone(&mut at).await;
    let crowd: Vec<_> = (0..100).map(|_| at.spawn_load(Uuid::now_v7())).collect();
    let (one, other) = (at.arrived().await, at.arrived().await);
    assert_eq!([one, other], [64, 36]);
    at.open();
    for load in crowd {
        assert_eq!(load.await.unwrap().unwrap().version, WITH_OTHERS);
    }
}

#[tokio::test]
async fn a_stream_that_does_not_fit_a_page_is_loaded_by_itself() {
    let mut at = fixture(SEVERAL);
    let _alone = one_alone(&mut at).await;
    let (long, short) = (Uuid::now_v7(), Uuid::now_v7());
    at.front.backend().long.lock().unwrap().insert(long);
    let loads = [long, short].map(|id| at.spawn_load(id));
    assert_eq!(at.arrival().await.aggregates, [long, short]);
    at.open();
    assert_eq!(at.arrival().await.aggregates, [long]);
    let mut versions = Vec::new();
    for load in loads {
        versions.push(load.await.unwrap().unwrap().version);
    }
    assert_eq!(versions, [BY_ITSELF, WITH_OTHERS]);
}

#[tokio::test]
async fn a_load_that_fails_does_not_fail_its_neighbours() {
    let mut at = fixture(SEVERAL);
    let _alone = one_alone(&mut at).await;
    let [first, bad, last] = [(); 3].map(|()| Uuid::now_v7());
    at.front.backend().unreadable.lock().unwrap().insert(bad);
    let [first, bad, last] = [first, bad, last].map(|id| at.spawn_load(id));
    assert_eq!(at.arrived().await, 3);
    at.open();
    assert_eq!(first.await.unwrap().unwrap().version, BY_ITSELF);
    assert!(matches!(bad.await.unwrap(), Err(Error::Backend { .. })));
    assert_eq!(last.await.unwrap().unwrap().version, BY_ITSELF);
}

#[tokio::test]
async fn a_database_that_is_down_is_told_to_each() {
    let mut at = fixture(SEVERAL);
    let _alone = one_alone(&mut at).await;
    let loads: Vec<_> = (0..4).map(|_| at.spawn_load(Uuid::now_v7())).collect();
    let batch = at.arrival().await;
    at.front.backend().is_down.store(true, Ordering::Relaxed);
    batch.let_through();
    for load in loads {
        assert!(load.await.unwrap().unwrap_err().is_retryable());
    }
    at.assert_nothing_arrives().await;
}

#[tokio::test]
async fn a_load_whose_caller_went_away_is_not_made() {
    let mut at = fixture(SEVERAL);
    let _alone = one_alone(&mut at).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        at.spawn_load(Uuid::now_v7());
        held.push(at.arrival().await);
    }
    let (gone, stays) = (at.spawn_load(Uuid::now_v7()), Uuid::now_v7());
    settle().await;
    let load = at.spawn_load(stays);
    settle().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    held.into_iter().for_each(Arrival::let_through);
    assert_eq!(at.arrival().await.aggregates, [stays]);
    at.open();
    load.await.unwrap().unwrap();
}
