//! The aggregate of the cases on commands, and what stands between it and the store.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::Aggregate,
    store::{
        Append, Appended, Error, EventStore, EventStoreExt as _, IdempotencyKey, LoadQuery, LoadVisitor, LogQuery,
        LogRead, Position, Receipt, SnapshotRef, StreamQuery, StreamRead, Visit,
    },
};

/// A sum that must not fall below zero.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) sum: u64,
    pub(super) events: u64,
}

/// An act, and how often it was decided.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Command {
    act: Act,
    #[serde(skip)]
    decided: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Serialize)]
enum Act {
    Add(u64),
    AddEach(Vec<u64>),
    Take(u64),
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub(super) enum Event {
    Added { by: u64 },
    Taken { by: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum Rejection {
    #[error("{wanted} wanted, {there} there: \"not enough\"")]
    NotEnough { wanted: u64, there: u64 },
}

impl Command {
    fn of(act: Act) -> Self {
        Self { act, decided: Arc::default() }
    }

    pub(super) fn add(by: u64) -> Self {
        Self::of(Act::Add(by))
    }

    pub(super) fn add_each(by: impl IntoIterator<Item = u64>) -> Self {
        Self::of(Act::AddEach(by.into_iter().collect()))
    }

    pub(super) fn take(by: u64) -> Self {
        Self::of(Act::Take(by))
    }

    pub(super) fn nothing() -> Self {
        Self::of(Act::Nothing)
    }

    /// How often this command, or a clone of it, was decided.
    pub(super) fn decisions(&self) -> usize {
        self.decided.load(Ordering::SeqCst)
    }
}

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        command.decided.fetch_add(1, Ordering::SeqCst);
        match &command.act {
            Act::Add(by) => Ok(vec![Event::Added { by: *by }]),
            Act::AddEach(each) => Ok(each.iter().map(|by| Event::Added { by: *by }).collect()),
            Act::Take(by) if *by > self.sum => Err(Rejection::NotEnough { wanted: *by, there: self.sum }),
            Act::Take(by) => Ok(vec![Event::Taken { by: *by }]),
            Act::Nothing => Ok(vec![]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        self.events += 1;
        match event {
            Event::Added { by } => self.sum += by,
            Event::Taken { by } => self.sum -= by,
        }
    }
}

/// What happens to an append on its way.
#[derive(Debug)]
pub(super) enum Happening {
    /// It is not sent; this is the answer.
    Lost(Error),
    /// It is sent; this is the answer all the same.
    ReplyLost(Error),
    /// Another append is written first.
    Overtaken(Box<Append>),
}

/// A store on the way to which things happen, in the order a case has planned them.
#[derive(Debug, Clone)]
pub(super) struct Eventful {
    store: Arc<dyn EventStore>,
    plan: Arc<Mutex<VecDeque<Happening>>>,
}

impl Eventful {
    pub(super) fn new(store: &Arc<dyn EventStore>, plan: impl IntoIterator<Item = Happening>) -> Self {
        Self { store: Arc::clone(store), plan: Arc::new(Mutex::new(plan.into_iter().collect())) }
    }

    /// Plans one more.
    pub(super) fn plan(&self, happening: Happening) {
        self.plan.lock().unwrap().push_back(happening);
    }

    /// Makes sure that all that was planned has happened.
    pub(super) fn assert_all_happened(&self) {
        let left = self.plan.lock().unwrap();
        assert!(left.is_empty(), "planned, but never asked for: {left:?}");
    }

    async fn send(&self, append: Append) -> Result<Appended, Error> {
        let happening = self.plan.lock().unwrap().pop_front();
        match happening {
            None => self.store.append_one(append).await,
            Some(Happening::Lost(error)) => Err(error),
            Some(Happening::ReplyLost(error)) => {
                self.store.append_one(append).await.expect("only the reply is to be lost");
                Err(error)
            }
            Some(Happening::Overtaken(other)) => {
                self.store.append_one(*other).await.expect("what overtakes can be written");
                self.store.append_one(append).await
            }
        }
    }
}

#[async_trait]
impl EventStore for Eventful {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        let mut answers = Vec::new();
        for append in batch {
            answers.push(self.send(append).await);
        }
        answers
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        self.store.read_stream(query, visit).await
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        self.store.load(query, visitor).await
    }

    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error> {
        self.store.save_snapshot(snapshot).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        self.store.read_log(query, visit).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        self.store.receipt(aggregate_id, key).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.store.head().await
    }

    async fn wait_for(&self, after: Position) -> Result<Position, Error> {
        self.store.wait_for(after).await
    }
}
