//! Compensations that fail, starts that are repeated, code that has changed, keys that are forgotten.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use annals::{
    Id, IdempotencyKey, ManualClock, Processes, Repository,
    process::{Call, Inputs, Process, ProcessManager, ProcessRunner, ProcessStatus, Reaction, Signal, UndoCall},
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    booking, check,
    late::until,
    place::{Whole, on_both},
    request, runner, seats_taken,
    service::{Fate, Service},
    status, tell,
    trip::{Booking, BookingEvent, Flight, Input, Trip, TripCommand, booking_of},
};

on_both! {
    http_l03_a_compensation_that_fails_is_tried_again_with_its_own_key_and_then_parked_and_visible
    http_l05_a_start_that_is_repeated_finds_the_same_process_as_it_is_by_now
    http_l09_a_process_that_a_newer_definition_has_touched_is_left_to_it
    http_l09_a_step_that_nobody_takes_here_is_parked_and_taken_after_the_deploy
    http_l10_a_key_that_may_be_forgotten_is_told_so_that_it_is_looked_up_first
    http_l10_whoever_undoes_is_told_that_the_key_may_be_forgotten
}

const TICK: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);

/// Has a runner try until nothing is left but what is parked.
async fn try_often<P: ProcessManager, S: Whole>(runner: &ProcessRunner<P, S>, clock: &ManualClock, times: u32) {
    for _ in 0..times {
        runner.catch_up().await.unwrap();
        clock.advance(TICK);
    }
}

async fn http_l03_a_compensation_that_fails_is_tried_again_with_its_own_key_and_then_parked_and_visible<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let service = Service::default();
    service.plan("charge", [Fate::Refuse]).always("hotel-cancel", Fate::LoseRequest);
    let trip = request(&store, 2).await;
    let runner = runner(&store, &service).attempts(3, Duration::from_millis(1), Duration::from_millis(1));
    try_often(&runner, &clock, 6).await;

    let processes = Processes::<Booking, _>::new(&store);
    let view = processes.find(booking_of(trip)).await.unwrap().unwrap();
    assert_eq!(view.process.status(), ProcessStatus::Compensating);
    let parked = view.parked().unwrap().to_owned();
    assert!(parked.contains("hotel") && parked.contains("(tried 3 times)"), "{parked}");
    let listed = processes.list_parked(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|timer| timer.id).collect::<Vec<_>>(), [booking_of(trip).uuid()]);
    assert_eq!(processes.progress().await.unwrap().processes.parked, 1);
    // What comes before the failing one in the order of undoing is undone, what comes behind it is not.
    assert_eq!((service.effects(), seats_taken(&store).await), (vec!["hotel".to_owned()], 2));
    let tried = service.keys("hotel-cancel");
    assert!(tried.len() >= 3 && tried.iter().all(|key| *key == tried[0]), "{tried:?}");
    assert_ne!(tried[0], service.keys("hotel")[0]);
    // Parked is parked.
    try_often(&runner, &clock, 2).await;
    assert_eq!(service.keys("hotel-cancel").len(), tried.len());

    service.plan("hotel-cancel", []);
    assert!(processes.resume(booking_of(trip)).await.unwrap());
    assert!(!processes.resume(booking_of(trip)).await.unwrap(), "it is not parked any more");
    runner.catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Compensated);
    assert_eq!(service.effects(), ["hotel", "hotel-cancel", "notify"]);
    assert_eq!((service.keys("hotel-cancel").last(), seats_taken(&store).await), (tried.first(), 0));
    assert_eq!(processes.list_parked(None, 10).await.unwrap(), []);
    check(&store).await;
}

/// What a client does that has something begun, and sends it again where it has heard nothing.
async fn start<S: Whole>(store: &S, key: &IdempotencyKey) -> (bool, Id<Trip>, Option<ProcessStatus>) {
    let trip = Id::natural(key.as_str());
    let command = TripCommand::Request { pence: 4_200, seats: 2 };
    let done = Repository::<Trip>::new(store).execute(trip, &command).idempotency_key(key.clone()).await.unwrap();
    let view = Processes::<Booking, _>::new(store).find(booking_of(trip)).await.unwrap();
    (done.replayed, trip, view.map(|view| view.process.status()))
}

