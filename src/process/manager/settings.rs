//! What can be set about a runner of processes, and the defaults.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use crate::{process::patience::Pauses, read::process_owner, store::Error};

/// What a runner is told.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) owner: Arc<str>,
    pub(super) lease: Duration,
    pub(super) concurrency: usize,
    pub(super) attempts: u32,
    pub(super) pauses: Pauses,
    pub(super) call_timeout: Duration,
    pub(super) poll: Duration,
    pub(super) drain: Duration,
    pub(super) keep_steps_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            owner: process_owner(),
            lease: Duration::from_secs(30),
            concurrency: 16,
            attempts: 20,
            pauses: Pauses::new(Duration::from_millis(500), Duration::from_secs(300)),
            call_timeout: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            drain: Duration::from_secs(30),
            keep_steps_for: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

impl Settings {
    /// Refuses what cannot be meant, before any I/O.
    pub(super) fn check(&self) -> Result<(), Error> {
        const MILLISECOND: Duration = Duration::from_millis(1);
        const HOUR: Duration = Duration::from_secs(60 * 60);
        const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);
        within("a lease", self.lease, Duration::from_millis(100)..=24 * HOUR)?;
        within("a call", self.call_timeout, MILLISECOND..=24 * HOUR)?;
        within("the time between two looks", self.poll, MILLISECOND..=HOUR)?;
        within("coming to an end", self.drain, Duration::ZERO..=HOUR)?;
        within("keeping steps", self.keep_steps_for, MILLISECOND..=10 * YEAR)?;
        if !(1..=1_000).contains(&self.concurrency) {
            return Err(Error::invalid("1 to 1,000 processes are worked on at once"));
        }
        if self.attempts == 0 {
            return Err(Error::invalid("a process has to be tried at least once"));
        }
        if self.owner.is_empty() || self.owner.len() > 200 {
            return Err(Error::invalid("an owner is named by 1 to 200 bytes"));
        }
        Ok(())
    }
}

fn within(what: &str, time: Duration, range: RangeInclusive<Duration>) -> Result<(), Error> {
    if range.contains(&time) {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} takes from {:?} to {:?}, not {time:?}", range.start(), range.end())))
}
