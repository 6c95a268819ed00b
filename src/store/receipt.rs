//! The stored outcome of a request.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Fingerprint, IdempotencyKey, Position};

/// Asks that an append's outcome be kept under a key.
///
/// In the transaction of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReceipt {
    /// The client's key.
    pub key: IdempotencyKey,
    /// What the client asked for.
    pub fingerprint: Fingerprint,
    /// The outcome to be kept.
    pub outcome: ReceiptOutcome,
    /// How long the receipt is kept; `None`: for ever.
    ///
    /// Once it has expired, the same key is a new request.
    pub keep_for: Option<Duration>,
}

/// Says how a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiptOutcome {
    /// Its events, if any, were recorded.
    Accepted,
    /// The domain said no.
    Rejected {
        /// The rejection as JSON.
        rejection: Arc<str>,
    },
}

/// Proves that a request was carried out, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The append that answered the request.
    pub command_id: Uuid,
    /// What was asked for.
    pub fingerprint: Fingerprint,
    /// How it ended.
    pub outcome: ReceiptOutcome,
    /// The sequence of its first event; one above `last_sequence` where it has none.
    pub first_sequence: u64,
    /// The version of the aggregate after it.
    pub last_sequence: u64,
    /// The position of its last event; `None` where it has none.
    pub position: Option<Position>,
    /// When it was carried out.
    pub recorded_at: DateTime<Utc>,
    /// When the receipt ends; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
}
