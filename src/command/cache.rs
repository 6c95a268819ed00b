//! The aggregate cache: states kept between commands, and commands on one aggregate decided in turn.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use lru::LruCache;
use uuid::Uuid;

use super::Loaded;
use crate::domain::Aggregate;

/// Keeps the states of the aggregates that were used last.
pub(super) struct Cache<A: Aggregate> {
    lanes: Mutex<LruCache<Uuid, Arc<Lane<A>>>>,
}

/// Where the commands on one aggregate in this process pass one after another.
///
/// The lock is held for a decision, never while the database is waited for.
pub(super) struct Lane<A: Aggregate> {
    entry: Mutex<Option<Entry<A>>>,
    generations: AtomicU64,
}

/// A state, and what was decided on top of it and is on its way to the database.
pub(super) struct Entry<A: Aggregate> {
    loaded: Loaded<A>,
    /// The events decided last, not folded yet: if they alone fail, `loaded` is still what the database has.
    ahead: Vec<A::Event>,
    /// Who decided the last event; unknown after loading.
    last_command: Option<Uuid>,
    /// How many commands are on their way to the database.
    in_flight: usize,
    /// Another writer was met: there is more in the database.
    is_stale: bool,
    /// Tells this entry from those before it in the lane.
    generation: u64,
}

/// Accounts for one command on its way to the database. Dropped without an answer it forgets the state.
pub(super) struct Ticket<A: Aggregate> {
    lane: Arc<Lane<A>>,
    generation: u64,
    has_events: bool,
    is_settled: bool,
}

impl<A: Aggregate> Cache<A> {
    pub(super) fn new(aggregates: NonZeroUsize) -> Self {
        // Not `new`, which makes room for all of them at once, however many that is.
        let mut lanes = LruCache::unbounded();
        lanes.resize(aggregates);
        Self { lanes: Mutex::new(lanes) }
    }

    /// The lane of an aggregate. Commands in a lane that was evicted meanwhile meet conflicts, not wrong answers.
    pub(super) fn lane(&self, aggregate_id: Uuid) -> Arc<Lane<A>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            lanes.get_or_insert(aggregate_id, || {
                Arc::new(Lane { entry: Mutex::new(None), generations: AtomicU64::new(0) })
            }),
        )
    }
}

impl<A: Aggregate> Lane<A> {
    /// Where somebody panicked while they had it, in `evolve` it may be, the state is not to be relied on.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Entry<A>>> {
        self.entry.lock().unwrap_or_else(|poisoned| {
            self.entry.clear_poison();
            let mut entry = poisoned.into_inner();
            *entry = None;
            entry
        })
    }

    /// Takes the state out where nothing is on its way: what it holds is in the database.
    pub(super) fn take_settled(&self) -> Option<Loaded<A>> {
        let mut entry = self.lock().take_if(|entry| entry.in_flight == 0)?;
        entry.fold_ahead();
        Some(entry.loaded)
    }

    /// Keeps a state that was read from the database, unless there is one.
    pub(super) fn keep(&self, loaded: Loaded<A>, is_stale: bool) {
        let mut entry = self.lock();
        if entry.is_none() {
            *entry = Some(Entry { is_stale, ..self.entry_of(loaded) });
        }
    }

    /// Makes an entry of a state that was read from the database.
    pub(super) fn entry_of(&self, loaded: Loaded<A>) -> Entry<A> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        Entry { loaded, ahead: Vec::new(), last_command: None, in_flight: 0, is_stale: false, generation }
    }
}

impl<A: Aggregate> Entry<A> {
    /// The state to decide on, with all that is on its way; nothing where it is known to be old.
    pub(super) fn current(&mut self) -> Option<&Loaded<A>> {
        self.fold_ahead();
        (!self.is_stale).then_some(&self.loaded)
    }

    /// Whose event the next one follows, where that one may not be committed yet.
    pub(super) fn follows(&self) -> Option<Uuid> {
        self.last_command.filter(|_| self.in_flight > 0)
    }

    /// Notes what was decided on the current state and goes to the database now.
    pub(super) fn depart(&mut self, lane: &Arc<Lane<A>>, command_id: Uuid, events: Vec<A::Event>) -> Ticket<A> {
        self.in_flight += 1;
        let has_events = !events.is_empty();
        if has_events {
            self.last_command = Some(command_id);
            self.ahead = events;
        }
        Ticket { lane: Arc::clone(lane), generation: self.generation, has_events, is_settled: false }
    }

    fn fold_ahead(&mut self) {
        for event in self.ahead.drain(..) {
            self.loaded.state.evolve(&event);
            self.loaded.version += 1;
        }
    }
}

impl<A: Aggregate> Ticket<A> {
    /// The command is in the database.
    pub(super) fn committed(mut self) {
        self.is_settled = true;
        if let Some(entry) = self.lane.lock().as_mut().filter(|entry| entry.generation == self.generation) {
            entry.in_flight -= 1;
        }
    }

    /// The command is not in the database, or nobody knows: no entry is left. Gives the state before it, where that
    /// is still there: nobody has decided on top of it.
    pub(super) fn failed(mut self) -> Option<Loaded<A>> {
        self.is_settled = true;
        self.forget()
    }

    fn forget(&self) -> Option<Loaded<A>> {
        let mut entry = self.lane.lock().take_if(|entry| entry.generation == self.generation)?;
        match (self.has_events, entry.ahead.is_empty()) {
            _ if entry.in_flight > 1 => None,
            // Its events were folded by somebody who decided after it.
            (true, true) => None,
            (true, false) => Some(entry.loaded),
            (false, _) => {
                entry.fold_ahead();
                Some(entry.loaded)
            }
        }
    }
}

impl<A: Aggregate> Drop for Ticket<A> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.forget();
        }
    }
}

impl<A: Aggregate> fmt::Debug for Cache<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Cache").field("aggregates", &lanes.len()).field("capacity", &lanes.cap()).finish()
    }
}
