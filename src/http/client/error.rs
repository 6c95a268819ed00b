//! What can become of a call that has no answer.

use std::{error::Error as StdError, fmt, time::Duration};

use super::Answer;
use crate::store::{self, IdempotencyKey};

/// Tells why a call has no answer.
///
/// The predicates [`is_outcome_unknown`](Self::is_outcome_unknown) and [`is_retryable`](Self::is_retryable) are the promised
/// interface; variants may be added. Neither keys nor URLs nor bodies appear in a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It may or may not have happened. The call stays in the store: send it again under its key, or resume it.
    #[error("it may or may not have happened: {why} after {attempts} attempts")]
    OutcomeUnknown {
        /// The key to ask again with.
        key: IdempotencyKey,
        /// How often it was sent now.
        attempts: u32,
        /// Why it was not sent once more.
        why: GaveUp,
        /// What the last attempt has come to.
        #[source]
        last: Last,
    },
    /// Nothing was sent, so nothing has happened. Call again, under any key.
    #[error("nothing was sent: {why} after {attempts} attempts")]
    Unsent {
        /// How often it was tried.
        attempts: u32,
        /// Why it was not tried once more.
        why: GaveUp,
        /// What the last attempt has come to.
        #[source]
        last: Last,
    },
    /// A read was not answered. Read again.
    #[error("there was no answer: {why} after {attempts} attempts")]
    NoAnswer {
        /// How often it was sent.
        attempts: u32,
        /// Why it was not sent once more.
        why: GaveUp,
        /// What the last attempt has come to.
        #[source]
        last: Last,
    },
    /// Somebody else is sending this very call. Nothing was sent now; ask again when their time is over.
    #[error("somebody else is sending this call, and has the right to for {lease_left:?} still")]
    InHand {
        /// The call's key.
        key: IdempotencyKey,
        /// How long.
        lease_left: Duration,
    },
    /// The key stands for another request that is not resolved yet. Nothing was sent; take another key.
    #[error("the key stands for another request")]
    KeyReused {
        /// The key.
        key: IdempotencyKey,
    },
    /// The server's certificate was not accepted. Nothing was sent, and it was not tried again: mend the trust.
    #[error("the server's certificate was not accepted, nothing was sent")]
    Tls {
        /// What the client said.
        source: reqwest::Error,
    },
    /// The call was wrong; nothing was sent. Mend it.
    #[error("{message}")]
    Invalid {
        /// What is wrong, and the bound where there is one.
        message: String,
    },
    /// The store of keys has failed. Nothing was sent: without its key in the store nothing is.
    #[error("the call could not be kept, nothing was sent")]
    Keys(#[source] store::Error),
}

/// Says why a call was not sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GaveUp {
    /// It had all its attempts.
    Attempts,
    /// The next one would have come after the deadline.
    Deadline,
    /// The budget of retries was spent.
    Budget,
    /// It would have come to the same again.
    ///
    /// Such as a refusal, by a gateway or for want of a valid token, that says nothing of the attempt before: mend what it
    /// complains of, and send the call again under its key.
    Hopeless,
    /// Somebody else has taken it over.
    TakenOver,
    /// The store of keys has failed.
    Keys,
    /// The service may have forgotten the key by now: sent again, it could happen a second time. Ask the service.
    TooOld,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attempts => "all attempts were made",
            Self::Deadline => "the deadline has come",
            Self::Budget => "the budget of retries was spent",
            Self::Hopeless => "another attempt would come to the same",
            Self::TakenOver => "somebody else has taken it over",
            Self::Keys => "the store of keys has failed",
            Self::TooOld => "the service may have forgotten its key",
        })
    }
}

/// Says what the last attempt has come to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Last {
    /// An answer that does not say what has happened.
    Answer(Box<Answer>),
    /// An answer that is larger than a client's answers may be.
    TooLarge {
        /// Its status.
        status: http::StatusCode,
        /// The most bytes.
        most: usize,
    },
    /// The network, or what stands between.
    Failed(reqwest::Error),
    /// It took longer than an attempt may.
    TimedOut,
    /// It was not made, since the store of keys has failed.
    Keys(store::Error),
    /// There was none.
    None,
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "the last answer was {}", answer.status.as_u16()),
            Self::TooLarge { status, most } => write!(f, "the answer, {}, was over {most} bytes", status.as_u16()),
            Self::Failed(_) => f.write_str("the last attempt has failed"),
            Self::TimedOut => f.write_str("the last attempt has taken too long"),
            Self::Keys(_) => f.write_str("the store of keys has failed"),
            Self::None => f.write_str("no attempt was made"),
        }
    }
}

impl StdError for Last {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Keys(error) => Some(error),
            Self::Answer(_) | Self::TooLarge { .. } | Self::TimedOut | Self::None => None,
        }
    }
}

impl ClientError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into() }
    }

    /// Whether it has happened is not known, now or not yet.
    ///
    /// The same call under the same key finds out.
    #[must_use]
    pub const fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. } | Self::InHand { .. })
    }

    /// Nothing has happened, and the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unsent { .. } | Self::NoAnswer { .. } => true,
            Self::Keys(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// The key under which to ask again, where there is one.
    #[must_use]
    pub const fn key(&self) -> Option<&IdempotencyKey> {
        match self {
            Self::OutcomeUnknown { key, .. } | Self::InHand { key, .. } | Self::KeyReused { key } => Some(key),
            _ => None,
        }
    }
}
