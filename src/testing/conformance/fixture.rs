//! What a backend brings to the suite.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use async_trait::async_trait;

use super::{
    inbox::InboxPlace,
    tally::{Command, Tally},
};
use crate::{
    command::Repository,
    store::{
        CheckpointStore, Clock, EventStore, ManualClock, ResponseStore, Retention, StepStore, SystemClock, TimerStore,
    },
};

/// Holds one store on a database of its own, for one case.
///
/// What belongs to the database (a temporary directory, say) lives as long as the fixture.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The store, with the default [`Limits`](crate::Limits) and the clock that the [`Factory`] was given.
    fn store(&self) -> Arc<dyn EventStore>;

    /// The same store, where it keeps checkpoints as well.
    ///
    /// Default: `None`, it keeps none; cases of subscriptions are not run, and say so.
    fn checkpoints(&self) -> Option<Arc<dyn CheckpointStore>> {
        None
    }

    /// The same store, where it keeps answers to requests as well, and steps, and forgets what has expired.
    ///
    /// Default: `None`, it does not; cases of them are not run, and say so.
    fn responses(&self) -> Option<AnswerStores> {
        None
    }

    /// The same store, where it keeps timers as well.
    ///
    /// Default: `None`, it keeps none; cases of them are not run, and say so.
    fn timers(&self) -> Option<Arc<dyn TimerStore>> {
        None
    }

    /// The same store, where its transactions take messages in as well.
    ///
    /// Default: `None`, they do not; cases of inboxes are not run, and say so.
    fn inbox(&self) -> Option<Arc<dyn InboxPlace>> {
        None
    }

    /// What the store can do. Cases that need more are not run, and say so.
    fn capabilities(&self) -> Capabilities;

    /// Ends the store and opens the same database again, as a restart of the application would.
    ///
    /// Called only where [`Capabilities`] promises it; [`store`](Self::store) then gives the new one.
    async fn reopen(&mut self);

    /// Opens the same database once more, as another process would.
    ///
    /// Default: `None`, there is one handle; cases that need two are not run, and say so.
    async fn another(&self) -> Option<Arc<dyn EventStore>> {
        None
    }
}

/// One store, in the roles that answers to requests need.
#[derive(Debug, Clone)]
pub struct AnswerStores {
    /// Keeps the answers.
    pub responses: Arc<dyn ResponseStore>,
    /// Keeps what became of steps.
    pub steps: Arc<dyn StepStore>,
    /// Forgets what has expired.
    pub retention: Arc<dyn Retention>,
}

impl AnswerStores {
    /// A store that has all the roles itself.
    pub fn of<S: ResponseStore + StepStore + Retention + Clone + 'static>(store: &S) -> Self {
        Self { responses: Arc::new(store.clone()), steps: Arc::new(store.clone()), retention: Arc::new(store.clone()) }
    }
}

/// Says what a store can do, beyond what every store must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    restart: bool,
    clock: bool,
    cached: usize,
    snapshot_every: u64,
}

impl Capabilities {
    /// Everything.
    #[must_use]
    pub const fn all() -> Self {
        Self { restart: true, clock: true, cached: 0, snapshot_every: 0 }
    }

    /// The database is gone with the store, so it cannot be opened again.
    #[must_use]
    pub const fn without_restart(mut self) -> Self {
        self.restart = false;
        self
    }

    /// The cases' repositories keep this many states: the same cases hold.
    #[must_use]
    pub const fn cached(mut self, aggregates: usize) -> Self {
        self.cached = aggregates;
        self
    }

    /// The cases' repositories take a snapshot every so many events.
    ///
    /// The same cases hold.
    #[must_use]
    pub const fn snapshot_every(mut self, events: u64) -> Self {
        self.snapshot_every = events;
        self
    }

    /// Times come from elsewhere than the clock that the [`Factory`] was given.
    #[must_use]
    pub const fn without_clock(mut self) -> Self {
        self.clock = false;
        self
    }
}

impl dyn Fixture {
    /// Makes a repository that keeps states and takes snapshots as this fixture declares.
    pub(super) fn repository<S: EventStore + Clone + 'static>(&self, store: &S) -> Repository<Tally> {
        let Capabilities { cached, snapshot_every, .. } = self.capabilities();
        Repository::new(store).cached(cached).snapshot_every(snapshot_every)
    }

    /// Makes sure that nothing was decided beyond these times: the answer was there first.
    ///
    /// On a state that is kept a command is decided before its receipt is looked up, together with the append.
    #[track_caller]
    pub(super) fn assert_decided(&self, command: &Command, times: usize) {
        if self.capabilities().cached == 0 {
            assert_eq!(command.decisions(), times, "what has an answer is not decided again");
        }
    }
}

/// Makes a [`Fixture`] for each case: a fresh, empty database.
///
/// Any `async fn(Arc<dyn Clock>) -> impl Fixture` is a factory.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Makes a store on a new, empty database, telling the time by this clock.
    async fn make(&self, clock: Arc<dyn Clock>) -> Box<dyn Fixture>;
}

#[async_trait]
impl<M, P, F> Factory for M
where
    M: Fn(Arc<dyn Clock>) -> P + Send + Sync,
    P: Future<Output = F> + Send,
    F: Fixture + 'static,
{
    async fn make(&self, clock: Arc<dyn Clock>) -> Box<dyn Fixture> {
        Box::new(self(clock).await)
    }
}

/// A store that tells the time of the machine.
pub(super) async fn fresh(factory: &dyn Factory) -> Box<dyn Fixture> {
    factory.make(Arc::new(SystemClock)).await
}

/// A store that tells the time of a clock a case sets; `None`, said aloud, where it cannot.
pub(super) async fn with_clock(
    factory: &dyn Factory,
    clock: &Arc<ManualClock>,
    case: &str,
) -> Option<Box<dyn Fixture>> {
    let fixture = factory.make(Arc::<ManualClock>::clone(clock)).await;
    if fixture.capabilities().clock {
        return Some(fixture);
    }
    not_run(case, "the store does not take a clock");
    None
}

/// A store that survives a restart; `None`, said aloud, where it does not.
pub(super) async fn with_restart(factory: &dyn Factory, case: &str) -> Option<Box<dyn Fixture>> {
    let fixture = fresh(factory).await;
    if fixture.capabilities().restart {
        return Some(fixture);
    }
    not_run(case, "the store does not survive a restart");
    None
}

/// Past the test harness, which keeps what a passing test prints to itself.
pub(super) fn not_run(case: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "conformance case {case} NOT RUN: as declared, {reason}");
}
