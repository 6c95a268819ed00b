//! Events told in batches.

use std::time::Duration;

use tokio::time::timeout;

use super::acks::Acks;
use crate::{
    read::{
        BoxError, parked,
        runner::{Chunk, Handle, Handled, Signal, is_passing, signal},
    },
    store::{Checkpoint, CheckpointStore, Error, Lease, NewParkedEvent, RecordedEvent},
};

/// What is told several events at once, and tells how far it has come.
pub(crate) trait TellBatch: Send {
    /// Gets ready under a new lease: what it remembers of earlier batches may no longer hold.
    fn begin(&mut self);

    /// Handles events in a row. Where `stop` is up it may leave the rest. An error ends the turn, or the runner.
    fn tell(
        &mut self,
        events: Vec<RecordedEvent>,
        stop: &Signal,
    ) -> impl Future<Output = Result<ToldBatch, Error>> + Send;
}

/// Says what became of a batch.
#[derive(Debug)]
pub(crate) enum ToldBatch {
    /// The first so many were handled: at least one, unless it is told to stop.
    Handled(usize),
    /// The first so many were handled, and then it has failed at the event with this index.
    ///
    /// Finally: it is not to be tried again.
    Failed { handled: usize, at: usize, error: BoxError, is_final: bool },
    /// One of them has failed, and which one is not known.
    OneOfThem,
}

/// A handler that says of a whole batch whether it was handled.
pub(super) struct Whole<H> {
    pub(super) handler: H,
    pub(super) handler_timeout: Option<Duration>,
}

impl<H, F, E> TellBatch for Whole<H>
where
    H: FnMut(Vec<RecordedEvent>) -> F + Send,
    F: Future<Output = Result<(), E>> + Send,
    E: Into<BoxError>,
{
    fn begin(&mut self) {}

    async fn tell(&mut self, events: Vec<RecordedEvent>, _: &Signal) -> Result<ToldBatch, Error> {
        let count = events.len();
        let told = (self.handler)(events);
        let told = match self.handler_timeout {
            None => told.await.map_err(Into::into),
            Some(within) => match timeout(within, told).await {
                Ok(told) => told.map_err(Into::into),
                Err(_) => Err(format!("the handler has not come to an end within {within:?}").into()),
            },
        };
        match told {
            Ok(()) => Ok(ToldBatch::Handled(count)),
            Err(error) if count == 1 => Ok(ToldBatch::Failed { handled: 0, at: 0, error, is_final: false }),
            Err(error) => is_passing(&error).map_or(Ok(ToldBatch::OneOfThem), Err),
        }
    }
}

/// Tells batches, and moves the checkpoint behind each.
pub(super) struct Batches<'t, S, T> {
    pub(super) store: &'t S,
    pub(super) tell: T,
}

impl<S: CheckpointStore, T: TellBatch> Handle for Batches<'_, S, T> {
    async fn begin(&mut self, _: &Checkpoint, _: &Lease) -> Result<bool, Error> {
        self.tell.begin();
        Ok(true)
    }

    async fn handle(&mut self, chunk: Chunk<'_>) -> Result<Handled, Error> {
        // Those that are told, by their places in the chunk.
        let (mut events, mut places) = (Vec::with_capacity(chunk.events.len()), Vec::new());
        for (place, event) in chunk.events.iter().enumerate() {
            if !chunk.parked.contains(&event.aggregate_id()) {
                events.push(event.clone());
                places.push(place);
            }
        }
        let told = match events.is_empty() {
            true => ToldBatch::Handled(0),
            false => match chunk.lost.unless(self.tell.tell(events, chunk.stop)).await {
                None => return Ok(Handled::Lost),
                Some(told) => told?,
            },
        };
        // What is parked between goes with the events before it.
        let behind = |told: usize| places.get(told).copied().unwrap_or(chunk.events.len());
        match told {
            ToldBatch::Handled(told) => self.acks(chunk, behind(told)).handled(behind(told)).await,
            ToldBatch::Failed { handled, at, error, is_final } => {
                let moved = behind(handled);
                Ok(match self.acks(chunk, moved).to(moved).await? {
                    true => Handled::Failed { moved, at: behind(at), error, is_final },
                    false => Handled::Lost,
                })
            }
            ToldBatch::OneOfThem => Ok(Handled::OneOfThem),
        }
    }

    async fn replay(&mut self, lease: &Lease, event: &RecordedEvent) -> Result<parked::Replayed, Error> {
        // Nobody stops it: a lost lease does.
        let (_raise, stop) = signal();
        Ok(match self.tell.tell(vec![event.clone()], &stop).await? {
            ToldBatch::Failed { error, .. } => parked::Replayed::Failed(error),
            ToldBatch::Handled(1) if self.store.unpark(lease, event.aggregate_id(), event.sequence()).await? => {
                parked::Replayed::Handled
            }
            ToldBatch::Handled(_) | ToldBatch::OneOfThem => parked::Replayed::Lost,
        })
    }
}

impl<S: CheckpointStore, T> Batches<'_, S, T> {
    /// Moves the checkpoint behind so many events, and parks those among them that stand behind a parked one.
    fn acks<'a>(&'a self, chunk: Chunk<'a>, events: usize) -> Acks<'a, S> {
        let parked = chunk.events[..events].iter().filter(|event| chunk.parked.contains(&event.aggregate_id()));
        let mut acks = Acks::new(self.store, chunk);
        acks.behind.extend(parked.map(NewParkedEvent::behind_another));
        acks
    }
}
