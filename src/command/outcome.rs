//! How a command ended.

use std::error::Error as StdError;

use crate::store::{Appended, Error, Position};

/// Says what an accepted command did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executed {
    /// The sequence of its first event; one above `version` where it led to none.
    pub first_sequence: u64,
    /// The version of the aggregate right after the command.
    pub version: u64,
    /// The position of its last event; `None` where it led to none.
    pub position: Option<Position>,
    /// Nothing was done now: this is the answer the command was given the first time.
    ///
    /// Under a key it can also have been done now, where the reply to this call's own first attempt was lost: who wrote
    /// a receipt is not known. Without a key always `false`.
    pub replayed: bool,
}

impl Executed {
    /// How many events the command led to.
    #[must_use]
    pub const fn events(&self) -> u64 {
        (self.version + 1).saturating_sub(self.first_sequence)
    }

    pub(super) const fn of(appended: &Appended) -> Self {
        Self {
            first_sequence: appended.first_sequence,
            version: appended.version,
            position: appended.position,
            replayed: appended.replayed,
        }
    }

    /// A command that led to no event and left no receipt.
    pub(super) const fn nothing_at(version: u64) -> Self {
        Self { first_sequence: version + 1, version, position: None, replayed: false }
    }
}

/// Says how the command under an idempotency key ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It was accepted.
    Accepted(Executed),
    /// The domain said no.
    Rejected(R),
    /// It was not carried out, and never will be: see [`Repository::forestall`](crate::Repository::forestall).
    Forestalled,
}

/// Tells why a command was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError<R: StdError + 'static> {
    /// The domain said no: show it to whoever sent the command.
    ///
    /// Under an idempotency key this is the final answer: every retry gets the same rejection.
    #[error("{rejection}")]
    Rejected {
        /// What the domain said.
        rejection: R,
        /// The command was not decided now: this is the answer it was given the first time.
        replayed: bool,
    },
    /// The store could not carry it out. [`Error`]'s predicates say what to do.
    #[error("the command was not carried out")]
    Store(#[from] Error),
}

impl<R: StdError + 'static> ExecuteError<R> {
    /// What the domain said, where it said no.
    pub const fn rejection(&self) -> Option<&R> {
        match self {
            Self::Rejected { rejection, .. } => Some(rejection),
            Self::Store(_) => None,
        }
    }

    /// What the store said, where it could not.
    pub const fn store_error(&self) -> Option<&Error> {
        match self {
            Self::Store(error) => Some(error),
            Self::Rejected { .. } => None,
        }
    }
}
