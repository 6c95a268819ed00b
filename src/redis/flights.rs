//! One look at a key at a time in a process: whoever comes meanwhile shares what it finds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::watch;

use super::telemetry::Outcome;
use crate::store::FinishedResponse;

/// What a look has found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    answer: Arc<FinishedResponse>,
    /// What became of the look into Redis: not a hit where the database had to be asked.
    outcome: Outcome,
    at: Instant,
}

/// The keys that are being looked at; one entry for each, for as long as somebody looks.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Arc<str>, watch::Receiver<Option<Found>>>>);

/// Looks, for itself and for all who wait. Dropped, it has found nothing.
#[derive(Debug)]
pub(super) struct Leader<'f> {
    flights: &'f Flights,
    name: Arc<str>,
    sender: watch::Sender<Option<Found>>,
}

/// Takes part in the look of another.
#[derive(Debug)]
pub(super) struct Follower(watch::Receiver<Option<Found>>);

impl Flights {
    /// Takes the lead, or follows whoever has it.
    pub(super) fn join(&self, name: &Arc<str>) -> Result<Leader<'_>, Follower> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(name) {
            return Err(Follower(flight.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(Arc::clone(name), receiver);
        Ok(Leader { flights: self, name: Arc::clone(name), sender })
    }
}

impl Leader<'_> {
    /// Tells all who wait what was found.
    pub(super) fn found(self, answer: &Arc<FinishedResponse>, outcome: Outcome) {
        self.sender.send_replace(Some(Found { answer: Arc::clone(answer), outcome, at: Instant::now() }));
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Follower {
    /// Waits for what the other finds. `None`: nothing that can be shared, or no longer.
    pub(super) async fn wait(mut self) -> Option<(Arc<FinishedResponse>, Outcome)> {
        let _ = self.0.wait_for(Option::is_some).await;
        let found = self.0.borrow().clone();
        let Found { answer, outcome, at } = found?;
        // The same rule as in SQL: at the very end it is over.
        (at.elapsed() < answer.left).then_some((answer, outcome))
    }
}
