//! Workers that are late: two at one process, and what a frozen one does when it goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use annals::{
    ManualClock,
    process::{Call, ProcessStatus},
};
use tokio::sync::Semaphore;

use super::{
    attempts::Run,
    booking, check,
    errand::{Part, Plan},
    history,
    place::{Whole, on_both},
    request, runner,
    service::Service,
    status,
    trip::{Booking, booking_of},
};
use crate::campaign;

on_both! {
    http_l06_a_frozen_worker_that_goes_on_writes_nothing_and_calls_with_the_same_key
    http_l06_of_two_workers_each_process_is_in_the_hands_of_one
    http_l08_a_cancellation_that_races_the_last_step_ends_in_one_state
}

const LEASE: Duration = Duration::from_secs(30);

/// Holds those who come to it.
#[derive(Debug, Clone)]
struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn shut() -> Self {
        Self { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }
}

async fn http_l06_a_frozen_worker_that_goes_on_writes_nothing_and_calls_with_the_same_key<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (service, gate) = (Service::default(), Gate::shut());
    let trip = request(&store, 2).await;
    let (asked, at) = (service.clone(), gate.clone());
    let frozen = runner(&store, &service).lease(LEASE).call("charge", move |call: Call<u64>| {
        let (asked, at) = (asked.clone(), at.clone());
        async move {
            at.pass().await;
            asked.ask("charge", &call.key)
        }
    });
    let frozen = tokio::spawn(async move { frozen.catch_up().await });
    gate.reached.acquire().await.unwrap().forget();
    clock.advance(LEASE);
    runner(&store, &service).catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Completed);
    let events = history_length(&store, trip).await;

    gate.open.add_permits(1);
    frozen.await.unwrap().unwrap();
    assert_eq!(history_length(&store, trip).await, events, "the late one has written");
    let keys = service.keys("charge");
    assert_eq!((keys.len(), keys[0] == keys[1]), (2, true), "{keys:?}");
    assert_eq!(service.effects(), ["hotel", "charge"]);
    history::check::<Booking, _>(&store, booking_of(trip)).await;
    check(&store).await;
}

async fn history_length<S: Whole>(store: &S, trip: annals::Id<super::trip::Trip>) -> u64 {
    annals::Repository::<annals::process::Process<Booking>>::new(store).load(booking_of(trip)).await.unwrap().version
}

async fn http_l06_of_two_workers_each_process_is_in_the_hands_of_one<S: Whole>(store: S, _: Arc<ManualClock>) {
    let service = Service::default();
    let most = Arc::new(AtomicU32::new(0));
    let mut trips = Vec::new();
    for _ in 0..5 {
        trips.push(request(&store, 2).await);
    }
    let (end, ends) = tokio::sync::watch::channel(false);
    let workers: Vec<_> = (0..2)
        .map(|number| {
            let (asked, most, mut ends) = (service.clone(), Arc::clone(&most), ends.clone());
            let worker = runner(&store, &service).owner(format!("worker {number}"));
            let worker = worker.call("charge", move |call: Call<u64>| {
                let (asked, most) = (asked.clone(), Arc::clone(&most));
                async move {
                    most.fetch_add(1, Ordering::SeqCst);
                    asked.ask("charge", &call.key)
                }
            });
            let shutdown = async move { drop(ends.wait_for(|is_over| *is_over).await) };
            tokio::spawn(async move { worker.run(shutdown).await })
        })
        .collect();
    for trip in &trips {
        until(async || status(&store, *trip).await == ProcessStatus::Completed).await;
    }
    end.send_replace(true);
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    // Nobody was called twice, since nobody was late.
    assert_eq!((most.load(Ordering::SeqCst), service.calls("hotel"), service.calls("charge")), (5, 5, 5));
    for trip in trips {
        assert!(booking(&store, trip).await.status().is_terminal());
    }
    check(&store).await;
}

/// Looks until it is so, for a minute at the most.
#[allow(clippy::future_not_send, reason = "it is awaited where it is made")]
pub async fn until(so: impl AsyncFn() -> bool) {
    let looking = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looking).await.expect("it comes to that");
}

/// It is cancelled when the runner has come to a point between the first and the last.
async fn http_l08_a_cancellation_that_races_the_last_step_ends_in_one_state<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (mut completed, mut compensated) = (0, 0);
    let rounds = campaign::sized(60);
    let mut random = fastrand::Rng::with_seed(8);
    for round in 0..rounds {
        let parts = vec![Part::call("reserve"), Part::command("seat"), Part::call("charge")];
        let plan = Plan { parts, at_once: round % 2 == 0, notifies: round % 3 == 0, patience: None };
        let mut run = Run::begin(&store, &clock, &plan).await;
        run.run_and_cancel_at(random.u32(10..70)).await;
        match run.settle().await {
            ProcessStatus::Completed => completed += 1,
            ProcessStatus::Compensated => compensated += 1,
            status => panic!("it is {}", status.as_str()),
        }
    }
    println!("figures: rounds={rounds} completed={completed} compensated={compensated}");
    assert!(rounds < 20 || (completed > 0 && compensated > 0), "{completed} completed, {compensated} compensated");
    check(&store).await;
}
