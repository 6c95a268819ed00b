//! What is kept for a time only.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::Error;

/// Names rows that were given a time after which they may be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expiring {
    /// Stored answers to requests.
    Responses,
    /// Receipts of commands that were not to be kept for ever.
    Receipts,
    /// Steps of requests and processes.
    Steps,
    /// Timers that have fired or were cancelled.
    Timers,
    /// Messages that were handled.
    Inbox,
}

impl Expiring {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Responses, Self::Receipts, Self::Steps, Self::Timers, Self::Inbox];

    /// The word for it, in metrics and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Receipts => "receipts",
            Self::Steps => "steps",
            Self::Timers => "timers",
            Self::Inbox => "inbox",
        }
    }
}

/// Forgets what has expired, a batch at a time. Object-safe.
#[async_trait]
pub trait Retention: fmt::Debug + Send + Sync {
    /// Deletes expired rows, the ones that expired first before others: so many at the most, 1 to 10,000.
    ///
    /// Says how many. Never one whose lease is alive, or that was used anew in the same instant. On PostgreSQL rows that
    /// others hold are passed over.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn sweep(&self, what: Expiring, limit: u32) -> Result<u64, Error>;
}

#[async_trait]
impl<S: Retention + ?Sized> Retention for Arc<S> {
    async fn sweep(&self, what: Expiring, limit: u32) -> Result<u64, Error> {
        (**self).sweep(what, limit).await
    }
}
