//! The clock of the story: it goes on as all clocks do, and can be set forward.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use annals::Clock;
use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time since the story began, and what was skipped. So what happens at two services is in order, and a day takes
/// no time.
#[derive(Debug)]
pub struct ShopClock {
    began: Instant,
    base: Mutex<DateTime<Utc>>,
}

impl ShopClock {
    pub fn starting_at(time: DateTime<Utc>) -> Self {
        Self { began: Instant::now(), base: Mutex::new(time) }
    }

    /// Skips some time.
    pub fn skip(&self, by: Duration) {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ShopClock {
    fn now(&self) -> DateTime<Utc> {
        let base = *self.base.lock().unwrap_or_else(PoisonError::into_inner);
        TimeDelta::from_std(self.began.elapsed()).map_or(base, |elapsed| base + elapsed)
    }
}
