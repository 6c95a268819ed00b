//! Batches of events, each in the transaction in which the checkpoint moves.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::ConnectionOf;
use crate::{
    read::{
        BoxError, Projection, Target,
        parked::Replayed,
        projection::Build,
        runner::{Chunk, Handle, Handled},
    },
    store::{
        Checkpoint, CheckpointWork, Error, Lease, NewParkedEvent, Position, ProjectionStore, RecordedEvent, Step,
        Work as _,
    },
};

/// A transaction takes no more events after so long: others wait for what it writes.
const BATCH_TIME: Duration = Duration::from_millis(100);

/// Applies events to the tables of one build.
pub(super) struct Applying<S, P> {
    store: S,
    projection: Arc<P>,
    /// What was handled before is replayed into a build of its own.
    is_rebuild: bool,
    pub(super) build: Build,
    /// Up to here effects were had already under this lease, whatever became of the transaction.
    effects_until: Position,
}

/// Says what became of events that were applied in one transaction.
enum Applied {
    /// So many, and it was committed.
    Committed(usize),
    /// It was rolled back, since the event with this index has failed.
    RolledBack {
        at: usize,
        error: BoxError,
    },
    /// It was rolled back at its COMMIT: one of the events has broken a deferred constraint.
    Refused,
    Lost,
}

impl<S: ProjectionStore, P: Projection<ConnectionOf<S>>> Applying<S, P> {
    pub(super) fn new(store: S, projection: Arc<P>, is_rebuild: bool) -> Self {
        Self { store, projection, is_rebuild, build: Build::new(0, Vec::new()), effects_until: Position::START }
    }

    /// Takes the tables of this build, and makes them where this is the first.
    async fn take_build(&mut self, checkpoint: &Checkpoint, lease: &Lease) -> Result<bool, Error> {
        let is_first = checkpoint.build == 0 && !self.projection.tables().is_empty();
        self.set_build(if is_first { 1 } else { checkpoint.build });
        if !is_first {
            return Ok(true);
        }
        self.make(self.store.begin().await?, lease, &[self.build.creation(), self.build.showing()]).await
    }

    pub(super) fn set_build(&mut self, number: u32) {
        self.build = Build::new(number, self.projection.tables());
    }

    /// Makes tables and notes the build, as all that is done in this transaction. `false`: the lease is lost.
    pub(super) async fn make(&self, mut work: S::Work, lease: &Lease, scripts: &[String]) -> Result<bool, Error> {
        if !work.hold(lease).await? {
            return Ok(false);
        }
        for script in scripts {
            work.run_script(script).await?;
        }
        if !work.set_build(lease, self.build.number, self.projection.version()).await? {
            return Ok(false);
        }
        work.commit().await?;
        Ok(true)
    }

    async fn apply(&mut self, chunk: &Chunk<'_>) -> Result<Applied, Error> {
        let events = match self.effects(chunk).await {
            Effects::Had(events) => &chunk.events[..events],
            Effects::Failed(error) => return Ok(Applied::RolledBack { at: 0, error }),
            Effects::Lost => return Ok(Applied::Lost),
        };
        let mut work = self.store.begin().await?;
        if !work.hold(chunk.lease).await? {
            return Ok(Applied::Lost);
        }
        let (began, mut parked, mut applied) = (Instant::now(), Vec::new(), 0);
        for event in events {
            if applied > 0 && (chunk.stop.is_up() || began.elapsed() > BATCH_TIME) {
                break;
            }
            if chunk.parked.contains(&event.aggregate_id()) {
                parked.push(NewParkedEvent::behind_another(event));
            } else {
                let mut target = Target::new(work.connection(), &self.build, self.is_rebuild);
                match chunk.lost.unless(self.projection.apply(event, &mut target)).await {
                    None => return Ok(Applied::Lost),
                    Some(Ok(())) => {}
                    Some(Err(error)) if work.is_passing(&*error) => return Err(passing(error)),
                    Some(Err(error)) => return Ok(Applied::RolledBack { at: applied, error }),
                }
            }
            applied += 1;
        }
        let step = Step { from: chunk.from.position, to: chunk.cursor_behind(applied), parked: &parked };
        if !work.advance(chunk.lease, &step).await? {
            return Ok(Applied::Lost);
        }
        match work.commit().await {
            Ok(()) => Ok(Applied::Committed(applied)),
            Err(error @ Error::Backend { .. }) if applied == 1 => {
                Ok(Applied::RolledBack { at: 0, error: Box::new(error) })
            }
            Err(Error::Backend { .. }) => Ok(Applied::Refused),
            Err(error) => Err(error),
        }
    }

    /// Does what reaches beyond the database, before the transaction: others need not wait for it.
    ///
    /// Of so many events as it has time for; the rest comes with the next batch. What has failed ends it at that event.
    async fn effects(&mut self, chunk: &Chunk<'_>) -> Effects {
        if self.is_rebuild {
            return Effects::Had(chunk.events.len());
        }
        let began = Instant::now();
        for (at, event) in chunk.events.iter().enumerate() {
            if at > 0 && (chunk.stop.is_up() || began.elapsed() > BATCH_TIME) {
                return Effects::Had(at);
            }
            if event.position() <= self.effects_until || chunk.parked.contains(&event.aggregate_id()) {
                continue;
            }
            match chunk.lost.unless(self.projection.effect(event)).await {
                None => return Effects::Lost,
                Some(Ok(())) => self.effects_until = event.position(),
                // Those before it are applied first, in a batch of their own.
                Some(Err(_)) if at > 0 => return Effects::Had(at),
                Some(Err(error)) => return Effects::Failed(error),
            }
        }
        Effects::Had(chunk.events.len())
    }
}

/// Says of how many events effects were had.
enum Effects {
    Had(usize),
    /// The first event's has failed.
    Failed(BoxError),
    Lost,
}

/// Others hold what the projection needs, or the database cannot be reached. No event is to blame.
fn passing(error: BoxError) -> Error {
    Error::Contention { source: Some(error.into()) }
}

impl<S: ProjectionStore, P: Projection<ConnectionOf<S>>> Handle for Applying<S, P> {
    async fn begin(&mut self, checkpoint: &Checkpoint, lease: &Lease) -> Result<bool, Error> {
        self.effects_until = checkpoint.cursor.position;
        self.take_build(checkpoint, lease).await
    }

    async fn handle(&mut self, chunk: Chunk<'_>) -> Result<Handled, Error> {
        Ok(match self.apply(&chunk).await? {
            Applied::Committed(events) => Handled::Moved(events),
            Applied::RolledBack { at, error } => Handled::Failed { moved: 0, at, error, is_final: false },
            Applied::Refused => Handled::OneOfThem,
            Applied::Lost => Handled::Lost,
        })
    }

    async fn replay(&mut self, lease: &Lease, event: &RecordedEvent) -> Result<Replayed, Error> {
        if !self.is_rebuild
            && let Err(error) = self.projection.effect(event).await
        {
            return Ok(Replayed::Failed(error));
        }
        let mut work = self.store.begin().await?;
        if !work.hold(lease).await? {
            return Ok(Replayed::Lost);
        }
        let mut target = Target::new(work.connection(), &self.build, self.is_rebuild);
        if let Err(error) = self.projection.apply(event, &mut target).await {
            return if work.is_passing(&*error) { Err(passing(error)) } else { Ok(Replayed::Failed(error)) };
        }
        if !work.unpark(lease, event.aggregate_id(), event.sequence()).await? {
            return Ok(Replayed::Lost);
        }
        work.commit().await?;
        Ok(Replayed::Handled)
    }
}
