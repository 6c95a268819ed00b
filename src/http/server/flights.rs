//! What this process knows of keys that requests are waiting on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{MutexGuard, watch};

use crate::store::{Error, Fingerprint, FinishedResponse, RunningResponse, ScopedKey};

/// For how long what was found under a key is told to others that ask at the same time.
///
/// So a thousand retries that come at once ask the database once.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// For how long it is told that others are at work.
const BUSY_SHARED_FOR: Duration = Duration::from_millis(20);

/// The keys that requests of this process are about; each only for as long as there is one.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<ScopedKey, Weak<Flight>>>);

/// One key that requests of this process are about.
#[derive(Debug)]
pub(super) struct Flight {
    /// Whoever has it asks the store; the others wait, and read here what was found.
    turn: tokio::sync::Mutex<Found>,
    /// Counts what has changed.
    changes: watch::Sender<u64>,
}

/// What was last found under a key.
#[derive(Debug, Default)]
pub(super) struct Found {
    known: Option<Known>,
}

#[derive(Debug)]
enum Known {
    /// A request of this process is being carried out.
    Here { fingerprint: Fingerprint, recipe: u16 },
    /// Somebody elsewhere is at work on it.
    Elsewhere { running: RunningResponse, since: Instant },
    /// It has its answer.
    Finished { answer: Arc<FinishedResponse>, since: Instant },
    /// Another transaction has it.
    Held { since: Instant },
    /// The store could not be asked: whoever waited for that would wait as long, one after the other.
    Failed { error: Error, since: Instant },
}

/// What this process knows of a key without asking the store.
#[derive(Debug)]
pub(super) enum Glance {
    Here { fingerprint: Fingerprint, recipe: u16 },
    Elsewhere(RunningResponse),
    Finished(Arc<FinishedResponse>),
    Held,
    Failed(Error),
    Nothing,
}

impl Flights {
    /// Joins the requests about a key.
    pub(super) fn join(&self, key: &ScopedKey) -> Arc<Flight> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key).and_then(Weak::upgrade) {
            return flight;
        }
        // Each new one sees to a few that have ended, so that the map is never much larger than what is under way.
        if flights.len() >= 64 && flights.len().is_multiple_of(64) {
            flights.retain(|_, flight| flight.strong_count() > 0);
        }
        let flight = Arc::new(Flight { turn: tokio::sync::Mutex::default(), changes: watch::Sender::new(0) });
        flights.insert(key.clone(), Arc::downgrade(&flight));
        flight
    }

    /// Leaves the requests about a key; the last one takes it out.
    pub(super) fn leave(&self, key: &ScopedKey, flight: Arc<Flight>) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(flight);
        if flights.get(key).is_some_and(|flight| flight.strong_count() == 0) {
            flights.remove(key);
        }
    }

    /// How many keys are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Flight {
    /// Waits for one's turn to ask the store.
    pub(super) async fn turn(&self) -> MutexGuard<'_, Found> {
        self.turn.lock().await
    }

    /// Notes what was found, and tells those who wait.
    pub(super) async fn settle(&self, answer: Option<Arc<FinishedResponse>>) {
        let mut found = self.turn.lock().await;
        match answer {
            Some(answer) => found.finished(answer),
            None => found.known = None,
        }
        drop(found);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Tells of every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl Found {
    /// What is known without asking the store.
    pub(super) fn glance(&self) -> Glance {
        match &self.known {
            Some(Known::Here { fingerprint, recipe }) => Glance::Here { fingerprint: *fingerprint, recipe: *recipe },
            Some(Known::Finished { answer, since }) if since.elapsed() < SHARED_FOR.min(answer.left) => {
                Glance::Finished(Arc::clone(answer))
            }
            Some(Known::Elsewhere { running, since }) if since.elapsed() < BUSY_SHARED_FOR.min(running.lease_left) => {
                Glance::Elsewhere(running.clone())
            }
            Some(Known::Failed { error, since }) if since.elapsed() < SHARED_FOR => Glance::Failed(error.clone()),
            Some(Known::Held { since }) if since.elapsed() < SHARED_FOR => Glance::Held,
            Some(Known::Elsewhere { .. } | Known::Finished { .. } | Known::Held { .. } | Known::Failed { .. })
            | None => Glance::Nothing,
        }
    }

    /// The request is carried out here.
    pub(super) fn here(&mut self, fingerprint: Fingerprint, recipe: u16) {
        self.known = Some(Known::Here { fingerprint, recipe });
    }

    /// Somebody elsewhere is at work on it.
    pub(super) fn elsewhere(&mut self, running: RunningResponse) {
        self.known = Some(Known::Elsewhere { running, since: Instant::now() });
    }

    /// Another transaction has it.
    pub(super) fn held(&mut self) {
        self.known = Some(Known::Held { since: Instant::now() });
    }

    /// The store could not be asked.
    pub(super) fn failed(&mut self, error: Error) {
        self.known = Some(Known::Failed { error, since: Instant::now() });
    }

    /// It has its answer.
    pub(super) fn finished(&mut self, answer: Arc<FinishedResponse>) {
        self.known = Some(Known::Finished { answer, since: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Flights;
    use crate::store::{IdempotencyKey, Scope, ScopedKey};

    fn key(number: usize) -> ScopedKey {
        ScopedKey::new(Scope::new("tenant").unwrap(), IdempotencyKey::new(format!("key-{number}")).unwrap())
    }

    #[test]
    fn a_key_is_known_for_as_long_as_a_request_is_about_it() {
        let flights = Flights::default();
        let (one, other) = (flights.join(&key(1)), flights.join(&key(1)));
        assert!(Arc::ptr_eq(&one, &other));
        flights.leave(&key(1), one);
        assert_eq!(flights.len(), 1);
        flights.leave(&key(1), other);
        assert_eq!(flights.len(), 0);
    }

    #[test]
    fn requests_that_are_dropped_leave_no_heap_of_keys() {
        let flights = Flights::default();
        for number in 0..10_000 {
            drop(flights.join(&key(number)));
        }
        assert!(flights.len() <= 64, "{} keys", flights.len());
    }
}
