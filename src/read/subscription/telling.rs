//! Events told one by one.

use std::time::Duration;

use tokio::time::timeout;

use super::acks::Acks;
use crate::{
    read::{
        BoxError, parked,
        runner::{Chunk, Handle, Handled},
    },
    store::{Checkpoint, CheckpointStore, Error, Lease, NewParkedEvent, RecordedEvent},
};

/// How long the checkpoint stays behind while a batch is handled slowly.
const BEHIND_FOR: Duration = Duration::from_secs(1);

/// Tells events to a handler.
pub(super) struct Telling<'t, S, H> {
    pub(super) store: &'t S,
    pub(super) handler: H,
    pub(super) is_at_most_once: bool,
    pub(super) handler_timeout: Option<Duration>,
}

impl<S, H, F, E> Telling<'_, S, H>
where
    S: CheckpointStore,
    H: FnMut(RecordedEvent) -> F + Send,
    F: Future<Output = Result<(), E>> + Send,
    E: Into<BoxError>,
{
    async fn tell(&mut self, event: &RecordedEvent) -> Result<(), BoxError> {
        let told = (self.handler)(event.clone());
        match self.handler_timeout {
            None => told.await.map_err(Into::into),
            Some(within) => match timeout(within, told).await {
                Ok(told) => told.map_err(Into::into),
                Err(_) => Err(format!("the handler has not come to an end within {within:?}").into()),
            },
        }
    }
}

impl<S, H, F, E> Handle for Telling<'_, S, H>
where
    S: CheckpointStore,
    H: FnMut(RecordedEvent) -> F + Send,
    F: Future<Output = Result<(), E>> + Send,
    E: Into<BoxError>,
{
    async fn begin(&mut self, _: &Checkpoint, _: &Lease) -> Result<bool, Error> {
        Ok(true)
    }

    async fn handle(&mut self, chunk: Chunk<'_>) -> Result<Handled, Error> {
        let mut acks = Acks::new(self.store, chunk);
        for (index, event) in chunk.events.iter().enumerate() {
            if index > 0 && chunk.stop.is_up() {
                return acks.handled(index).await;
            }
            if chunk.parked.contains(&event.aggregate_id()) {
                acks.behind.push(NewParkedEvent::behind_another(event));
                continue;
            }
            if self.is_at_most_once && !acks.to(index + 1).await? {
                return Ok(Handled::Lost);
            }
            match chunk.lost.unless(self.tell(event)).await {
                None => return Ok(Handled::Lost),
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    return Ok(match self.is_at_most_once || acks.to(index).await? {
                        true => Handled::Failed { moved: acks.at, at: index, error, is_final: false },
                        false => Handled::Lost,
                    });
                }
            }
            if acks.last.elapsed() > BEHIND_FOR && !acks.to(index + 1).await? {
                return Ok(Handled::Lost);
            }
        }
        acks.handled(chunk.events.len()).await
    }

    async fn replay(&mut self, lease: &Lease, event: &RecordedEvent) -> Result<parked::Replayed, Error> {
        let (store, is_at_most_once) = (self.store, self.is_at_most_once);
        let unpark = async || store.unpark(lease, event.aggregate_id(), event.sequence()).await;
        if is_at_most_once && !unpark().await? {
            return Ok(parked::Replayed::Lost);
        }
        if let Err(error) = self.tell(event).await {
            return Ok(parked::Replayed::Failed(error));
        }
        let is_out = is_at_most_once || unpark().await?;
        Ok(if is_out { parked::Replayed::Handled } else { parked::Replayed::Lost })
    }
}
