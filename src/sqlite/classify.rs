//! What a driver's error means to the caller. By SQLite's result codes, never by a message's text.

use crate::store::{Error, Fault};

/// Classifies an error met before COMMIT was sent: nothing was written.
pub(super) fn classify(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Database(_) => match primary_code(&error) {
            Some(BUSY | LOCKED | PROTOCOL) => Error::contention(error),
            Some(CANTOPEN) => Error::unavailable(error),
            Some(READONLY) => Error::backend(Fault::ReadOnly, error),
            Some(IOERR) => Error::backend(Fault::Io, error),
            Some(CORRUPT | NOTADB) => Error::backend(Fault::Corrupt, error),
            Some(FULL) => Error::backend(Fault::Full, error),
            _ => Error::backend(Fault::Other, error),
        },
        sqlx::Error::PoolTimedOut => Error::contention(error),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Error::unavailable(error),
        sqlx::Error::Io(_) => Error::backend(Fault::Io, error),
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Error::backend(Fault::Corrupt, error),
        _ => Error::backend(Fault::Other, error),
    }
}

/// Classifies an error of a COMMIT with the application's own rows in it.
///
/// An I/O error can be reported for a commit that is there afterwards. Not so a deferred constraint of the application's
/// own tables: it is looked at before anything is written.
pub(super) fn classify_commit(error: sqlx::Error) -> Error {
    match extended_code(&error) {
        Some(CONSTRAINT_FOREIGNKEY) => Error::backend(Fault::Other, error),
        _ => Error::outcome_unknown(error),
    }
}

/// Tells whether others hold a lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(BUSY | LOCKED))
}

/// Tells whether what a statement of the application's failed with passes by itself.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(BUSY | LOCKED | READONLY | IOERR | FULL))
        || matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
}

// Primary result codes, see <https://www.sqlite.org/rescode.html>.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
// Too many openers of a write-ahead log at once.
const PROTOCOL: u32 = 15;
const NOTADB: u32 = 26;

// An extended result code.
const CONSTRAINT_FOREIGNKEY: u32 = 787;

/// The primary result code: the low byte of the extended one.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    extended_code(error).map(|code| code & 0xff)
}

fn extended_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}
