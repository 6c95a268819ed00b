//! Looking at processes, and after those that cannot go on.

use std::{fmt, marker::PhantomData, sync::Arc};

use uuid::Uuid;

use super::runner::{queue_of, router_of};
use crate::{
    command::Repository,
    domain::{Id, Process, ProcessManager},
    read::{Consumers, Progress},
    store::{CheckpointStore, Error, Timer, TimerCounts, TimerQuery, TimerState, TimerStore},
};

/// Looks after processes: how far they are, and which cannot go on.
pub struct Processes<P, S> {
    store: S,
    queue: Arc<str>,
    process: PhantomData<fn() -> P>,
}

/// A process as it stands.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProcessView<P> {
    /// Its state; its status, its steps and its timers.
    pub process: Process<P>,
    /// The sequence of the last event of its history.
    pub version: u64,
    /// When it is looked at next, how often it was tried, and what went wrong last.
    ///
    /// `None`: there is nothing to be done.
    pub due: Option<Timer>,
}

impl<P> ProcessView<P> {
    /// Whether it was set aside, and why.
    #[must_use]
    pub fn parked(&self) -> Option<&str> {
        let parked = self.due.as_ref().filter(|due| due.state == TimerState::Parked)?;
        Some(parked.failure.as_ref().map_or("", |failure| &failure.message))
    }
}

/// How far the processes of a kind have come: as of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessProgress {
    /// How far events are handed to their processes, for each partition.
    ///
    /// None where nobody ever has.
    pub routed: Vec<Progress>,
    /// How many processes wait, are worked on, or are parked.
    ///
    /// And how long the oldest has been due.
    pub processes: TimerCounts,
}

impl<P, S: Clone> Clone for Processes<P, S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), queue: Arc::clone(&self.queue), process: PhantomData }
    }
}

impl<P, S> fmt::Debug for Processes<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl<P: ProcessManager, S: CheckpointStore + TimerStore + Clone + 'static> Processes<P, S> {
    /// Looks into a store.
    #[must_use]
    pub fn new(store: &S) -> Self {
        Self { store: store.clone(), queue: queue_of(P::TYPE), process: PhantomData }
    }

    /// Finds a process; `None`: it has not begun.
    ///
    /// # Errors
    ///
    /// As for [`Repository::load`].
    pub async fn find(&self, id: Id<Process<P>>) -> Result<Option<ProcessView<P>>, Error> {
        let loaded = Repository::<Process<P>>::new(&self.store).load(id).await?;
        if loaded.version == 0 {
            return Ok(None);
        }
        let due = self.store.timer(&self.queue, id.uuid()).await?;
        Ok(Some(ProcessView { process: loaded.state, version: loaded.version, due }))
    }

    /// Lists processes that were set aside, with what went wrong.
    ///
    /// In the order of their ids, after this one.
    ///
    /// Up to 10,000 at once.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn list_parked(&self, after: Option<Id<Process<P>>>, limit: u32) -> Result<Vec<Timer>, Error> {
        let (queue, state) = (Arc::clone(&self.queue), Some(TimerState::Parked));
        self.store.list_timers(&TimerQuery { queue, state, after: after.map(Uuid::from), limit }).await
    }

    /// Has a parked process be tried again, at once. `false`: it is not parked.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    pub async fn resume(&self, id: Id<Process<P>>) -> Result<bool, Error> {
        self.store.resume_timer(&self.queue, id.uuid()).await
    }

    /// Tells how far the processes have come.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn progress(&self) -> Result<ProcessProgress, Error> {
        let router = router_of(P::TYPE);
        let routed = Consumers::new(&self.store).progress(&router).await?;
        Ok(ProcessProgress { routed, processes: self.store.count_timers(&self.queue).await? })
    }
}
