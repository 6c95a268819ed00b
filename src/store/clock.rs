//! The time, as a value that tests can set.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time a store records.
///
/// `recorded_at` is cut to whole microseconds, the finest that both databases keep.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;

    /// The time now, cut to whole microseconds.
    fn now_in_micros(&self) -> DateTime<Utc> {
        let now = self.now();
        // Through what is stored, so that both are the same in every year.
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// Tells whether this is just the machine's time.
    ///
    /// Leases on requests are then timed by the database's server, where there is one: all who ask it share its clock.
    fn is_machine_time(&self) -> bool {
        false
    }
}

/// Tells the time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn is_machine_time(&self) -> bool {
        true
    }
}

/// Stands still until it is set or moved on. For tests and stories.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// Starts at a time.
    #[must_use]
    pub const fn new(start: DateTime<Utc>) -> Self {
        Self(Mutex::new(start))
    }

    /// Sets the time, forwards or back.
    pub fn set(&self, time: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Moves the time on, to the end of the calendar at the most.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by));
        *time = moved.unwrap_or(DateTime::<Utc>::MAX_UTC);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::{Clock as _, ManualClock};

    #[test]
    fn time_ends_with_the_calendar() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        clock.advance(std::time::Duration::MAX);
        assert_eq!(clock.now(), DateTime::<chrono::Utc>::MAX_UTC);
    }

    #[test]
    fn times_of_every_century_are_cut_to_microseconds() {
        for seconds in [-20_000_000_000, -1, 0, 1_700_000_000, 10_413_792_000, 200_000_000_000] {
            let whole = DateTime::from_timestamp(seconds, 123_456_000).unwrap();
            let clock = ManualClock::new(whole + TimeDelta::nanoseconds(789));
            assert_eq!(clock.now_in_micros(), whole);
        }
    }
}
