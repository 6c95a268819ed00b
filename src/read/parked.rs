//! Parked events: told again, in order.

use std::collections::HashSet;

use uuid::Uuid;

use super::{
    runner::{Handle, Held, Runner},
    settings::BoxError,
};
use crate::store::{
    CheckpointStore, Claimed, Cursor, Error, EventStoreExt as _, NewParkedEvent, ParkedEvent, ParkedQuery, Position,
    RecordedEvent, Step, StreamQuery, with_sources,
};

/// Says what became of the parked events that were told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParkedRun {
    /// Handled, and no longer parked.
    pub handled: u64,
    /// Still parked: they failed again, or an earlier event of their aggregate did.
    pub left: u64,
}

/// Says what became of a parked event that was handed out again.
pub(super) enum Replayed {
    Handled,
    Failed(BoxError),
    Lost,
}

/// Parked events are told again in pages of so many.
const PAGE_EVENTS: u32 = 100;

/// Walks through the parked events of a name, page by page, in the order of their positions.
pub(super) struct Pages {
    query: ParkedQuery,
    is_over: bool,
}

impl Pages {
    pub(super) fn of(name: &str, aggregate_id: Option<Uuid>, page_events: u32) -> Self {
        let query = ParkedQuery { name: name.to_owned(), aggregate_id, after: Position::START, limit: page_events };
        Self { query, is_over: false }
    }

    /// The next page; `None` behind the last one.
    pub(super) async fn next<S: CheckpointStore>(&mut self, store: &S) -> Result<Option<Vec<ParkedEvent>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let page = store.parked(&self.query).await?;
        match page.last() {
            Some(last) if page.len() == self.query.limit as usize => self.query.after = last.position,
            _ => self.is_over = true,
        }
        Ok(Some(page))
    }
}

/// Takes the lease, by force, and tells the parked events of a consumer again.
pub(super) async fn replay<S: CheckpointStore + Clone + 'static>(
    runner: &Runner<S>,
    replay: &mut impl Handle,
) -> Result<ParkedRun, Error> {
    runner.settings.check()?;
    let consumer = &runner.settings.consumer;
    if runner.store.checkpoint(consumer).await?.is_none() {
        return Err(super::consumers::unknown(consumer.name()));
    }
    let (Claimed::Taken(checkpoint), _) = runner.claim(&runner.settings.run_owner(), true).await? else {
        return Err(Error::invalid(format!("{consumer} is paused, or is another than this")));
    };
    super::telemetry::changed(consumer.name(), "replay");
    let mut held = Held::keep(&runner.store, runner.lease(&checkpoint));
    let done = match replay.begin(&checkpoint, &held.lease).await {
        Ok(true) => all(runner, (&held, checkpoint.cursor), replay).await,
        Ok(false) => Err(lost()),
        Err(error) => Err(error),
    };
    held.release(&runner.store).await;
    done
}

async fn all<S: CheckpointStore + Clone + 'static>(
    runner: &Runner<S>,
    (held, cursor): (&Held, Cursor),
    replay: &mut impl Handle,
) -> Result<ParkedRun, Error> {
    let consumer = &runner.settings.consumer;
    let (mut run, mut failed) = (ParkedRun::default(), HashSet::new());
    let mut pages = Pages::of(consumer.name(), None, PAGE_EVENTS);
    while let Some(page) = pages.next(&runner.store).await? {
        for parked in page.iter().filter(|parked| runner.settings.has(parked.aggregate_id)) {
            if failed.contains(&parked.aggregate_id) {
                run.left += 1;
                continue;
            }
            match tell_again(&runner.store, (held, cursor), parked, replay).await? {
                Again::Handled => run.handled += 1,
                Again::Lost => return Err(lost()),
                Again::Left => {
                    failed.insert(parked.aggregate_id);
                    run.left += 1;
                }
            }
        }
    }
    Ok(run)
}

/// Says what became of a parked event that was told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It is parked no longer.
    Handled,
    /// It has failed, and is parked still.
    Left,
    /// The lease is.
    Lost,
}

/// Tells one parked event again, under a lease whose checkpoint stands at a place.
pub(super) async fn tell_again<S: CheckpointStore>(
    store: &S,
    (held, cursor): (&Held, Cursor),
    parked: &ParkedEvent,
    handle: &mut impl Handle,
) -> Result<Again, Error> {
    let event = read(store, parked).await?;
    let Some(replayed) = held.lost.unless(handle.replay(&held.lease, &event)).await else {
        return Ok(Again::Lost);
    };
    match replayed? {
        Replayed::Handled => {
            super::telemetry::replayed(&held.lease.consumer, parked, None);
            Ok(Again::Handled)
        }
        Replayed::Lost => Ok(Again::Lost),
        Replayed::Failed(error) => leave(store, (held, cursor), parked, with_sources(&*error)).await,
    }
}

/// Leaves a parked event where it is, with what went wrong this time. What was asked for of its aggregate is done with.
pub(super) async fn leave<S: CheckpointStore>(
    store: &S,
    (held, cursor): (&Held, Cursor),
    parked: &ParkedEvent,
    error: String,
) -> Result<Again, Error> {
    let again = NewParkedEvent {
        position: parked.position,
        aggregate_id: parked.aggregate_id,
        sequence: parked.sequence,
        error: Some(error),
        attempts: parked.attempts.saturating_add(1),
    };
    if !store.park_again(&held.lease, &again, parked.replay_requested_at).await? {
        // What is told at most once was taken out before it was told: it is put back, and not lost in silence.
        let step = Step { from: cursor.position, to: cursor, parked: std::slice::from_ref(&again) };
        if !store.advance(&held.lease, &step).await? {
            return Ok(Again::Lost);
        }
    }
    super::telemetry::replayed(&held.lease.consumer, parked, again.error.as_deref());
    Ok(Again::Left)
}

/// The event itself, from the log.
async fn read<S: CheckpointStore>(store: &S, parked: &ParkedEvent) -> Result<RecordedEvent, Error> {
    let query =
        StreamQuery::of(parked.aggregate_id).from_sequence(parked.sequence).to_sequence(parked.sequence).limit(1);
    let event = store.collect_stream(&query).await?.pop().filter(|event| event.position() == parked.position);
    event.ok_or_else(|| Error::CheckpointDiverged {
        position: parked.position,
        detail: format!("event {} of aggregate {} was parked, and is not there", parked.sequence, parked.aggregate_id),
    })
}

/// Somebody else took the lease meanwhile.
fn lost() -> Error {
    Error::Contention { source: None }
}
