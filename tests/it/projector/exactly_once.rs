//! Each event takes effect in the rows exactly once.

use std::{sync::Arc, time::Duration};

use annals::{Clock as _, Error, EventStore as _, ManualClock, Projection, Projector, RunState};
use chrono::DateTime;
use tokio::{sync::Semaphore, time::timeout};
use uuid::Uuid;

use super::{
    on_every_backend,
    place::{ConnectionOf, PATIENCE, Place},
    sums::Sums,
};

on_every_backend! {
    store_067_rows_and_checkpoint_commit_together
    store_067_what_a_crash_interrupts_is_applied_once
    store_068_a_late_batch_is_rolled_back
    store_080_rows_are_there_when_a_position_was_waited_for
    store_081_a_projection_that_is_run_again_changes_nothing
    store_p7_two_projectors_at_once_apply_each_event_once
}

/// Rows and checkpoint move in one transaction, batch by batch, and events that come later are followed.
async fn store_067_rows_and_checkpoint_commit_together<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    for _ in 0..30 {
        place.write(first, &[1, 2, 3]).await;
        place.write(second, &[10]).await;
    }
    let projector = Projector::new(place.store(), Sums::default()).unwrap().batch_events(7);
    projector.catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{first} 90"), 180), (format!("{second} 30"), 300)]);
    let progress = projector.progress().await.unwrap().unwrap();
    assert_eq!((progress.position, progress.lag_events), (place.store().head().await.unwrap(), 0));
    assert_eq!((progress.state, progress.build, progress.version), (RunState::Stopped, 1, 1));
    place.write(first, &[20]).await;
    projector.catch_up().await.unwrap();
    assert_eq!(place.sums().await[0], (format!("{first} 91"), 200));
}

/// A runner that ends behind its statements and before the commit leaves nothing; the next one applies the event once.
async fn store_067_what_a_crash_interrupts_is_applied_once<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3]).await;
    for permits in [2, 0, 0] {
        let gate = Arc::new(Semaphore::new(permits));
        let sums = Sums { gate: Some(Arc::clone(&gate)), ..Sums::default() };
        let applied = Arc::clone(&sums.applied);
        let projector = Projector::new(place.store(), sums).unwrap().lease(Duration::from_millis(100));
        let crash = tokio::spawn(async move { projector.run(std::future::pending()).await });
        timeout(PATIENCE, async {
            while applied.lock().unwrap().len() <= permits {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("it comes to the gate");
        crash.abort();
        drop(crash.await);
    }
    Projector::new(place.store(), Sums::default()).unwrap().catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 3"), 6)]);
}

/// A runner that was silent for longer than its lease is taken over from, and its batch is rolled back when it comes to.
async fn store_068_a_late_batch_is_rolled_back<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
    let place = P::open_at(Arc::<ManualClock>::clone(&clock)).await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2]).await;
    let gate = Arc::new(Semaphore::new(0));
    let late = Sums { gate: Some(Arc::clone(&gate)), ..Sums::default() };
    let late_applied = Arc::clone(&late.applied);
    // So long the database lets a silent transaction hold the rows that both write.
    let lease = Duration::from_secs(2);
    let late = Projector::new(place.store(), late).unwrap().lease(lease).owner("late").batch_events(1);
    let running = tokio::spawn(async move { late.run(std::future::pending()).await });
    timeout(PATIENCE, async {
        while late_applied.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it comes to the gate");
    if P::HAS_ONE_WRITER {
        // The late one has it: it has to come to before anybody can do anything.
        gate.add_permits(10);
    }
    let other = Projector::new(place.store(), Sums::default()).unwrap().lease(lease).owner("other");
    // Whatever signs of life the late one still gives, its lease has lapsed.
    let time_flies = async {
        loop {
            clock.set(clock.now() + lease * 2);
            tokio::task::yield_now().await;
        }
    };
    let taken_over = timeout(PATIENCE, other.catch_up());
    match futures_util::future::select(std::pin::pin!(taken_over), std::pin::pin!(time_flies)).await {
        futures_util::future::Either::Left((ended, _)) => ended.expect("it takes over").unwrap(),
        futures_util::future::Either::Right((never, _)) => never,
    }
    assert_eq!(place.sums().await, [(format!("{notebook} 2"), 3)]);
    gate.add_permits(10);
    place.write(notebook, &[4]).await;
    other.wait_until(place.store().head().await.unwrap(), PATIENCE).await.expect("the late one goes on, in its turn");
    running.abort();
    drop(running.await);
    assert_eq!(place.sums().await, [(format!("{notebook} 3"), 7)], "each event once, whoever came first");
}

/// Who waits for the position of an append sees its rows.
async fn store_080_rows_are_there_when_a_position_was_waited_for<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let projector = Arc::new(Projector::new(place.store(), Sums::default()).unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn({
        let projector = Arc::clone(&projector);
        async move { projector.run(async { drop(stopped.await) }).await }
    });
    let notebook = Uuid::now_v7();
    for number in 1..=20 {
        let position = place.write(notebook, &[number]).await;
        projector.wait_until(position, PATIENCE).await.unwrap();
        let events = i64::try_from(number).unwrap();
        assert_eq!(place.sums().await, [(format!("{notebook} {events}"), events * (events + 1) / 2)]);
    }
    drop(stop);
    timeout(PATIENCE, running).await.expect("it stops").unwrap().unwrap();
    assert_eq!(projector.progress().await.unwrap().unwrap().state, RunState::Stopped, "it has let go of the lease");
    let last = place.write(notebook, &[21]).await;
    let early = projector.wait_until(last, Duration::from_millis(20)).await;
    assert!(matches!(early, Err(Error::Behind { .. })), "nobody runs it: {early:?}");
}

/// Running it again, in whatever batches, changes nothing.
async fn store_081_a_projection_that_is_run_again_changes_nothing<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3, 4]).await;
    for batch_events in [1, 2, 100] {
        let sums = Sums::default();
        let applied = Arc::clone(&sums.applied);
        Projector::new(place.store(), sums).unwrap().batch_events(batch_events).catch_up().await.unwrap();
        assert_eq!(place.sums().await, [(format!("{notebook} 4"), 10)]);
        assert_eq!(applied.lock().unwrap().len(), if batch_events == 1 { 4 } else { 0 });
    }
}

/// Several projectors of one name at once, and writers beside them: each event is in the rows once.
async fn store_p7_two_projectors_at_once_apply_each_event_once<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let projector = Projector::new(place.store(), Sums::default()).unwrap().lease(Duration::from_millis(100));
        running.spawn(async move { projector.run(std::future::pending()).await });
    }
    let mut last = None;
    for number in 1..=60 {
        last = Some(place.write(notebook, &[number]).await);
        if number % 20 == 0 {
            // One of them dies, and another comes.
            let projector = Projector::new(place.store(), Sums::default()).unwrap().lease(Duration::from_millis(100));
            let dying = running.spawn(async move { projector.run(std::future::pending()).await });
            if number == 40 {
                dying.abort();
            }
        }
    }
    let projector = Projector::new(place.store(), Sums::default()).unwrap();
    projector.wait_until(last.unwrap(), PATIENCE).await.unwrap();
    running.shutdown().await;
    assert_eq!(place.sums().await, [(format!("{notebook} 60"), 1830)]);
}
