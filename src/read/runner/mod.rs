//! What subscriptions and projections have in common: standing by, running under a lease, catching up and following on.

mod feed;
mod held;
mod replays;
mod signal;
mod turn;

use std::{collections::HashSet, pin::pin, sync::Arc, time::Duration};

use backon::ExponentialBackoff;
use futures_util::future::{Either, select};
use tokio::time::sleep;
use uuid::Uuid;

pub(crate) use self::signal::{Signal, signal};
use self::turn::Turn;
pub(super) use self::{feed::PAGE_EVENTS, held::Held, signal::Raise};
use super::{
    Start,
    parked::Replayed,
    settings::{Attempts, BoxError, Settings},
    telemetry,
};
use crate::store::{
    Checkpoint, CheckpointStore, Claim, Claimed, Cursor, Error, Fault, Lease, LeaseHolder, RecordedEvent, beneath,
    with_sources,
};

/// What is done with events.
pub(super) trait Handle: Send {
    /// Gets ready under a new lease.
    fn begin(&mut self, checkpoint: &Checkpoint, lease: &Lease) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Handles an event that was parked, and takes it out of the parked ones.
    fn replay(&mut self, lease: &Lease, event: &RecordedEvent) -> impl Future<Output = Result<Replayed, Error>> + Send;

    /// Handles events in a row and moves the checkpoint. An error ends the turn; what failed on an event is no error.
    fn handle(&mut self, chunk: Chunk<'_>) -> impl Future<Output = Result<Handled, Error>> + Send;
}

/// Events in a row, to be handled under a lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk<'c> {
    pub(super) lease: &'c Lease,
    /// Where the checkpoint stands.
    pub(super) from: Cursor,
    pub(super) events: &'c [RecordedEvent],
    /// Where it stands once all of them are handled.
    pub(super) end: Cursor,
    /// Events of these aggregates are parked.
    pub(super) parked: &'c HashSet<Uuid>,
    /// Whoever runs it wants it to come to an end.
    pub(super) stop: &'c Signal,
    /// The lease is lost.
    pub(super) lost: &'c Signal,
}

impl Chunk<'_> {
    /// Where the checkpoint stands once so many events are handled.
    pub(super) fn cursor_behind(&self, events: usize) -> Cursor {
        match events {
            0 => self.from,
            all if all == self.events.len() => self.end,
            some => Cursor::from(&self.events[some - 1]),
        }
    }
}

/// Says what became of a [`Chunk`].
#[derive(Debug)]
pub(super) enum Handled {
    /// So many events were handled, and the checkpoint stands behind them.
    Moved(usize),
    /// So many were handled, the checkpoint stands behind them, and then it failed at the event with this index: one that
    /// is to be tried again, or, where the checkpoint stands behind it already, one that is not.
    ///
    /// Finally: it is not, however often events are tried.
    Failed { moved: usize, at: usize, error: BoxError, is_final: bool },
    /// Nothing was handled: one of the events has failed, and which one is not known. They are to be handled one by one.
    OneOfThem,
    /// The lease is lost, or the checkpoint is not where it was.
    Lost,
}

/// Runs one consumer.
#[derive(Debug, Clone)]
pub(super) struct Runner<S> {
    pub(super) store: S,
    pub(super) settings: Settings,
}

/// How a turn has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// As it was meant to: told to stop, or the target is reached.
    Done,
    /// The lease is somebody else's.
    Lost,
}

/// The longest pause between two tries to get a lease.
const STANDBY_PAUSE: Duration = Duration::from_secs(1);

/// The pauses while the database cannot be reached.
pub(super) const OUTAGE: Attempts =
    Attempts { most: u32::MAX, first_pause: Duration::from_millis(50), longest_pause: Duration::from_secs(5) };

