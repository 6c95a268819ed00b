//! Why a move did not come to its end.

use std::{fmt, io};

use crate::store::{AggregateName, Error, MisfitKind, RecordedEvent};

/// Tells why an export or an import did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// A line has no place in the database, or is not what was written. What came before it was written, it and what stands
    /// behind it was not.
    #[error("line {line}{} is refused: {refusal}", what.as_deref().map(|what| format!(", {what},")).unwrap_or_default())]
    Refused {
        /// The line, from 1.
        line: u64,
        /// What stands in it, where that can be told.
        what: Option<String>,
        /// Why.
        refusal: Refusal,
    },
    /// An event of the source, or of an earlier part of its export, is not the one that was written.
    #[error("{0}")]
    Source(String),
    /// Events were recorded since an earlier part of the export came to their end: begin anew.
    #[error("the log has gone on since this export was begun: begin anew")]
    WentOn,
    /// The database failed. What was written is whole; do the same again.
    #[error(transparent)]
    Store(#[from] Error),
    /// The file could not be read or written. What was written is whole; do the same again.
    #[error("the export could not be read or written")]
    File(#[from] io::Error),
}

/// Says why a line is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not the first line of an export.
    NoExport,
    /// The export was written in a format that this version does not know.
    Newer {
        /// The version of the format.
        version: u32,
    },
    /// It was changed, or does not stand behind the line before it.
    Changed,
    /// It ends in the middle, or the last line is missing.
    CutShort,
    /// It is longer than any that can be read.
    TooLong {
        /// The most bytes of a line.
        most: usize,
    },
    /// It is not what this format has.
    Unreadable(String),
    /// The event is not the one that was recorded: its checksum does not match.
    Checksum,
    /// The last line does not sum up the others.
    Sum,
    /// It stands behind the last line.
    Behind,
    /// It has no place in this database.
    Misfit(MisfitKind),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoExport => f.write_str("this is no export of annals"),
            Self::Newer { version } => {
                write!(f, "the export is in format {version}, which only a newer version of annals can read")
            }
            Self::Changed => {
                f.write_str("it was changed, or it does not belong behind the line before it; get the file anew")
            }
            Self::CutShort => f.write_str("the file ends here, before its last line; get the rest of it"),
            Self::TooLong { most } => write!(f, "it has more than {most} bytes"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::Checksum => f.write_str("the event is not the one that was recorded: its checksum does not match"),
            Self::Sum => f.write_str("it does not sum up the lines before it"),
            Self::Behind => f.write_str("it stands behind the last line of the export"),
            Self::Misfit(kind) => kind.fmt(f),
        }
    }
}

impl MoveError {
    pub(super) const fn at(line: u64, refusal: Refusal) -> Self {
        Self::Refused { line, what: None, refusal }
    }
}

/// Names an event.
pub(super) fn name(event: &RecordedEvent) -> String {
    let aggregate = AggregateName::new(event.aggregate_type(), event.aggregate_id());
    format!("event {} of {aggregate}", event.sequence())
}
