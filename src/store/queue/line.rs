//! What waits and what is in flight, and the rule for what goes next.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    pace::Pace,
    tuning::{APPEND_KIB, FEW_APPENDS, LARGE_BATCH_EVENTS, LOOK_THROUGH_APPENDS, QUEUE_KIB, USUAL_BATCHES},
};
use crate::store::{Append, Appended, Error};

/// An append whose caller waits for the answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) append: Append,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Result<Appended, Error>>,
}

impl Waiting {
    /// The room it takes while it waits and is being written, in KiB.
    pub(super) fn room(&self) -> u32 {
        u32::try_from(self.bytes / 1024).unwrap_or(QUEUE_KIB).clamp(APPEND_KIB, QUEUE_KIB)
    }

    /// Answers that it was not sent; nobody listens where the caller went away.
    pub(super) fn refuse(self, error: Error) {
        drop(self.answer.send(Err(error)));
    }
}

/// How much work an append is: that of so many appends of one event.
pub(super) fn work(append: &Append) -> usize {
    append.events.len().max(1)
}

/// What bounds batches, in flight and in themselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The most batches that the database writes at once.
    pub(super) writes: usize,
    /// The most appends of one batch.
    pub(super) appends: usize,
    /// The most payload bytes of one batch, unless a single append has more.
    pub(super) bytes: usize,
}

/// A batch, and whether its bounds left something behind.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) batch: Vec<Waiting>,
    pub(super) is_full: bool,
}

/// Appends in the order in which they came, and the state of those that write them.
#[derive(Debug)]
pub(super) struct Line {
    bounds: Bounds,
    pub(super) waiting: VecDeque<Waiting>,
    /// How many appends of each aggregate are in flight. An append waits while there are some of its aggregate in
    /// *another* batch: two statements on one aggregate at once would meet in the database, and its order is the
    /// queue's to keep. It holds for command ids as well, since they are scoped by aggregate.
    aggregates: HashMap<Uuid, usize>,
    /// How many appends are in flight.
    in_flight: usize,
    /// Tasks that write, or are about to: each has a connection's worth of the database.
    runners: usize,
    /// Of these, the ones that write a failed batch append by append: they hold up nobody else.
    aside: usize,
    /// One task was woken and lets others come before it takes what waits.
    is_gathering: bool,
    /// The last batch was one append, and nobody came while it was written: there is one caller, as it seems.
    is_lone: bool,
    pub(super) pace: Pace,
}

