//! Code that comes after other code, and what it finds of it.

use std::{sync::Arc, time::Duration};

use annals::{
    Aggregate, Id, ManualClock, Processes, Repository, Retry,
    process::{
        Action, Call, Inputs, Process, ProcessManager, ProcessRunner, ProcessStatus, Reaction, Signal, UndoCall,
    },
    testing::Faulty,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    check,
    place::{Whole, on_both},
    request, runner, seats_taken,
    service::Service,
    status,
    trip::{BookingEvent, Flight, FlightEvent, Full, Trip, TripEvent},
};

on_both! {
    a_command_that_later_code_writes_otherwise_is_the_same_request
    a_timer_that_cannot_be_reacted_to_is_tried_at_the_pace_of_failures
}

/// What is asked of a flight in later code: it says more, and writes that down.
#[derive(Debug, Serialize, Deserialize)]
enum LaterCommand {
    Take {
        trip: Uuid,
        seats: u32,
        #[serde(default)]
        meal: Option<String>,
    },
    Give {
        trip: Uuid,
    },
}

#[derive(Debug, Default)]
struct LaterFlight(Flight);

impl Aggregate for LaterFlight {
    const TYPE: &'static str = Flight::TYPE;
    type Command = LaterCommand;
    type Event = FlightEvent;
    type Rejection = Full;

    fn decide(&self, command: &LaterCommand) -> Result<Vec<FlightEvent>, Full> {
        Ok(match *command {
            LaterCommand::Take { trip, seats, .. } => vec![FlightEvent::SeatsTaken { trip, seats }],
            LaterCommand::Give { trip } => vec![FlightEvent::SeatsGiven { trip }],
        })
    }

    fn evolve(&mut self, event: &FlightEvent) {
        self.0.evolve(event);
    }
}

/// The flight has taken the command, the reply was lost, and then newer code is deployed.
async fn a_command_that_later_code_writes_otherwise_is_the_same_request<S: Whole>(store: S, clock: Arc<ManualClock>) {
    let (service, lossy) = (Service::default(), Faulty::new(store.clone(), 1).lost_replies(1.0));
    let trip = request(&store, 2).await;
    let earlier = runner(&store, &service).commands(Repository::<Flight>::new(&lossy).retry(Retry::never()));
    earlier.catch_up().await.unwrap();
    assert_eq!((seats_taken(&store).await, service.calls("hotel")), (2, 0), "taken, and not known");
    clock.advance(Duration::from_secs(1));
    let later = runner(&store, &service).commands(Repository::<LaterFlight>::new(&store));
    later.catch_up().await.unwrap();
    assert_eq!(status(&store, trip).await, ProcessStatus::Completed);
    assert_eq!(seats_taken(&store).await, 2);
    check(&store).await;
}

/// A process manager with a mistake: when its time is up it plans a step that it has planned before.
#[derive(Debug, Default)]
struct Hasty;

impl ProcessManager for Hasty {
    const TYPE: &'static str = "hasty";
    type Input = Id<Trip>;
    type Event = BookingEvent;

    fn inputs() -> Inputs<Id<Trip>> {
        Inputs::none().of(|trip: Id<Trip>, event| matches!(event, TripEvent::TripRequested { .. }).then_some(trip))
    }

    fn correlate(trip: &Id<Trip>) -> Option<Id<Process<Self>>> {
        Some(Id::derived(*trip))
    }

    fn react(&self, signal: Signal<'_, Id<Trip>>, at: DateTime<Utc>) -> Reaction<BookingEvent> {
        match signal {
            Signal::Event(_) => {
                Reaction::nothing().then(Action::call("call", &1)).set_timer("time", at + TimeDelta::minutes(1))
            }
            Signal::Due { .. } => Reaction::nothing().then(Action::call("call", &2)),
            _ => Reaction::nothing(),
        }
    }

    fn evolve(&mut self, _: &BookingEvent) {}
}

async fn a_timer_that_cannot_be_reacted_to_is_tried_at_the_pace_of_failures<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let pause = Duration::from_secs(60);
    let hasty = ProcessRunner::<Hasty, _>::new(&store)
        .unwrap()
        .call("call", |_: Call<u32>| std::future::ready(Ok(())))
        .undo("unused", |_: UndoCall<u32, ()>| std::future::ready(Ok(())))
        .attempts(3, pause, pause);
    let id = Id::derived(request(&store, 1).await);
    let processes = Processes::<Hasty, _>::new(&store);
    hasty.catch_up().await.unwrap();
    clock.advance(Duration::from_secs(60));
    for attempts in 1..3 {
        hasty.catch_up().await.unwrap();
        let due = processes.find(id).await.unwrap().unwrap().due.unwrap();
        assert_eq!(due.attempts, attempts);
        assert!(due.failure.unwrap().message.contains("a second time"));
        assert!((due.next_at - store.timer_clock()).to_std().unwrap() >= pause / 2, "it is tried at once again");
        clock.advance(pause * 3);
    }
    hasty.catch_up().await.unwrap();
    assert!(processes.find(id).await.unwrap().unwrap().parked().unwrap().contains("tried 3 times"));
    check(&store).await;
}