async fn http_l05_a_start_that_is_repeated_finds_the_same_process_as_it_is_by_now<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (service, key) = (Service::default(), IdempotencyKey::new("order-7").unwrap());
    service.plan("charge", [Fate::Busy]);
    let (was_replayed, trip, found) = start(&store, &key).await;
    assert_eq!((was_replayed, found), (false, None));
    let runner = runner(&store, &service);
    runner.catch_up().await.unwrap();
    assert_eq!(start(&store, &key).await, (true, trip, Some(ProcessStatus::Running)));
    try_often(&runner, &clock, 2).await;
    assert_eq!(start(&store, &key).await, (true, trip, Some(ProcessStatus::Completed)));
    runner.catch_up().await.unwrap();
    assert_eq!((service.effects(), seats_taken(&store).await), (vec!["hotel".to_owned(), "charge".to_owned()], 2));
    check(&store).await;
}

/// The same process in a newer version.
#[derive(Debug, Default)]
struct Newer(Booking);

impl ProcessManager for Newer {
    const TYPE: &'static str = Booking::TYPE;
    const VERSION: u32 = 2;
    type Input = Input;
    type Event = BookingEvent;

    fn inputs() -> Inputs<Input> {
        Booking::inputs()
    }

    fn correlate(input: &Input) -> Option<Id<Process<Self>>> {
        Booking::correlate(input).map(|id| Id::from_uuid(id.uuid()))
    }

    fn react(&self, signal: Signal<'_, Input>, at: DateTime<Utc>) -> Reaction<BookingEvent> {
        self.0.react(signal, at)
    }

    fn evolve(&mut self, event: &BookingEvent) {
        self.0.evolve(event);
    }
}

fn newer<S: Whole>(store: &S, service: &Service) -> ProcessRunner<Newer, S> {
    let (hotel, charge) = (service.clone(), service.clone());
    ProcessRunner::new(store)
        .unwrap()
        .commands(Repository::<Flight>::new(store))
        .call("hotel", move |call: Call<Uuid>| std::future::ready(hotel.ask("hotel", &call.key)))
        .call("charge", move |call: Call<u64>| std::future::ready(charge.ask("charge", &call.key)))
        .undo("hotel-cancel", |_: UndoCall<Uuid, String>| std::future::ready(Ok(())))
        .undo("refund", |_: UndoCall<u64, String>| std::future::ready(Ok(())))
}

async fn http_l09_a_process_that_a_newer_definition_has_touched_is_left_to_it<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let service = Service::default();
    service.plan("charge", [Fate::Busy, Fate::Busy]);
    let trip = request(&store, 2).await;
    let older = runner(&store, &service);
    older.catch_up().await.unwrap();
    tell(&store, trip, TripCommand::Mention(1)).await;
    clock.advance(TICK);
    // The first of the new ones takes the mention in, and does not get further.
    newer(&store, &service).catch_up().await.unwrap();
    assert_eq!((booking(&store, trip).await.definition(), service.calls("charge")), (2, 2));
    // Those that are still there take no step, and count no failure.
    let unused = Service::default();
    let older = runner(&store, &unused).lease(LEASE);
    try_often(&older, &clock, 8).await;
    let view = Processes::<Booking, _>::new(&store).find(booking_of(trip)).await.unwrap().unwrap();
    assert_eq!((view.parked(), view.process.status()), (None, ProcessStatus::Running));
    assert!(view.due.unwrap().failure.is_none());
    // Nor do they take an event in: they wait for those that can.
    tell(&store, trip, TripCommand::Mention(2)).await;
    let version = view.version;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let waiting = tokio::spawn(async move { older.run(async { drop(stopped.await) }).await });
    until(async || {
        clock.advance(TICK);
        let routed = Processes::<Booking, _>::new(&store).progress().await.unwrap().routed;
        routed[0].failure.is_some() || unused.calls("charge") > 0
    })
    .await;
    let view = Processes::<Booking, _>::new(&store).find(booking_of(trip)).await.unwrap().unwrap();
    assert_eq!((view.version, unused.calls("charge")), (version, 0), "the older one has guessed");
    // Asked to end, it has let go of all it had in hand: whoever is broken off may hold it for a lease more.
    stop.send(()).unwrap();
    waiting.await.unwrap().unwrap();
    clock.advance(LEASE);
    newer(&store, &service).catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Completed);
    assert_eq!((booking(&store, trip).await.manager().mentioned.as_slice(), service.effects().len()), (&[1, 2][..], 2));
    check(&store).await;
}

