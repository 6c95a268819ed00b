//! How events come to their processes.

use std::{sync::Arc, time::Duration};

use annals::{
    Aggregate, Append, Attempts, Consumers, EventStoreExt as _, Id, ManualClock, NewEvent, Processes, Repository,
    Start,
    process::{Inputs, Process, ProcessManager, ProcessRunner, ProcessStatus, Reaction, Signal},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    booking, check, history,
    late::until,
    place::{Whole, on_both},
    request, runner,
    service::Service,
    status, tell,
    trip::{Booking, BookingEvent, Input, No, Trip, TripCommand, booking_of},
};

on_both! {
    inputs_of_many_processes_reach_each_in_its_order
    an_event_that_does_not_fit_stops_the_runner_and_is_taken_after_the_fix
    parts_route_their_own_processes_also_after_they_are_split_anew
    a_runner_that_starts_now_leaves_what_was_before
    an_event_after_the_end_changes_nothing
    a_reaction_that_panics_ends_the_runner_and_is_taken_after_the_fix
}

/// Asks for trips, and mentions each as often, in turn.
async fn mentioned<S: Whole>(store: &S, trips: u32, mentions: u32) -> Vec<Id<Trip>> {
    let mut all = Vec::new();
    for _ in 0..trips {
        all.push(request(store, 0).await);
    }
    for number in 1..=mentions {
        for trip in &all {
            tell(store, *trip, TripCommand::Mention(number)).await;
        }
    }
    all
}

async fn is_in_order<S: Whole>(store: &S, trips: &[Id<Trip>], mentions: u32) {
    for trip in trips {
        let process = history::check::<Booking, _>(store, booking_of(*trip)).await;
        assert_eq!(process.manager().mentioned, (1..=mentions).collect::<Vec<_>>());
    }
}

async fn inputs_of_many_processes_reach_each_in_its_order<S: Whole>(store: S, _: Arc<ManualClock>) {
    let service = Service::default();
    let trips = mentioned(&store, 20, 5).await;
    runner(&store, &service).catch_up().await.unwrap();
    is_in_order(&store, &trips, 5).await;
    assert_eq!((service.calls("hotel"), service.calls("charge")), (20, 20));
    check(&store).await;
}

/// The trip as later code has it: it knows one more event.
#[derive(Debug, Default)]
struct RenamedTrip;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[allow(clippy::enum_variant_names, reason = "the names are stored, beside those of other types")]
enum RenamedTripEvent {
    TripRequested { pence: u64, seats: u32 },
    TripCancelled,
    TripMentioned(u32),
    TripRenamed,
}

impl Aggregate for RenamedTrip {
    const TYPE: &'static str = Trip::TYPE;
    type Command = TripCommand;
    type Event = RenamedTripEvent;
    type Rejection = No;

    fn decide(&self, _: &TripCommand) -> Result<Vec<RenamedTripEvent>, No> {
        Err(No)
    }

    fn evolve(&mut self, _: &RenamedTripEvent) {}
}

/// The process as later code has it: it reads the new event, and panics at nothing.
#[derive(Debug, Default)]
struct Mended(Booking);

impl ProcessManager for Mended {
    const TYPE: &'static str = Booking::TYPE;
    type Input = Input;
    type Event = BookingEvent;