impl<S: CheckpointStore + Clone + 'static> Runner<S> {
    /// Runs until told to stop, or until a place in the log is reached.
    pub(super) async fn run(
        &self,
        shutdown: impl Future<Output = ()> + Send,
        target: Option<Cursor>,
        handle: &mut impl Handle,
    ) -> Result<(), Error> {
        self.settings.check()?;
        let (raise, stop) = signal();
        let run = self.run_until(&stop, target, handle);
        match select(pin!(shutdown), pin!(run)).await {
            Either::Left(((), run)) => {
                raise.raise();
                run.await
            }
            Either::Right((ended, _)) => ended,
        }
    }

    /// Runs until everything that is there now was handled.
    pub(super) async fn catch_up(&self, handle: &mut impl Handle) -> Result<(), Error> {
        let target = Start::Now.cursor(&self.store).await?;
        self.run(std::future::pending(), Some(target), handle).await
    }

    async fn run_until(&self, stop: &Signal, target: Option<Cursor>, handle: &mut impl Handle) -> Result<(), Error> {
        let owner = self.settings.run_owner();
        let mut pauses = OUTAGE.pauses();
        while !stop.is_up() {
            let pause = match self.try_once(&owner, stop, target, handle, &mut pauses).await {
                Ok(Next::Done) => return Ok(()),
                Ok(Next::Again { after }) => {
                    pauses = OUTAGE.pauses();
                    after
                }
                Err(error) if is_outage(&error) => {
                    telemetry::interrupted(&self.settings.consumer, &error);
                    pauses.next().unwrap_or(OUTAGE.longest_pause)
                }
                Err(error) => {
                    telemetry::stopped(&self.settings.consumer, &error);
                    return Err(error);
                }
            };
            stop.unless(sleep(pause)).await;
        }
        Ok(())
    }

    /// Claims the lease, and works for as long as it lasts.
    async fn try_once(
        &self,
        owner: &Arc<str>,
        stop: &Signal,
        target: Option<Cursor>,
        handle: &mut impl Handle,
        pauses: &mut ExponentialBackoff,
    ) -> Result<Next, Error> {
        let (checkpoint, earlier) = match self.claim(owner, false).await? {
            (Claimed::Taken(checkpoint), earlier) => (checkpoint, earlier),
            (Claimed::Refused(checkpoint), _) => {
                self.fits(&checkpoint)?;
                if target.is_some_and(|target| checkpoint.cursor.position >= target.position) {
                    return Ok(Next::Done);
                }
                return Ok(Next::Again { after: self.standby_pause(&checkpoint) });
            }
        };
        let lapsed = earlier.and_then(|earlier| earlier.lease).filter(|lease| *lease.owner != **owner);
        telemetry::lease_taken(&self.settings.consumer, checkpoint.fence, lapsed.as_ref());
        let mut held = Held::keep(&self.store, self.lease(&checkpoint));
        let mut turn = Turn::new(self, &held, &checkpoint, stop);
        let ended = turn.work(&checkpoint, target, handle).await;
        if turn.has_got_on() {
            // What interrupts it now is another outage than the one before.
            *pauses = OUTAGE.pauses();
        }
        if let Err(error) = &ended {
            // For whoever looks later. That it cannot be noted changes nothing.
            drop(self.store.note_failure(&held.lease, &with_sources(error)).await);
        }
        if !matches!(ended, Ok(Ended::Lost)) {
            held.release(&self.store).await;
        }
        Ok(match ended? {
            Ended::Done => Next::Done,
            Ended::Lost => Next::Again { after: Duration::from_millis(10) },
        })
    }

    /// Asks for the lease. Beside the answer: the checkpoint as it was before.
    pub(super) async fn claim(&self, owner: &Arc<str>, by_force: bool) -> Result<(Claimed, Option<Checkpoint>), Error> {
        let Settings { consumer, kind, version, lease, start, .. } = &self.settings;
        let earlier = self.store.checkpoint(consumer).await?;
        let start = match &earlier {
            Some(checkpoint) => {
                self.fits(checkpoint)?;
                if !by_force && self.is_taken(checkpoint, owner) {
                    // Without a write, which it would be to ask.
                    return Ok((Claimed::Refused(checkpoint.clone()), earlier));
                }
                None
            }
            // By force something is taken that is there.
            None if by_force => None,
            None => Some(start.cursor(&self.store).await?),
        };
        let claim = Claim {
            consumer: consumer.clone(),
            kind: *kind,
            version: *version,
            start,
            owner: Arc::clone(owner),
            length: *lease,
            by_force,
        };
        Ok((self.store.claim(&claim).await?, earlier))
    }

    fn is_taken(&self, checkpoint: &Checkpoint, owner: &str) -> bool {
        let is_others = |lease: &LeaseHolder| lease.owner != owner && lease.expires_at > self.store.now();
        checkpoint.paused_at.is_some() || checkpoint.lease.as_ref().is_some_and(is_others)
    }

    pub(super) fn lease(&self, checkpoint: &Checkpoint) -> Lease {
        Lease { consumer: self.settings.consumer.clone(), fence: checkpoint.fence, length: self.settings.lease }
    }

    /// Makes sure that a checkpoint is of what is being run.
    fn fits(&self, found: &Checkpoint) -> Result<(), Error> {
        let Settings { consumer, kind, version, .. } = &self.settings;
        if found.kind != *kind {
            return Err(Error::invalid(format!(
                "{} is the name of a {}, not of a {kind}",
                consumer.name(),
                found.kind
            )));
        }
        if found.consumer.of() != consumer.of() {
            return Err(Error::invalid(format!(
                "{} is split into {} partitions, not into {}: see Subscription::repartition",
                consumer.name(),
                found.consumer.of(),
                consumer.of()
            )));
        }
        if found.version != *version && (found.build > 0 || found.version > *version) {
            return Err(other_version(consumer.name(), found.version, *version));
        }
        Ok(())
    }

    /// How long to wait until the lease may be free.
    pub(super) fn standby_pause(&self, checkpoint: &Checkpoint) -> Duration {
        let longest = STANDBY_PAUSE.min(self.settings.lease / 3);
        let left = checkpoint.lease.as_ref().map(|lease| lease.expires_at - self.store.now());
        let left = left.and_then(|left| left.to_std().ok()).unwrap_or(longest);
        left.clamp(Duration::from_millis(10), longest.max(Duration::from_millis(10)))
    }
}

/// What comes after a turn, or after standing by.
enum Next {
    Done,
    Again { after: Duration },
}

/// What is built is of another version than this code's.
pub(super) fn other_version(name: &str, found: u32, version: u32) -> Error {
    let mend = if found < version { "rebuild it" } else { "run the newer code" };
    let message = format!("the projection {name} was built by version {found}, and this is version {version}: {mend}");
    Error::Schema { message, source: None }
}

/// Tells whether a store that fails like this is waited for: one that is away, or was made a standby, or has no room.
pub(crate) fn is_outage(error: &Error) -> bool {
    let is_waited_for = |fault: &Fault| matches!(fault, Fault::ReadOnly | Fault::Full | Fault::Io);
    error.is_retryable()
        || error.is_outcome_unknown()
        || matches!(error, Error::Backend { fault, .. } if is_waited_for(fault))
}

/// An error of a handler's that a store brought about, itself or beneath it, and that passes.
pub(super) fn is_passing(error: &BoxError) -> Option<Error> {
    beneath(&**error).find_map(|error| error.downcast_ref::<Error>().filter(|error| is_outage(error)).cloned())
}
