//! An errand: a process whose steps the test writes down, at a service that keeps its books by key and at an aggregate.

use std::{sync::Arc, time::Duration};

use annals::{
    Aggregate, Id, Repository,
    process::{Action, Call, Inputs, Process, ProcessManager, ProcessRunner, Reaction, Signal, UndoCall},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    place::Whole,
    trip::{Flight, FlightCommand, No, SEATS},
    with_points::WithPoints,
};
use crate::steps::service::Service;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// It calls the service.
    Call,
    /// It takes a seat of a flight.
    Command,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    pub work: Work,
    pub is_undoable: bool,
    pub refuses: bool,
}

impl Part {
    pub fn call(name: &str) -> Self {
        Self { name: name.to_owned(), work: Work::Call, is_undoable: true, refuses: false }
    }

    pub fn command(name: &str) -> Self {
        Self { work: Work::Command, ..Self::call(name) }
    }

    pub fn refusing(self) -> Self {
        Self { refuses: true, ..self }
    }
}

/// What is to be done, in order, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub parts: Vec<Part>,
    /// All steps are planned at once; else each when the one before it is done.
    pub at_once: bool,
    /// When everything was undone, somebody is told.
    pub notifies: bool,
    /// It is undone when it takes longer, in seconds.
    pub patience: Option<u32>,
}

/// What somebody asks for: an aggregate whose events begin and cancel the process.
#[derive(Debug, Default)]
pub struct Wish {
    is_cancelled: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum WishCommand {
    Make(Plan),
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum WishEvent {
    WishMade(Plan),
    WishCancelled,
}

impl Aggregate for Wish {
    const TYPE: &'static str = "wish";
    type Command = WishCommand;
    type Event = WishEvent;
    type Rejection = No;

    fn decide(&self, command: &WishCommand) -> Result<Vec<WishEvent>, No> {
        match command {
            WishCommand::Make(plan) => Ok(vec![WishEvent::WishMade(plan.clone())]),
            WishCommand::Cancel if self.is_cancelled => Err(No),
            WishCommand::Cancel => Ok(vec![WishEvent::WishCancelled]),
        }
    }

    fn evolve(&mut self, event: &WishEvent) {
        self.is_cancelled |= matches!(event, WishEvent::WishCancelled);
    }
}

#[derive(Debug, Default)]
pub struct Errand {
    begun: Option<(Uuid, Plan)>,
}

#[derive(Debug)]
pub enum Input {
    Made(Id<Wish>, Plan),
    Cancelled(Id<Wish>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum ErrandEvent {
    ErrandBegun(Uuid, Plan),
}

pub fn errand_of(wish: Id<Wish>) -> Id<Process<Errand>> {
    Id::derived(wish)
}

pub fn flight_of(wish: Uuid) -> Id<Flight> {
    Id::natural(&wish.to_string())
}

/// Whose seats a step takes.
pub fn passenger(step: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, step.as_bytes())
}

fn action(wish: Uuid, part: &Part) -> Action {
    let (name, trip) = (&part.name, passenger(&part.name));
    match (part.work, part.is_undoable) {
        (Work::Call, true) => Action::call(name, &part.refuses).by("call").undo_by("undo"),
        (Work::Call, false) => Action::call(name, &part.refuses).by("call"),
        (Work::Command, is_undoable) => {
            let seats = if part.refuses { SEATS + 1 } else { 1 };
            let take = Action::command(name, flight_of(wish), &FlightCommand::Take { trip, seats });
            if is_undoable { take.undo(&FlightCommand::Give { trip }) } else { take }
        }
    }
}

impl ProcessManager for Errand {
    const TYPE: &'static str = "errand";
    type Input = Input;
    type Event = ErrandEvent;

    fn inputs() -> Inputs<Input> {
        Inputs::none().of(|wish: Id<Wish>, event| {
            Some(match event {
                WishEvent::WishMade(plan) => Input::Made(wish, plan),
                WishEvent::WishCancelled => Input::Cancelled(wish),
            })
        })
    }

    fn correlate(input: &Input) -> Option<Id<Process<Self>>> {
        let (Input::Made(wish, _) | Input::Cancelled(wish)) = input;
        Some(errand_of(*wish))
    }

    fn react(&self, signal: Signal<'_, Input>, at: DateTime<Utc>) -> Reaction<ErrandEvent> {
        let next = |wish, plan: &Plan, done: Option<&str>| {
            let behind = done.map_or(0, |done| 1 + plan.parts.iter().position(|part| part.name == done).unwrap());
            let most = if plan.at_once && done.is_none() { plan.parts.len() } else { usize::from(!plan.at_once) };
            let next = plan.parts[behind..].iter().take(most);
            let reaction = next.fold(Reaction::nothing(), |reaction, part| reaction.then(action(wish, part)));
            if behind == plan.parts.len() { reaction.complete() } else { reaction }
        };
        match (signal, &self.begun) {
            (Signal::Event(Input::Made(wish, plan)), None) => {
                let reaction =
                    next(wish.uuid(), plan, None).record(ErrandEvent::ErrandBegun(wish.uuid(), plan.clone()));
                match plan.patience {
                    Some(patience) => reaction.set_timer("patience", at + TimeDelta::seconds(patience.into())),
                    None => reaction,
                }
            }
            (Signal::Event(Input::Cancelled(_)), Some(_)) => Reaction::compensate("cancelled"),
            (Signal::Done { step: "notice", .. }, _) => Reaction::nothing(),
            (Signal::Done { step, .. }, Some((wish, plan))) => next(*wish, plan, Some(step)),
            (Signal::Refused { step, .. }, _) => Reaction::compensate(format!("{step} was refused")),
            (Signal::Due { .. }, _) => Reaction::compensate("it takes too long"),
            (Signal::Undone { .. }, Some((_, plan))) if plan.notifies => {
                Reaction::nothing().then(Action::call("notice", &false).by("call"))
            }
            _ => Reaction::nothing(),
        }
    }

    fn evolve(&mut self, event: &ErrandEvent) {
        let ErrandEvent::ErrandBegun(wish, plan) = event;
        self.begun = Some((*wish, plan.clone()));
    }
}

/// How long a lease is: nobody waits for it, the clock is moved.
pub const LEASE: Duration = Duration::from_secs(3600);

/// A runner of errands at a service. Its store and its service have the points.
pub fn runner<S: Whole>(store: &WithPoints<S>, service: &Service) -> ProcessRunner<Errand, WithPoints<S>> {
    let (calling, undoing) = (service.clone(), service.clone());
    let (points, undo_points) = (Arc::clone(&store.points), Arc::clone(&store.points));
    ProcessRunner::new(store)
        .unwrap()
        .commands(Repository::<Flight>::new(store))
        .call("call", move |call: Call<bool>| {
            let (service, points) = (calling.clone(), Arc::clone(&points));
            async move { service.call(&points, &call.step, call.key, call.request).await }
        })
        .undo("undo", move |undo: UndoCall<bool, String>| {
            let (service, points) = (undoing.clone(), Arc::clone(&undo_points));
            async move { service.undo(&points, &undo.step, (&undo.key, &undo.action_key), undo.result).await }
        })
        .attempts(1_000, Duration::from_millis(1), Duration::from_millis(1))
        .lease(LEASE)
        .poll(Duration::from_millis(5))
}
