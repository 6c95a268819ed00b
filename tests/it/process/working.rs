//! Runners at work: handlers that panic, ends that are waited for, outages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use annals::{
    ManualClock, Processes,
    process::{Call, ProcessRunner, ProcessStatus},
};
use tokio::sync::{Semaphore, oneshot};

use super::{
    check,
    late::until,
    place::{Whole, on_both},
    request, runner,
    service::Service,
    status,
    trip::{Booking, booking_of},
    with_points::WithPoints,
};
use crate::steps::points::Points;

on_both! {
    a_handler_that_panics_is_tried_again_and_then_parked_and_the_runner_lives
    a_step_under_way_is_waited_for_at_the_end
    a_step_that_takes_longer_than_the_end_may_is_left_to_another_with_the_same_key
    a_runner_that_is_dropped_leaves_its_steps_to_another
    an_outage_of_the_database_is_waited_out
}

async fn a_handler_that_panics_is_tried_again_and_then_parked_and_the_runner_lives<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (service, times) = (Service::default(), Arc::new(AtomicU32::new(0)));
    let (asked, counted) = (service.clone(), Arc::clone(&times));
    let trips = [request(&store, 1).await, request(&store, 2).await];
    let panics_for = booking_of(trips[0]).uuid();
    let panicking = runner(&store, &service).attempts(3, Duration::from_millis(1), Duration::from_millis(1)).call(
        "charge",
        move |call: Call<u64>| {
            if call.process_id == panics_for {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("a fault in the handler");
            }
            std::future::ready(asked.ask("charge", &call.key))
        },
    );
    for _ in 0..5 {
        panicking.catch_up().await.unwrap();
        clock.advance(Duration::from_secs(2));
    }
    let processes = Processes::<Booking, _>::new(&store);
    let view = processes.find(booking_of(trips[0])).await.unwrap().unwrap();
    assert_eq!((view.parked(), times.load(Ordering::SeqCst)), (Some("it has panicked"), 3));
    assert_eq!(status(&store, trips[1]).await, ProcessStatus::Completed);
    assert!(processes.resume(booking_of(trips[0])).await.unwrap());
    runner(&store, &service).catch_up().await.unwrap();
    assert_eq!((status(&store, trips[0]).await, service.calls("hotel")), (ProcessStatus::Completed, 2));
    check(&store).await;
}

const LEASE: Duration = Duration::from_secs(30);

/// A runner that is held in a step.
struct Held<S> {
    runner: ProcessRunner<Booking, S>,
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

fn held<S: Whole>(store: &S, service: &Service) -> Held<S> {
    let (reached, open) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (at, opened, asked) = (Arc::clone(&reached), Arc::clone(&open), service.clone());
    let runner = runner(store, service).lease(LEASE).call("charge", move |call: Call<u64>| {
        let (at, opened, asked) = (Arc::clone(&at), Arc::clone(&opened), asked.clone());
        async move {
            let answer = asked.ask("charge", &call.key);
            at.add_permits(1);
            drop(opened.acquire().await.unwrap());
            answer
        }
    });
    Held { runner, reached, open }
}

async fn a_step_under_way_is_waited_for_at_the_end<S: Whole>(store: S, _: Arc<ManualClock>) {
    let service = Service::default();
    let trip = request(&store, 1).await;
    let Held { runner, reached, open } = held(&store, &service);
    let (end, ends) = oneshot::channel::<()>();
    let running = tokio::spawn(async move { runner.run(async { drop(ends.await) }).await });
    reached.acquire().await.unwrap().forget();
    drop(end);
    // Whatever comes meanwhile is not begun.
    let late = request(&store, 1).await;
    assert!(!running.is_finished());
    open.add_permits(1);
    running.await.unwrap().unwrap();
    // The step is noted; what follows from it is for another, and at once.
    assert_eq!((status(&store, late).await, service.calls("hotel")), (ProcessStatus::New, 1));
    super::runner(&store, &service).catch_up().await.unwrap();
    assert_eq!((status(&store, trip).await, service.calls("charge")), (ProcessStatus::Completed, 2));
    assert_eq!(status(&store, late).await, ProcessStatus::Completed);
    check(&store).await;
}

async fn a_step_that_takes_longer_than_the_end_may_is_left_to_another_with_the_same_key<S: Whole>(
    store: S,
    _: Arc<ManualClock>,
) {
    let service = Service::default();
    let trip = request(&store, 1).await;
    let Held { runner, reached, open: _shut } = held(&store, &service);
    let (end, ends) = oneshot::channel::<()>();
    let runner = runner.drain(Duration::from_millis(50));
    let running = tokio::spawn(async move { runner.run(async { drop(ends.await) }).await });
    reached.acquire().await.unwrap().forget();
    drop(end);
    running.await.unwrap().unwrap();
    is_left_to_another(&store, &service, trip).await;
}

async fn a_runner_that_is_dropped_leaves_its_steps_to_another<S: Whole>(store: S, clock: Arc<ManualClock>) {
    let service = Service::default();
    let trip = request(&store, 1).await;
    let Held { runner, reached, open: _shut } = held(&store, &service);
    let running = tokio::spawn(async move { runner.run(std::future::pending()).await });
    reached.acquire().await.unwrap().forget();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // It has let go of nothing.
    clock.advance(LEASE);
    is_left_to_another(&store, &service, trip).await;
}

async fn is_left_to_another<S: Whole>(store: &S, service: &Service, trip: annals::Id<super::trip::Trip>) {
    assert_eq!(status(store, trip).await, ProcessStatus::Running);
    runner(store, service).catch_up().await.unwrap();
    let keys = service.keys("charge");
    assert_eq!((status(store, trip).await, keys.len(), keys[0] == keys[1]), (ProcessStatus::Completed, 2, true));
    assert_eq!(service.effects(), ["hotel", "charge"]);
    check(store).await;
}

async fn an_outage_of_the_database_is_waited_out<S: Whole>(store: S, clock: Arc<ManualClock>) {
    let service = Service::default();
    let points = Points::stop_at(None);
    let failing = WithPoints::new(&store, &points);
    let (end, ends) = oneshot::channel::<()>();
    let runner = runner(&failing, &service);
    let running = tokio::spawn(async move { runner.run(async { drop(ends.await) }).await });
    let mut trips = vec![request(&store, 1).await];
    until(async || status(&store, trips[0]).await == ProcessStatus::Completed).await;
    for _ in 0..3 {
        failing.is_down.store(true, Ordering::SeqCst);
        trips.push(request(&store, 1).await);
        let refused = failing.refused.load(Ordering::SeqCst);
        until(async || failing.refused.load(Ordering::SeqCst) > refused + 3).await;
        failing.is_down.store(false, Ordering::SeqCst);
        until(async || {
            clock.advance(Duration::from_millis(100));
            status(&store, trips[trips.len() - 1]).await == ProcessStatus::Completed
        })
        .await;
    }
    drop(end);
    running.await.unwrap().unwrap();
    assert_eq!(service.effects().len(), 2 * trips.len());
    check(&store).await;
}
