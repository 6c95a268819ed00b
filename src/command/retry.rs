//! How often, and how patiently, a step is taken again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::store::{Error, telemetry};

/// Bounds how a command is retried.
///
/// It is, after conflicts, lost replies and a database that was busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The most attempts of a command, the first included. Default: 100.
    pub max_attempts: u32,
    /// How long to go on, counted from the first attempt. Default: 15 seconds.
    pub max_time: Duration,
    /// The pause after the first attempt; each later one is twice as long.
    ///
    /// Default: 1 ms.
    ///
    /// Each pause is lengthened by a random part of itself, so that those who met once do not meet again.
    pub min_delay: Duration,
    /// The longest pause, without its jitter. Default: 100 ms.
    pub max_delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 100,
            max_time: Duration::from_secs(15),
            min_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(100),
        }
    }
}

impl Retry {
    /// Takes every step once.
    #[must_use]
    pub fn never() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    pub(super) fn begin(self, what: &'static str) -> Attempts {
        let delays = ExponentialBuilder::new()
            .with_min_delay(self.min_delay.min(LONGEST))
            .with_max_delay(self.max_delay.min(LONGEST))
            .without_max_times()
            .with_jitter()
            .build();
        let ends = Instant::now() + self.max_time.min(LONGEST);
        Attempts { what, made: 1, left: self.max_attempts.saturating_sub(1), ends, is_over: false, delays }
    }
}

/// What "without end" comes to, a year: no clock overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Counts the attempts of one command.
#[derive(Debug)]
pub(super) struct Attempts {
    what: &'static str,
    made: u32,
    left: u32,
    ends: Instant,
    is_over: bool,
    delays: ExponentialBackoff,
}

impl Attempts {
    /// Pauses before the next attempt; gives up where there is none left, and says so.
    ///
    /// # Errors
    ///
    /// What was given up on: a conflict has by then become [`Error::Contention`], since nothing was written.
    pub(super) async fn pause_after(&mut self, error: Error) -> Result<(), Error> {
        let delay = self.delays.next().unwrap_or_default();
        if self.left == 0 || Instant::now() + delay > self.ends {
            return Err(self.give_up(error));
        }
        telemetry::retry(self.what, self.made, delay, &error);
        self.left -= 1;
        self.made += 1;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// Gives up, once, and says so. A conflict becomes [`Error::Contention`].
    pub(super) fn give_up(&mut self, error: Error) -> Error {
        self.is_over = true;
        telemetry::gave_up(self.what, self.made, &error);
        if error.is_conflict() { Error::contention(error) } else { error }
    }

    /// Whether it has been given up: there is no further attempt.
    pub(super) const fn are_over(&self) -> bool {
        self.is_over
    }
}
