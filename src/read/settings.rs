//! What can be set about a runner, and the defaults.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use uuid::Uuid;

use super::{Start, runner::PAGE_EVENTS};
use crate::store::{Consumer, ConsumerKind, Error, Selection};

/// Whatever a handler or a projection fails with.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Says how often a failing event is tried, and how long the pauses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// How often in all, at least 1. Default: 5.
    pub most: u32,
    /// The pause before the second try. Default: 100 milliseconds.
    pub first_pause: Duration,
    /// What pauses grow to, by doubling. Default: 10 seconds.
    pub longest_pause: Duration,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { most: 5, first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(10) }
    }
}

impl Attempts {
    /// Tries each event once.
    #[must_use]
    pub const fn once() -> Self {
        Self { most: 1, first_pause: Duration::ZERO, longest_pause: Duration::ZERO }
    }

    pub(super) fn pauses(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause.max(self.first_pause))
            .without_max_times()
            .build()
    }
}

/// Says what becomes of an event on which all attempts have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// The runner ends with [`Error::Handler`].
    ///
    /// The event is told again when it next runs.
    #[default]
    Stop,
    /// The event is parked with its error, and the rest goes on.
    ///
    /// Later events of its aggregate are parked behind it.
    Park {
        /// The most parked events.
        ///
        /// With so many the runner ends with [`Error::Handler`] as well.
        most: u32,
    },
}

impl OnFailure {
    /// The most parked events, by default.
    pub(super) const PARKED_EVENTS: u32 = 1_000;

    /// Parks up to 1,000 events.
    #[must_use]
    pub const fn park() -> Self {
        Self::Park { most: Self::PARKED_EVENTS }
    }
}

/// What a runner is told.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) consumer: Consumer,
    pub(super) kind: ConsumerKind,
    pub(super) version: u32,
    pub(super) selection: Selection,
    pub(super) start: Start,
    pub(super) owner: Arc<str>,
    pub(super) lease: Duration,
    /// Handled between two moves of the checkpoint.
    pub(super) batch_events: usize,
    pub(super) attempts: Attempts,
    pub(super) on_failure: OnFailure,
    /// A partition is told of all aggregates, and chooses for itself.
    pub(super) is_whole_log: bool,
}

impl Settings {
    pub(super) fn new(consumer: Consumer, kind: ConsumerKind, version: u32, selection: Selection) -> Self {
        Self {
            consumer,
            kind,
            version,
            selection,
            start: Start::default(),
            owner: process_owner(),
            lease: Duration::from_secs(30),
            batch_events: 100,
            attempts: Attempts::default(),
            on_failure: OnFailure::default(),
            is_whole_log: false,
        }
    }

    /// Tells whether events of an aggregate are told.
    pub(super) fn has(&self, aggregate_id: Uuid) -> bool {
        self.is_whole_log || self.consumer.has(aggregate_id)
    }

    /// Refuses what cannot be meant, before any I/O.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.lease < Self::SHORTEST_LEASE || self.lease > Self::LONGEST_LEASE {
            return Err(Error::invalid(format!(
                "a lease lasts from {:?} to {:?}, not {:?}",
                Self::SHORTEST_LEASE,
                Self::LONGEST_LEASE,
                self.lease
            )));
        }
        if self.batch_events == 0 || self.batch_events > Self::MOST_BATCH_EVENTS {
            return Err(Error::invalid(format!("a batch has 1 to {} events", Self::MOST_BATCH_EVENTS)));
        }
        if self.attempts.most == 0 {
            return Err(Error::invalid("an event has to be tried at least once"));
        }
        if self.owner.is_empty() || self.owner.len() > Self::LONGEST_OWNER {
            return Err(Error::invalid(format!("an owner is named by 1 to {} bytes", Self::LONGEST_OWNER)));
        }
        if self.is_whole_log && self.on_failure != OnFailure::Stop {
            // They are parked by the aggregate, and one aggregate's events may be several partitions' business.
            return Err(Error::invalid("who is told the whole log parks nothing"));
        }
        let Selection { aggregate_types, event_types } = &self.selection;
        if [aggregate_types, event_types].into_iter().flatten().any(Vec::is_empty) {
            return Err(Error::invalid("the selection leaves out every event"));
        }
        Ok(())
    }

    const SHORTEST_LEASE: Duration = Duration::from_millis(100);
    const LONGEST_LEASE: Duration = Duration::from_hours(24);
    /// No more are read at once.
    const MOST_BATCH_EVENTS: usize = PAGE_EVENTS;
    const LONGEST_OWNER: usize = 200;

    /// The name of one run: two runs of one process are told apart.
    pub(super) fn run_owner(&self) -> Arc<str> {
        run_of(&self.owner)
    }
}

/// How a runner is named where nobody has named it.
pub(crate) fn process_owner() -> Arc<str> {
    format!("process {}", std::process::id()).into()
}

/// The name of one run of an owner's.
pub(crate) fn run_of(owner: &str) -> Arc<str> {
    // Of an id of version 7 the end is random.
    format!("{owner}, run {}", &Uuid::now_v7().simple().to_string()[20..]).into()
}
