//! Places: of an event within its aggregate, and in the global log.

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::Error;

/// States what an append expects of its aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExpectedVersion {
    /// Nothing: append after whatever is there.
    Any,
    /// No event yet.
    New,
    /// At least one event.
    Exists,
    /// Exactly this version: the sequence of the last event, 0 where there is none.
    Exact(u64),
}

impl ExpectedVersion {
    /// Tells whether an aggregate at `version` is what was expected.
    #[must_use]
    pub const fn holds_at(self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::New => version == 0,
            Self::Exists => version > 0,
            Self::Exact(expected) => version == expected,
        }
    }

    /// The version, where the expectation names one: 0 for [`New`](Self::New).
    #[must_use]
    pub const fn named(self) -> Option<u64> {
        match self {
            Self::New => Some(0),
            Self::Exact(version) => Some(version),
            Self::Any | Self::Exists => None,
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::New => f.write_str("no events"),
            Self::Exists => f.write_str("at least one event"),
            Self::Exact(version) => write!(f, "version {version}"),
        }
    }
}

/// Marks a place in the global log.
///
/// Positions increase in the order of the log and may have holes. They come from the store and are compared with one
/// another; their distance means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// Takes a number that [`get`](Self::get) gave earlier.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, to be kept and handed back.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a sequence or position from its column. The one place where signed columns become unsigned numbers.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn from_column(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::corrupt(format!("a stored sequence or position is negative: {number}")))
}

/// Writes a number into a column. Numbers no column can hold stand for "beyond everything stored".
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn to_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
