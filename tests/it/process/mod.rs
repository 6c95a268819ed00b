//! Process managers and those who run them.

mod attempts;
mod cases;
mod crash;
mod deploys;
mod ends;
mod errand;
mod forestall;
mod history;
#[cfg(feature = "postgres")]
mod idle;
mod kills;
mod late;
mod model;
mod place;
mod pure;
mod reactions;
mod routing;
mod service;
mod timers;
mod trip;
mod with_points;
mod working;

use std::time::Duration;

use annals::{
    Id, IdempotencyKey, Repository,
    process::{Call, Process, ProcessRunner, ProcessStatus, UndoCall},
};
use uuid::Uuid;

use self::{
    place::{Runs, Whole},
    service::Service,
    trip::{Booking, Flight, Trip, TripCommand, booking_of},
};

/// A runner whose steps go to a service.
fn runner<S: Runs>(store: &S, service: &Service) -> ProcessRunner<Booking, S> {
    let handler = |name: &'static str| {
        let service = service.clone();
        move |key: &IdempotencyKey| service.ask(name, key)
    };
    let (hotel, charge, notify) = (handler("hotel"), handler("charge"), handler("notify"));
    let (cancel, refund, asked) = (handler("hotel-cancel"), handler("refund"), service.clone());
    ProcessRunner::new(store)
        .unwrap()
        .commands(Repository::<Flight>::new(store))
        .call("hotel", move |call: Call<Uuid>| std::future::ready(hotel(&call.key)))
        .call("charge", move |call: Call<u64>| std::future::ready(charge(&call.key)))
        .call("notify", move |call: Call<String>| std::future::ready(notify(&call.key)))
        .undo("hotel-cancel", move |undo: UndoCall<Uuid, String>| std::future::ready(cancel(&undo.key).map(drop)))
        .undo("refund", move |undo: UndoCall<u64, String>| {
            // Where it is not known whether money was taken the bank is asked.
            let is_taken = undo.result.is_some() || asked.has(&undo.action_key);
            std::future::ready(if is_taken { refund(&undo.key).map(drop) } else { Ok(()) })
        })
        .attempts(5, Duration::from_millis(1), Duration::from_millis(1))
        .poll(Duration::from_millis(5))
}

/// Has a trip be asked for.
async fn request<S: Whole>(store: &S, seats: u32) -> Id<Trip> {
    let trip = Id::new();
    let command = TripCommand::Request { pence: 4_200, seats };
    Repository::<Trip>::new(store).execute(trip, &command).await.unwrap();
    trip
}

async fn tell<S: Whole>(store: &S, trip: Id<Trip>, command: TripCommand) {
    Repository::<Trip>::new(store).execute(trip, &command).await.unwrap();
}

async fn booking<S: Whole>(store: &S, trip: Id<Trip>) -> Process<Booking> {
    Repository::<Process<Booking>>::new(store).load(booking_of(trip)).await.unwrap().state
}

async fn status<S: Whole>(store: &S, trip: Id<Trip>) -> ProcessStatus {
    booking(store, trip).await.status()
}

async fn seats_taken<S: Whole>(store: &S) -> u32 {
    Repository::<Flight>::new(store).load(trip::flight()).await.unwrap().state.taken
}

async fn check<S: Whole>(store: &S) {
    let report = annals::Verify::new(store).run().await.unwrap();
    assert!(report.is_sound(), "{report}");
}
