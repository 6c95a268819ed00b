//! Loads under way, of which an append is expected.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use futures_util::future::select;
use tokio::{sync::Notify, task::spawn_blocking, time::timeout};
use uuid::Uuid;

use super::tuning::{EXPECTED_APPENDS, FINE_WAIT, FOLLOWED_AT_LEAST, FOLLOWED_WEIGHT};

/// Counts the appends that are expected: a load is often the first half of a command.
///
/// Which load is, nobody says. So it is learned: of every load it is seen whether an append to its aggregate was queued
/// within the time of a batch, and as long as that holds for less than half of them nothing is expected at all. A guess
/// that was wrong delays a batch by half its time at the most, and many that were wrong end the guessing.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    state: Mutex<State>,
    /// Told when nothing is expected any more.
    none: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Loads that were begun and are not answered yet.
    loading: usize,
    /// Loads that were answered, and when: the append is now its caller's to make.
    answered: VecDeque<(Instant, Uuid)>,
    /// How long an append is expected after its load: the time of a batch.
    patience: Duration,
    /// The share of loads that were followed by an append.
    followed: f64,
}

impl UnderWay {
    /// A load begins.
    pub(super) fn begin(self: &Arc<Self>, aggregate_id: Uuid) -> LoadUnderWay {
        self.state().loading += 1;
        LoadUnderWay { under_way: Arc::clone(self), aggregate_id, was_answered: false }
    }

    /// An append is queued: if it was expected, it no longer is.
    pub(super) fn queued(&self, aggregate_id: Uuid) {
        self.change(|state| {
            if let Some(at) = state.answered.iter().position(|(_, expected)| *expected == aggregate_id) {
                state.answered.remove(at);
                state.learn(1.0);
            }
        });
    }

    /// How many appends are expected.
    pub(super) fn count(&self) -> usize {
        let mut state = self.state();
        state.expire(Instant::now());
        state.expected()
    }

    /// Sets how long an append is expected after its load.
    pub(super) fn set_patience(&self, time_of_a_batch: Duration) {
        self.state().patience = time_of_a_batch;
    }

    /// Waits until nothing is expected, for so long at the most.
    pub(super) async fn none_for(&self, patience: Duration) {
        let mut none = pin!(self.none.notified());
        // From here on no word is missed.
        none.as_mut().enable();
        if self.count() == 0 {
            return;
        }
        let none_or_fine = async {
            if patience < FINE_WAIT {
                // The runtime's timer would round up to the next millisecond, which may be many times as long.
                select(none, spawn_blocking(move || thread::sleep(patience))).await;
            } else {
                none.await;
            }
        };
        // Also where all threads for what blocks are taken.
        let _ = timeout(patience, none_or_fine).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let is_none = {
            let mut state = self.state();
            change(&mut state);
            state.expire(Instant::now());
            state.expected() == 0
        };
        if is_none {
            self.none.notify_waiters();
        }
    }
}

impl State {
    fn expected(&self) -> usize {
        if self.followed < FOLLOWED_AT_LEAST { 0 } else { self.loading + self.answered.len() }
    }

    /// Expects no more of loads that were answered a batch's time ago.
    fn expire(&mut self, now: Instant) {
        while let Some((answered, _)) = self.answered.front()
            && (self.answered.len() > EXPECTED_APPENDS || now.saturating_duration_since(*answered) > self.patience)
        {
            self.answered.pop_front();
            self.learn(0.0);
        }
    }

    fn learn(&mut self, was_followed: f64) {
        self.followed += (was_followed - self.followed) * FOLLOWED_WEIGHT;
    }
}

/// A load that was begun. Dropped before it is answered, nothing is expected of it.
#[derive(Debug)]
pub(in super::super) struct LoadUnderWay {
    under_way: Arc<UnderWay>,
    aggregate_id: Uuid,
    was_answered: bool,
}

impl LoadUnderWay {
    /// The load was answered: now the append is expected.
    pub(in super::super) fn answered(mut self) {
        self.was_answered = true;
    }
}

impl Drop for LoadUnderWay {
    fn drop(&mut self) {
        let (aggregate_id, was_answered) = (self.aggregate_id, self.was_answered);
        self.under_way.change(|state| {
            state.loading -= 1;
            if was_answered {
                state.answered.push_back((Instant::now(), aggregate_id));
            }
        });
    }
}