async fn http_l09_a_step_that_nobody_takes_here_is_parked_and_taken_after_the_deploy<S: Whole>(
    store: S,
    _: Arc<ManualClock>,
) {
    let service = Service::default();
    let trip = request(&store, 2).await;
    let without_anything = ProcessRunner::<Booking, _>::new(&store).unwrap();
    let hotel = service.clone();
    let without_charge = ProcessRunner::<Booking, _>::new(&store)
        .unwrap()
        .commands(Repository::<Flight>::new(&store))
        .call("hotel", move |call: Call<Uuid>| std::future::ready(hotel.ask("hotel", &call.key)))
        .undo("hotel-cancel", |_: UndoCall<Uuid, String>| std::future::ready(Ok(())));
    let without_refund = without_charge.clone().call("charge", |_: Call<u64>| std::future::ready(Ok(())));
    let processes = Processes::<Booking, _>::new(&store);
    for (runner, failure, done) in [
        (without_anything, "the step seats goes to flight, whose commands nobody takes here", 0),
        (without_charge, "the step charge is for the handler charge, which there is not here", 2),
        (without_refund, "the step charge is undone by refund, which there is not here", 2),
    ] {
        runner.catch_up().await.unwrap();
        let view = processes.find(booking_of(trip)).await.unwrap().unwrap();
        assert_eq!((view.parked(), view.process.status()), (Some(failure), ProcessStatus::Running));
        let steps = view.process.steps().iter();
        assert_eq!(steps.filter(|step| step.state == annals::process::ProcessStepState::Done).count(), done);
        assert!(processes.resume(booking_of(trip)).await.unwrap());
    }
    runner(&store, &service).catch_up().await.unwrap();
    assert_eq!((status(&store, trip).await, service.calls("hotel")), (ProcessStatus::Completed, 1));
    check(&store).await;
}

/// What a service keeps beside its keys: what it has done, by what it was done for.
#[derive(Debug, Clone, Default)]
struct ByName(Arc<Mutex<BTreeMap<Uuid, u32>>>);

/// How long the service keeps its keys.
const KEPT: Duration = Duration::from_secs(300);

async fn http_l10_a_key_that_may_be_forgotten_is_told_so_that_it_is_looked_up_first<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let (service, charges, told) = (Service::default(), ByName::default(), Arc::new(Mutex::new(Vec::new())));
    let trip = request(&store, 2).await;
    let (charged, heard) = (charges.clone(), Arc::clone(&told));
    let runner = runner(&store, &service).keys_kept_for("charge", KEPT).call("charge", move |call: Call<u64>| {
        heard.lock().unwrap().push(call.is_key_old);
        let mut charges = charged.0.lock().unwrap();
        // It has forgotten the key: it would take the money again.
        let answer = if call.is_key_old && charges.contains_key(&call.process_id) {
            Ok("found".to_owned())
        } else {
            *charges.entry(call.process_id).or_default() += 1;
            Err(annals::process::StepFailure::unknown("the connection was cut"))
        };
        std::future::ready(answer)
    });
    runner.catch_up().await.unwrap();
    clock.advance(KEPT - Duration::from_micros(1));
    assert_eq!(*told.lock().unwrap(), [false]);
    clock.advance(Duration::from_micros(1));
    runner.catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Completed);
    assert_eq!(
        (told.lock().unwrap().as_slice(), charges.0.lock().unwrap().values().sum::<u32>()),
        (&[false, true][..], 1)
    );
    check(&store).await;
}

async fn http_l10_whoever_undoes_is_told_that_the_key_may_be_forgotten<S: Whole>(store: S, clock: Arc<ManualClock>) {
    for waits in [Duration::ZERO, KEPT] {
        let (service, told) = (Service::default(), Arc::new(Mutex::new(Vec::new())));
        service.always("charge", Fate::LoseReply);
        let trip = request(&store, 2).await;
        let heard = Arc::clone(&told);
        let runner = runner(&store, &service).keys_kept_for("charge", KEPT).undo(
            "refund",
            move |undo: UndoCall<u64, String>| {
                heard.lock().unwrap().push(undo.is_key_old);
                std::future::ready(Ok(()))
            },
        );
        runner.catch_up().await.unwrap();
        tell(&store, trip, TripCommand::Cancel).await;
        clock.advance(waits + TICK);
        runner.catch_up().await.unwrap();
        assert_eq!(status(&store, trip).await, ProcessStatus::Compensated);
        assert_eq!(*told.lock().unwrap(), [waits == KEPT]);
    }
    check(&store).await;
}