    fn inputs() -> Inputs<Input> {
        Inputs::none().of(|trip: Id<RenamedTrip>, event| {
            let trip = Id::from_uuid(trip.uuid());
            Some(match event {
                RenamedTripEvent::TripRequested { pence, seats } => Input::Requested { trip, pence, seats },
                RenamedTripEvent::TripCancelled => Input::Cancelled { trip },
                RenamedTripEvent::TripMentioned(number) => Input::Mentioned { trip, number },
                RenamedTripEvent::TripRenamed => return None,
            })
        })
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

/// A runner of what was mended, which takes no step.
fn mended<S: Whole>(store: &S) -> ProcessRunner<Mended, S> {
    ProcessRunner::new(store).unwrap().input_attempts(Attempts::once())
}

async fn an_event_that_does_not_fit_stops_the_runner_and_is_taken_after_the_fix<S: Whole>(
    store: S,
    _: Arc<ManualClock>,
) {
    let service = Service::default();
    let trips = mentioned(&store, 3, 1).await;
    let renamed = NewEvent::new("trip-renamed", &()).unwrap();
    store.append_one(Append::to(trips[1]).event(renamed)).await.unwrap();
    for trip in &trips {
        // By hand: the code of this trip cannot read it any more.
        let mention = NewEvent::new("trip-mentioned", &2).unwrap();
        store.append_one(Append::to(*trip).event(mention)).await.unwrap();
    }
    let runner = runner(&store, &service).input_attempts(Attempts::once());
    for _ in 0..2 {
        // Loudly, and each time.
        let error = runner.catch_up().await.unwrap_err();
        let annals::Error::Handler { aggregate, sequence, .. } = &error else { panic!("{error:?}") };
        assert_eq!((aggregate.aggregate_id, *sequence), (trips[1].uuid(), 3));
    }
    let progress = Processes::<Booking, _>::new(&store).progress().await.unwrap();
    assert!(progress.routed[0].failure.is_some(), "{progress:?}");
    is_in_order(&store, &trips, 1).await;
    mended(&store).catch_up().await.unwrap();
    is_in_order(&store, &trips, 2).await;
    check(&store).await;
}

/// Runs a runner for each part until the trips have taken so many mentions in.
async fn run_parts<S: Whole>(store: &S, service: &Service, of: u32, trips: &[Id<Trip>], mentions: u32) {
    let (end, ends) = watch::channel(false);
    let running: Vec<_> = (0..of)
        .map(|part| {
            let runner = runner(store, service).partition(part, of).unwrap();
            let mut ends = ends.clone();
            tokio::spawn(async move { runner.run(async move { drop(ends.wait_for(|is_over| *is_over).await) }).await })
        })
        .collect();
    for trip in trips {
        until(async || {
            let process = booking(store, *trip).await;
            process.manager().mentioned.len() == mentions as usize && process.next_step().is_none()
        })
        .await;
    }
    end.send_replace(true);
    for running in running {
        running.await.unwrap().unwrap();
    }
}

async fn parts_route_their_own_processes_also_after_they_are_split_anew<S: Whole>(store: S, _: Arc<ManualClock>) {
    let service = Service::default();
    let mut trips = mentioned(&store, 9, 2).await;
    run_parts(&store, &service, 3, &trips, 2).await;
    is_in_order(&store, &trips, 2).await;
    // Whoever thinks that there are others is refused.
    for other in [runner(&store, &service), runner(&store, &service).partition(1, 2).unwrap()] {
        let refused = other.catch_up().await.unwrap_err();
        assert!(matches!(refused, annals::Error::Invalid { .. }), "{refused:?}");
    }
    runner(&store, &service).repartition(2).await.unwrap();
    for trip in &trips {
        tell(&store, *trip, TripCommand::Mention(3)).await;
    }
    trips.push(request(&store, 0).await);
    for number in 1..=3 {
        tell(&store, trips[9], TripCommand::Mention(number)).await;
    }
    run_parts(&store, &service, 2, &trips[9..], 3).await;
    is_in_order(&store, &trips[9..], 3).await;
    let refused = runner(&store, &service).partition(2, 3).unwrap().catch_up().await.unwrap_err();
    assert!(matches!(refused, annals::Error::Invalid { .. }), "{refused:?}");
    // What had ended takes nothing in.
    is_in_order(&store, &trips[..9], 2).await;
    assert_eq!((service.calls("hotel"), service.calls("charge")), (10, 10));
    check(&store).await;
}

async fn a_runner_that_starts_now_leaves_what_was_before<S: Whole>(store: S, _: Arc<ManualClock>) {
    let service = Service::default();
    let before = request(&store, 0).await;
    let runner = runner(&store, &service).start(Start::Now);
    runner.catch_up().await.unwrap();
    let after = request(&store, 0).await;
    // What belongs to a process that has not begun leads to nothing.
    tell(&store, before, TripCommand::Mention(1)).await;
    runner.catch_up().await.unwrap();
    assert_eq!(status(&store, before).await, ProcessStatus::New);
    assert_eq!(status(&store, after).await, ProcessStatus::Completed);
    assert!(Processes::<Booking, _>::new(&store).find(booking_of(before)).await.unwrap().is_none());
    check(&store).await;
}

async fn an_event_after_the_end_changes_nothing<S: Whole>(store: S, _: Arc<ManualClock>) {
    let service = Service::default();
    let trip = request(&store, 1).await;
    let runner = runner(&store, &service);
    runner.catch_up().await.unwrap();
    let bookings = Repository::<Process<Booking>>::new(&store);
    let ended = bookings.load(booking_of(trip)).await.unwrap();
    assert_eq!(ended.state.status(), ProcessStatus::Completed);
    tell(&store, trip, TripCommand::Mention(1)).await;
    tell(&store, trip, TripCommand::Cancel).await;
    runner.catch_up().await.unwrap();
    assert_eq!(bookings.load(booking_of(trip)).await.unwrap().version, ended.version);
    // Nothing is left to be done, and nobody is looked after any more.
    let progress = Processes::<Booking, _>::new(&store).progress().await.unwrap();
    assert!(progress.routed[0].is_caught_up() && progress.processes.waiting == 0, "{progress:?}");
    check(&store).await;
}

/// A process whose reaction to a mention has a fault.
#[derive(Debug, Default)]
struct Panicking(Booking);

impl ProcessManager for Panicking {
    const TYPE: &'static str = Booking::TYPE;
    type Input = Input;
    type Event = BookingEvent;

    fn inputs() -> Inputs<Input> {
        Booking::inputs()
    }

    fn correlate(input: &Input) -> Option<Id<Process<Self>>> {
        Booking::correlate(input).map(|id| Id::from_uuid(id.uuid()))
    }

    fn react(&self, signal: Signal<'_, Input>, at: DateTime<Utc>) -> Reaction<BookingEvent> {
        assert!(!matches!(signal, Signal::Event(Input::Mentioned { .. })), "a fault in the reaction");
        self.0.react(signal, at)
    }

    fn evolve(&mut self, event: &BookingEvent) {
        self.0.evolve(event);
    }
}

async fn a_reaction_that_panics_ends_the_runner_and_is_taken_after_the_fix<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let lease = Duration::from_secs(30);
    let trips = mentioned(&store, 2, 1).await;
    let panicking = ProcessRunner::<Panicking, _>::new(&store).unwrap().lease(lease);
    let ended = tokio::spawn(async move { panicking.run(std::future::pending()).await }).await;
    assert!(ended.unwrap_err().is_panic(), "nobody is told");
    clock.advance(lease);
    mended(&store).catch_up().await.unwrap();
    is_in_order(&store, &trips, 1).await;
    let consumers = Consumers::new(&store).progress("process:booking").await.unwrap();
    assert!(consumers[0].is_caught_up());
    check(&store).await;
}
