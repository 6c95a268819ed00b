//! Moves of the checkpoint along the events that are told.

use tokio::time::Instant;

use crate::{
    read::runner::{Chunk, Handled},
    store::{CheckpointStore, Error, NewParkedEvent, Step},
};

/// Moves the checkpoint along a chunk.
pub(super) struct Acks<'a, S> {
    store: &'a S,
    chunk: Chunk<'a>,
    /// The checkpoint stands behind so many events.
    pub(super) at: usize,
    /// To be parked when it is moved.
    pub(super) behind: Vec<NewParkedEvent>,
    pub(super) last: Instant,
}

impl<'a, S: CheckpointStore> Acks<'a, S> {
    pub(super) fn new(store: &'a S, chunk: Chunk<'a>) -> Self {
        Self { store, chunk, at: 0, behind: Vec::new(), last: Instant::now() }
    }

    /// Moves it behind so many events. `false`: the lease is lost.
    pub(super) async fn to(&mut self, events: usize) -> Result<bool, Error> {
        if events <= self.at {
            return Ok(true);
        }
        let step = Step {
            from: self.chunk.cursor_behind(self.at).position,
            to: self.chunk.cursor_behind(events),
            parked: &self.behind,
        };
        let is_moved = self.store.advance(self.chunk.lease, &step).await?;
        self.behind.clear();
        (self.at, self.last) = (events, Instant::now());
        Ok(is_moved)
    }

    pub(super) async fn handled(&mut self, events: usize) -> Result<Handled, Error> {
        Ok(if self.to(events).await? { Handled::Moved(events) } else { Handled::Lost })
    }
}
