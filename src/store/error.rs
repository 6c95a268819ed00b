//! What can go wrong, and what the caller does about it.

use std::{error::Error as StdError, fmt, iter::successors, sync::Arc};

use uuid::Uuid;

use super::{ExpectedVersion, Position};
use crate::domain::EventError;

/// Names an aggregate in messages: its type and its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AggregateName {
    /// The kind of aggregate.
    pub aggregate_type: String,
    /// Its id.
    pub aggregate_id: Uuid,
}

impl AggregateName {
    /// Names an aggregate.
    #[must_use]
    pub fn new(aggregate_type: &str, aggregate_id: Uuid) -> Self {
        Self { aggregate_type: aggregate_type.to_owned(), aggregate_id }
    }
}

impl fmt::Display for AggregateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.aggregate_type, self.aggregate_id)
    }
}

/// Says what a database found wrong with itself or its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// What is stored is damaged: a checksum does not match, a page cannot be read. Restore from a backup.
    Corrupt,
    /// The disk, or the size allowed to the database, is full.
    Full,
    /// The operating system refused to read or write.
    Io,
    /// The database can only be read.
    ReadOnly,
    /// Anything else; the source tells.
    Other,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrupt => "stored data is damaged",
            Self::Full => "the database is full",
            Self::Io => "the database file could not be read or written",
            Self::ReadOnly => "the database is read-only",
            Self::Other => "the database refused",
        })
    }
}

/// What lies beneath an error; shared, because one failure may answer many appends.
type Source = Arc<dyn StdError + Send + Sync>;

/// Tells why a store did not do what it was asked.
///
/// The predicates [`is_conflict`](Self::is_conflict), [`is_retryable`](Self::is_retryable) and
/// [`is_outcome_unknown`](Self::is_outcome_unknown) are the promised interface; variants may be added.
/// Neither payloads nor keys nor passwords appear in a message.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The aggregate is not at the version that was named. Reload, decide again; or tell the user.
    #[error("{aggregate} was expected to have {expected}, but is at version {actual}")]
    Conflict {
        /// The aggregate.
        aggregate: AggregateName,
        /// What the append expected.
        expected: ExpectedVersion,
        /// The version found.
        actual: u64,
    },
    /// The idempotency key, or the command id, was used before for another request. A fault of the client.
    #[error("{aggregate} has seen this idempotency key or command id with another request")]
    KeyReused {
        /// The aggregate.
        aggregate: AggregateName,
    },
    /// Others were in the way for too long. Nothing was written; try again later.
    #[error(
        "others, or a transaction of one's own, held the database or the aggregate for too long; nothing was written"
    )]
    Contention {
        /// What stood in the way, where it is known.
        source: Option<Source>,
    },
    /// The database could not be reached. Nothing was written; try again later.
    #[error("the database could not be reached, nothing was written")]
    Unavailable {
        /// What the driver said.
        source: Option<Source>,
    },
    /// The write may or may not have happened. Send it again with the same command id or key: that is the way to ask.
    #[error("the reply was lost: the write may or may not have happened")]
    OutcomeUnknown {
        /// What the driver said.
        source: Option<Source>,
    },
    /// An event could not be written as JSON, or what is stored does not fit this code.
    #[error("{context}")]
    Codec {
        /// Which event, where it is known.
        context: String,
        /// What does not fit.
        source: Source,
    },
    /// The call was wrong, by itself or for what the aggregate is; nothing was written. Mend the call.
    #[error("{message}")]
    Invalid {
        /// What is wrong, and the bound where there is one.
        message: String,
    },
    /// The log is not the one the reader has read: it was set back, by a fail-over or a restore, and has grown anew.
    ///
    /// What was handled after that point may never have happened. Decide by hand: rebuild, or forget the checkpoint.
    #[error("the log is not the one that was read up to position {position}: {detail}")]
    CheckpointDiverged {
        /// Where the reader stood.
        position: Position,
        /// What stands there.
        detail: String,
    },
    /// A handler or a projection has failed on an event, for good. Mend it; the event is told again when it runs again.
    #[error("{consumer} has failed at event {sequence} of {aggregate}")]
    Handler {
        /// The subscription or projection.
        consumer: String,
        /// The aggregate.
        aggregate: AggregateName,
        /// The event within it.
        sequence: u64,
        /// What the handler said.
        source: Source,
    },
    /// A consumer has not come that far in the time given. Wait again, or see what holds it up.
    #[error("{consumer} has not come to position {awaited} in time, it is at {reached}")]
    Behind {
        /// The subscription or projection.
        consumer: String,
        /// Where it was waited for.
        awaited: Position,
        /// How far it has come without leaving an event out.
        reached: Position,
    },
    /// The database's tables are not the ones this code knows.
    #[error("{message}")]
    Schema {
        /// What was found and what was expected.
        message: String,
        /// What the driver said.
        source: Option<Source>,
    },
    /// The database failed. Nothing of this call was written; page someone.
    #[error("{fault}{}", detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    Backend {
        /// The kind of failure.
        fault: Fault,
        /// What exactly, where it is known.
        detail: Option<String>,
        /// What the driver said.
        source: Option<Source>,
    },
}

impl Error {
    /// The version that was named did not hold.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Nothing was written, and the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Contention { .. } | Self::Unavailable { .. })
    }

    /// Whether it was written is not known.
    ///
    /// Repeating with the same command id or key finds out.
    #[must_use]
    pub const fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// Makes an [`Invalid`](Self::Invalid).
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into() }
    }

    /// Makes a [`Backend`](Self::Backend) with [`Fault::Corrupt`].
    pub fn corrupt(detail: impl Into<String>) -> Self {
        Self::Backend { fault: Fault::Corrupt, detail: Some(detail.into()), source: None }
    }

    /// Makes a [`Backend`](Self::Backend) from what the driver said.
    pub fn backend(fault: Fault, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Backend { fault, detail: None, source: Some(Arc::new(source)) }
    }

    /// Makes a [`Codec`](Self::Codec).
    pub fn codec(context: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Codec { context: context.into(), source: Arc::new(source) }
    }

    /// Makes a [`Contention`](Self::Contention).
    pub fn contention(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Contention { source: Some(Arc::new(source)) }
    }

    /// Makes an [`Unavailable`](Self::Unavailable).
    pub fn unavailable(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Unavailable { source: Some(Arc::new(source)) }
    }

    /// Makes an [`OutcomeUnknown`](Self::OutcomeUnknown).
    pub fn outcome_unknown(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::OutcomeUnknown { source: Some(Arc::new(source)) }
    }
}

impl From<EventError> for Error {
    fn from(source: EventError) -> Self {
        Self::codec("an event cannot be written or read", source)
    }
}

/// An error, and then what lies beneath it.
pub(crate) fn beneath<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// An error with what lies beneath it, in one line.
pub(crate) fn with_sources(error: &(dyn StdError + 'static)) -> String {
    beneath(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
