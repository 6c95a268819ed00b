//! What became of a message.

use std::error::Error as StdError;

use chrono::{DateTime, Utc};

use crate::{
    read::BoxError,
    store::{Error, beneath},
};

/// Says what became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it says whether the message may be acknowledged"]
pub enum Handled<T> {
    /// It was new, and is handled now. This is what its effects gave.
    New(T),
    /// It was handled before, or a later one of its source was. Acknowledge it.
    Duplicate {
        /// When it was handled; `None` where that is known from its place alone.
        received_at: Option<DateTime<Utc>>,
    },
    /// Another message was handled under the same id.
    ///
    /// Set it aside and look: one of the two is lost.
    Changed {
        /// When the other was handled.
        received_at: DateTime<Utc>,
    },
    /// One before it is missing. Do not acknowledge it: it has to come again.
    Early {
        /// The place that is next.
        expected: u64,
    },
}

impl<T> Handled<T> {
    /// Tells whether the message may be acknowledged: there is nothing more to do.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::New(_) | Self::Duplicate { .. })
    }

    /// What the effects gave, where they took place now.
    pub fn new_value(self) -> Option<T> {
        match self {
            Self::New(value) => Some(value),
            Self::Duplicate { .. } | Self::Changed { .. } | Self::Early { .. } => None,
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::New(_) => "new",
            Self::Duplicate { .. } => "duplicate",
            Self::Changed { .. } => "changed",
            Self::Early { .. } => "early",
        }
    }
}

/// Tells why a message was not handled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// Its effects failed. Nothing of them is left; have it delivered again, or set it aside.
    #[error("the effects of a message have failed")]
    Effects(#[source] BoxError),
    /// The store failed. Have it delivered again.
    #[error("a message could not be taken in")]
    Store(#[source] Error),
}

impl InboxError {
    /// What the effects said, if it is of this type, itself or beneath.
    #[must_use]
    pub fn effects_error<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::Effects(error) => beneath(&**error).find_map(|error| error.downcast_ref()),
            Self::Store(_) => None,
        }
    }

    /// What the store said, where it was not the effects that failed.
    #[must_use]
    pub const fn store_error(&self) -> Option<&Error> {
        match self {
            Self::Store(error) => Some(error),
            Self::Effects(_) => None,
        }
    }
}

impl From<Error> for InboxError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}
