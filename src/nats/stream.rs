//! What the stream that takes messages should be like.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};

use crate::store::Error;

/// Settings of a JetStream stream, with defaults for each.
#[derive(Debug, Clone)]
pub struct NatsStream {
    name: String,
    max_age: Option<Duration>,
    max_bytes: Option<i64>,
    duplicate_window: Duration,
    replicas: usize,
}

impl NatsStream {
    /// Names a stream: 1 to 200 letters, digits, `-` and `_`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: choose another name.
    pub fn new(name: &str) -> Result<Self, Error> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=200).contains(&name.len()) || !name.bytes().all(is_fit) {
            return Err(Error::invalid("a stream is named by 1 to 200 letters, digits, - and _"));
        }
        Ok(Self {
            name: name.to_owned(),
            max_age: None,
            max_bytes: None,
            duplicate_window: Duration::from_secs(120),
            replicas: 1,
        })
    }

    /// Lets the broker forget messages of this age: 1 second or more. Default: never.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Holds so many bytes at the most. Default: no bound.
    ///
    /// A full stream takes no more, and the relay waits: nothing that was not consumed is lost.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: i64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Drops a message whose id came within this time. Default: 2 minutes.
    ///
    /// 100 milliseconds to a day. Longer than outages last: what the broker has stored and not acknowledged comes again when it
    /// is back. Beyond that an inbox knows what it has.
    #[must_use]
    pub const fn duplicate_window(mut self, time: Duration) -> Self {
        self.duplicate_window = time;
        self
    }

    /// Keeps so many copies in a cluster: 1 to 5. Default: 1.
    #[must_use]
    pub const fn replicas(mut self, copies: usize) -> Self {
        self.replicas = copies;
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn config(&self, subject: String) -> Result<Config, Error> {
        if !(1..=5).contains(&self.replicas) {
            return Err(Error::invalid("a stream has 1 to 5 copies"));
        }
        if self.duplicate_window < Duration::from_millis(100) || self.duplicate_window > Duration::from_hours(24) {
            return Err(Error::invalid("ids are known for 100 ms to a day"));
        }
        if self.max_age.is_some_and(|age| age < Duration::from_secs(1) || age < self.duplicate_window) {
            return Err(Error::invalid("messages live for a second or more, and no less than their ids are known"));
        }
        if self.max_bytes.is_some_and(|bytes| bytes < 1) {
            return Err(Error::invalid("a stream holds at least one byte"));
        }
        Ok(Config {
            name: self.name.clone(),
            subjects: vec![subject],
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            max_age: self.max_age.unwrap_or_default(),
            max_bytes: self.max_bytes.unwrap_or(-1),
            duplicate_window: self.duplicate_window,
            num_replicas: self.replicas,
            ..Config::default()
        })
    }
}
