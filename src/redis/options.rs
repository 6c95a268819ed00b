//! What can be set about Redis in front of a database, and the defaults.

use std::time::Duration;

use super::RedisResponses;
use crate::store::{Error, ResponseStore};

/// Settings of [`RedisResponses`], with defaults for each.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    pub(super) prefix: String,
    pub(super) budget: Duration,
    pub(super) failures: u32,
    pub(super) pause: Duration,
    pub(super) largest_body_bytes: usize,
    pub(super) longest_kept: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "annals".into(),
            budget: Duration::from_millis(50),
            failures: 5,
            pause: Duration::from_secs(1),
            largest_body_bytes: 256 << 10,
            longest_kept: Duration::from_secs(60 * 60),
        }
    }
}

impl RedisOptions {
    /// Starts from the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins all keys with this: 1 to 100 visible ASCII characters. Default: `annals`.
    ///
    /// One for each database. Two databases behind one prefix would answer for one another.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long Redis may take to answer. Default: 50 milliseconds.
    ///
    /// 1 millisecond to 10 seconds. Then the database is asked.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Leaves Redis alone after so many failures in a row, for so long.
    ///
    /// Default: 5, and a second. 1 or more failures; 1 millisecond to an hour. Then one request tries whether it is back.
    #[must_use]
    pub const fn breaker(mut self, failures: u32, pause: Duration) -> Self {
        self.failures = failures;
        self.pause = pause;
        self
    }

    /// Leaves answers that are larger in the database. Default: 256 KiB.
    ///
    /// Headers and body, up to 16 MiB.
    #[must_use]
    pub const fn largest_body_bytes(mut self, bytes: usize) -> Self {
        self.largest_body_bytes = bytes;
        self
    }

    /// Keeps answers in Redis for so long at the most. Default: an hour.
    ///
    /// 1 second to 10 years. Never longer than the database does. Where an answer is expired in the database by other means than through
    /// [`RedisResponses`], or the database is set back to an earlier state, Redis answers for so long still.
    #[must_use]
    pub const fn longest_kept(mut self, time: Duration) -> Self {
        self.longest_kept = time;
        self
    }

    /// Puts Redis in front of a store.
    ///
    /// Succeeds where Redis is away: the store answers until it is back. Waits for it a second at the most.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the URL or the settings; mend them.
    pub async fn connect(self, url: &str, inner: impl ResponseStore + 'static) -> Result<RedisResponses, Error> {
        self.check()?;
        RedisResponses::start(url, inner, self).await
    }

    fn check(&self) -> Result<(), Error> {
        let is_visible = |byte: u8| byte.is_ascii_graphic();
        if !(1..=100).contains(&self.prefix.len()) || !self.prefix.bytes().all(is_visible) {
            return Err(Error::invalid("a prefix has 1 to 100 visible ASCII characters"));
        }
        within("a budget", self.budget, Duration::from_millis(1), Duration::from_secs(10))?;
        within("a pause", self.pause, Duration::from_millis(1), Duration::from_secs(60 * 60))?;
        within("what is kept", self.longest_kept, Duration::from_secs(1), Duration::from_secs(3650 * 24 * 60 * 60))?;
        if self.failures == 0 {
            return Err(Error::invalid("Redis is left alone after 1 failure or more"));
        }
        if self.largest_body_bytes > 16 << 20 {
            return Err(Error::invalid("answers of up to 16 MiB are kept in Redis"));
        }
        Ok(())
    }
}

fn within(what: &str, time: Duration, least: Duration, most: Duration) -> Result<(), Error> {
    if time < least || time > most {
        return Err(Error::invalid(format!("{what} lasts from {least:?} to {most:?}, not {time:?}")));
    }
    Ok(())
}