impl Line {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: VecDeque::new(),
            aggregates: HashMap::new(),
            in_flight: 0,
            runners: 0,
            aside: 0,
            is_gathering: false,
            is_lone: false,
            pace: Pace::default(),
        }
    }

    /// One batch at a time: there is nothing to choose, and no aggregate is ever in flight elsewhere.
    const fn is_single(&self) -> bool {
        self.bounds.writes == 1
    }

    /// So little to do that gathering would only cost time. `more` is what is not in the line: expected, or at its door.
    ///
    /// Where one batch is written at a time, two callers gain from sharing it: few is one.
    pub(super) fn is_few(&self, more: usize) -> bool {
        let appends = self.waiting.len() + self.in_flight + more;
        if self.is_single() { self.is_lone && appends <= 1 } else { appends <= FEW_APPENDS && !self.pace.is_slow() }
    }

    /// A batch of so many appends was written.
    pub(super) fn written(&mut self, appends: usize) {
        self.is_lone = appends == 1 && self.waiting.is_empty();
    }

    /// How many batches may be in flight.
    fn cap(&self, expected: usize) -> usize {
        let rule = if self.is_few(expected) {
            self.bounds.writes
        } else if self.pace.is_mostly_waiting() {
            1
        } else {
            USUAL_BATCHES
        };
        rule.min(self.bounds.writes)
    }

    /// Whether an append goes at once, as a batch of its own, past those that gather.
    pub(super) fn goes_at_once(&self, append: &Append, expected: usize) -> bool {
        let is_behind = |waiting: &Waiting| waiting.append.aggregate_id == append.aggregate_id;
        self.is_few(expected + 1)
            && self.runners < self.bounds.writes
            && !self.aggregates.contains_key(&append.aggregate_id)
            // Few wait. One of the same aggregate is not overtaken.
            && !self.waiting.iter().any(is_behind)
    }

    /// Whether somebody is to be woken for what waits. If so, the caller wakes them.
    pub(super) fn wakes(&mut self, expected: usize) -> bool {
        let wakes = !self.waiting.is_empty()
            && !self.is_gathering
            && self.runners < self.bounds.writes
            && self.runners - self.aside < self.cap(expected);
        if wakes {
            self.is_gathering = true;
            self.runners += 1;
        }
        wakes
    }

    /// A runner begins with a batch in its hands.
    pub(super) fn begins(&mut self) {
        self.runners += 1;
    }

    /// A runner has gathered long enough.
    pub(super) fn gathered(&mut self) {
        self.is_gathering = false;
    }

    /// A runner ends.
    ///
    /// As long as somebody waits there is another: one that finds too many others leaves it to them, and one that finds
    /// nothing but appends of aggregates in flight leaves it to whoever has those.
    pub(super) fn ends(&mut self) {
        self.runners -= 1;
    }

    pub(super) const fn has_runners(&self) -> bool {
        self.runners > 0
    }

    /// A runner goes aside, or comes back.
    pub(super) fn set_aside(&mut self, is_aside: bool) {
        if is_aside { self.aside += 1 } else { self.aside -= 1 }
    }

    /// Takes a runner's next batch; an empty one where enough others are at it, or nothing can go.
    pub(super) fn take(&mut self, expected: usize) -> Taken {
        let cap = self.cap(expected);
        if self.runners - self.aside > cap {
            return Taken::default();
        }
        // One at a time, as the database writes no more or mostly waits for the disk: then as many as can share the commit.
        let most_events = if cap > 1 { LARGE_BATCH_EVENTS } else { usize::MAX };
        let mut passed = VecDeque::new();
        let mut taken = Taken::default();
        let (mut bytes, mut events) = (0_usize, 0_usize);
        while let Some(next) = self.waiting.front() {
            if passed.len() == LOOK_THROUGH_APPENDS {
                break;
            }
            // In flight before this batch: so all of an aggregate's go, or none, and their order is kept.
            let is_held = self.aggregates.contains_key(&next.append.aggregate_id);
            if !is_held {
                bytes = bytes.saturating_add(next.bytes);
                events = events.saturating_add(work(&next.append));
                let is_too_large = !taken.batch.is_empty() && (bytes > self.bounds.bytes || events > most_events);
                if taken.batch.len() == self.bounds.appends || is_too_large {
                    taken.is_full = true;
                    break;
                }
            }
            let Some(next) = self.waiting.pop_front() else { break };
            if is_held {
                passed.push_back(next);
            } else {
                taken.batch.push(next);
            }
        }
        // Those that were passed over are as far in front as before.
        while let Some(passed) = passed.pop_back() {
            self.waiting.push_front(passed);
        }
        for waiting in &taken.batch {
            self.departs(waiting.append.aggregate_id);
        }
        taken
    }

    /// An append is in flight.
    pub(super) fn departs(&mut self, aggregate_id: Uuid) {
        self.in_flight += 1;
        if !self.is_single() {
            *self.aggregates.entry(aggregate_id).or_default() += 1;
        }
    }

    /// An append has its answer.
    pub(super) fn lands(&mut self, aggregate_id: Uuid) {
        self.in_flight -= 1;
        if let Some(appends) = self.aggregates.get_mut(&aggregate_id) {
            *appends -= 1;
            if *appends == 0 {
                self.aggregates.remove(&aggregate_id);
            }
        }
    }
}
