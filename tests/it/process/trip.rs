//! A trip: two services and an aggregate have to agree to it.

use annals::{
    Aggregate, Id,
    process::{Action, Inputs, Process, ProcessManager, Reaction, Signal},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// What a traveller asks for.
#[derive(Debug, Default, Clone)]
pub struct Trip {
    pub is_requested: bool,
    pub is_cancelled: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum TripCommand {
    Request { pence: u64, seats: u32 },
    Cancel,
    Mention(u32),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[allow(clippy::enum_variant_names, reason = "the names are stored, beside those of other types")]
pub enum TripEvent {
    TripRequested { pence: u64, seats: u32 },
    TripCancelled,
    TripMentioned(u32),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("no")]
pub struct No;

impl Aggregate for Trip {
    const TYPE: &'static str = "trip";
    type Command = TripCommand;
    type Event = TripEvent;
    type Rejection = No;

    fn decide(&self, command: &TripCommand) -> Result<Vec<TripEvent>, No> {
        match *command {
            TripCommand::Request { .. } if self.is_requested => Err(No),
            TripCommand::Request { pence, seats } => Ok(vec![TripEvent::TripRequested { pence, seats }]),
            TripCommand::Cancel if self.is_requested && !self.is_cancelled => Ok(vec![TripEvent::TripCancelled]),
            TripCommand::Cancel => Err(No),
            TripCommand::Mention(number) => Ok(vec![TripEvent::TripMentioned(number)]),
        }
    }

    fn evolve(&mut self, event: &TripEvent) {
        match event {
            TripEvent::TripRequested { .. } => self.is_requested = true,
            TripEvent::TripCancelled => self.is_cancelled = true,
            TripEvent::TripMentioned(_) => {}
        }
    }
}

/// The seats of a flight.
#[derive(Debug, Default, Clone)]
pub struct Flight {
    pub taken: u32,
    pub taken_by: std::collections::BTreeMap<uuid::Uuid, u32>,
}

/// How many seats every flight has.
pub const SEATS: u32 = 10;

#[derive(Debug, Serialize, Deserialize)]
pub enum FlightCommand {
    Take { trip: uuid::Uuid, seats: u32 },
    Give { trip: uuid::Uuid },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum FlightEvent {
    SeatsTaken { trip: uuid::Uuid, seats: u32 },
    SeatsGiven { trip: uuid::Uuid },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("no seats are left")]
pub struct Full {
    pub left: u32,
}

impl Aggregate for Flight {
    const TYPE: &'static str = "flight";
    type Command = FlightCommand;
    type Event = FlightEvent;
    type Rejection = Full;

    fn decide(&self, command: &FlightCommand) -> Result<Vec<FlightEvent>, Full> {
        match *command {
            FlightCommand::Take { seats, .. } if self.taken + seats > SEATS => Err(Full { left: SEATS - self.taken }),
            FlightCommand::Take { trip, seats } => Ok(vec![FlightEvent::SeatsTaken { trip, seats }]),
            FlightCommand::Give { trip } => Ok(vec![FlightEvent::SeatsGiven { trip }]),
        }
    }

    fn evolve(&mut self, event: &FlightEvent) {
        match *event {
            FlightEvent::SeatsTaken { trip, seats } => {
                self.taken += seats;
                *self.taken_by.entry(trip).or_default() += seats;
            }
            FlightEvent::SeatsGiven { trip } => self.taken -= self.taken_by.remove(&trip).unwrap_or_default(),
        }
    }
}

/// Books what a trip needs: seats, a hotel, and a payment; each may be refused.
#[derive(Debug, Default)]
pub struct Booking {
    pub trip: Option<uuid::Uuid>,
    pub mentioned: Vec<u32>,
    pub pence: u64,
}

#[derive(Debug, Clone)]
pub enum Input {
    Requested { trip: Id<Trip>, pence: u64, seats: u32 },
    Cancelled { trip: Id<Trip> },
    Mentioned { trip: Id<Trip>, number: u32 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum BookingEvent {
    BookingBegun { trip: uuid::Uuid, pence: u64 },
    Noted(u32),
}

/// What a trip that waits for its confirmation waits.
pub fn patience() -> TimeDelta {
    TimeDelta::minutes(10)
}

pub fn flight() -> Id<Flight> {
    Id::natural("AB 1")
}

impl ProcessManager for Booking {
    const TYPE: &'static str = "booking";
    type Input = Input;
    type Event = BookingEvent;

    fn inputs() -> Inputs<Input> {
        Inputs::none().of(|trip: Id<Trip>, event| {
            Some(match event {
                TripEvent::TripRequested { pence, seats } => Input::Requested { trip, pence, seats },
                TripEvent::TripCancelled => Input::Cancelled { trip },
                TripEvent::TripMentioned(number) => Input::Mentioned { trip, number },
            })
        })
    }

    fn correlate(input: &Input) -> Option<Id<Process<Self>>> {
        let (Input::Requested { trip, .. } | Input::Cancelled { trip } | Input::Mentioned { trip, .. }) = input;
        Some(booking_of(*trip))
    }

    fn react(&self, signal: Signal<'_, Input>, at: DateTime<Utc>) -> Reaction<BookingEvent> {
        match signal {
            Signal::Event(Input::Requested { trip, pence, seats }) => {
                let trip = trip.uuid();
                Reaction::nothing()
                    .record(BookingEvent::BookingBegun { trip, pence: *pence })
                    .then(
                        Action::command("seats", flight(), &FlightCommand::Take { trip, seats: *seats })
                            .undo(&FlightCommand::Give { trip }),
                    )
                    .then(Action::call("hotel", &trip).undo_by("hotel-cancel"))
                    .then(Action::call("charge", pence).undo_by("refund"))
                    .set_timer("confirm", at + patience())
            }
            Signal::Event(Input::Cancelled { .. }) => Reaction::compensate("cancelled"),
            Signal::Event(Input::Mentioned { number, .. }) if self.trip.is_some() => {
                Reaction::nothing().record(BookingEvent::Noted(*number))
            }
            Signal::Event(Input::Mentioned { .. }) => Reaction::nothing(),
            Signal::Done { step: "charge", .. } => Reaction::nothing().complete(),
            Signal::Done { .. } => Reaction::nothing(),
            Signal::Refused { step, .. } => Reaction::compensate(format!("{step} was refused")),
            Signal::Due { .. } => Reaction::compensate("not confirmed in time"),
            Signal::Undone { reason } => {
                Reaction::nothing().then(Action::call("notify", &format!("nothing comes of it: {reason}")))
            }
        }
    }

    fn evolve(&mut self, event: &BookingEvent) {
        match event {
            BookingEvent::BookingBegun { trip, pence } => (self.trip, self.pence) = (Some(*trip), *pence),
            BookingEvent::Noted(number) => self.mentioned.push(*number),
        }
    }
}

pub fn booking_of(trip: Id<Trip>) -> Id<Process<Booking>> {
    Id::derived(trip)
}
