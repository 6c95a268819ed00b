//! Parked events that somebody has asked for, told again between live ones.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::{Handle, turn::Turn};
use crate::{
    read::parked::{Again, leave, tell_again},
    store::{CheckpointStore, Error, ParkedChoice, ParkedEvent, ParkedQuery, Position},
};

/// The most parked events that are told again before live ones have their turn.
const GO_EVENTS: usize = 100;

/// Nor is another one begun after so long.
const GO_TIME: Duration = Duration::from_secs(1);

/// Requested events are read in pages of so many.
const PAGE_EVENTS: u32 = 1_000;

/// What came of telling some of them.
#[derive(Default)]
struct Go {
    told: usize,
    /// Aggregates of which an event was handled.
    touched: BTreeSet<Uuid>,
    /// Aggregates of which one has failed.
    failed: HashSet<Uuid>,
}

impl<S: CheckpointStore + Clone + 'static> Turn<'_, S> {
    /// Tells some of the parked events that were asked for, in the order of the log. `false`: the lease is lost.
    pub(super) async fn tell_requested(&mut self, handle: &mut impl Handle) -> Result<bool, Error> {
        let (name, began) = (self.runner.settings.consumer.name(), Instant::now());
        // Before it is looked: what is asked for from now on is another look.
        self.held.requests.set(false);
        let (mut go, mut after) = (Go::default(), Position::START);
        'pages: loop {
            let page = self.runner.store.requested_replays(name, after, PAGE_EVENTS).await?;
            for parked in page.iter().filter(|parked| self.runner.settings.has(parked.aggregate_id)) {
                if go.failed.contains(&parked.aggregate_id) {
                    continue;
                }
                if go.told == GO_EVENTS || began.elapsed() > GO_TIME || self.stop.is_up() {
                    self.held.requests.set(true);
                    break 'pages;
                }
                if !self.tell_one(parked, &mut go, handle).await? {
                    return Ok(false);
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE_EVENTS as usize => after = last.position,
                _ => break,
            }
        }
        for aggregate_id in &go.touched {
            self.is_free(*aggregate_id, go.failed.contains(aggregate_id)).await?;
        }
        Ok(true)
    }

    async fn tell_one(&mut self, parked: &ParkedEvent, go: &mut Go, handle: &mut impl Handle) -> Result<bool, Error> {
        let (store, place) = (&self.runner.store, (self.held, self.cursor));
        let begun = match self.is_after_crash {
            false => 0,
            true => match store.begin_replay(&self.held.lease, parked.aggregate_id, parked.sequence).await? {
                Some(times) => times,
                None => return Ok(false),
            },
        };
        go.told += 1;
        let again = if begun > self.runner.settings.attempts.most {
            let times = begun - 1;
            let error = format!("{times} runners in a row have begun it again, and have ended before it was handled");
            leave(store, place, parked, error).await?
        } else {
            tell_again(store, place, parked, handle).await?
        };
        match again {
            Again::Lost => return Ok(false),
            Again::Left => drop(go.failed.insert(parked.aggregate_id)),
            Again::Handled => {
                self.parked_events = self.parked_events.saturating_sub(1);
                go.touched.insert(parked.aggregate_id);
            }
        }
        Ok(true)
    }

    /// Lets live events of an aggregate through again, if none of it is parked any more.
    ///
    /// What only stands behind those that were handled now follows them, without being asked for: nothing holds it any longer.
    async fn is_free(&mut self, aggregate_id: Uuid, has_failed: bool) -> Result<(), Error> {
        let store = &self.runner.store;
        let name = self.runner.settings.consumer.name();
        let limit = PAGE_EVENTS;
        let query =
            ParkedQuery { name: name.to_owned(), aggregate_id: Some(aggregate_id), after: Position::START, limit };
        let left = store.parked(&query).await?;
        if left.is_empty() {
            self.parked.remove(&aggregate_id);
            return Ok(());
        }
        let waits = |parked: &&ParkedEvent| parked.error.is_none() && parked.replay_requested_at.is_none();
        if let Some(last) = left.iter().take_while(waits).last().filter(|_| !has_failed) {
            let choice = ParkedChoice::Event { aggregate_id, sequence: last.sequence };
            store.request_replay(name, choice).await?;
            self.held.requests.set(true);
        }
        Ok(())
    }
}
