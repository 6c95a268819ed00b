//! What a driver's error means to the caller. By SQLSTATE, never by a message's text.

use std::time::Duration;

use futures_util::{FutureExt as _, TryStream, TryStreamExt as _};

use crate::store::{Error, Fault};

/// What an SQLSTATE says of the statement that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Taken back because of others; it may succeed when it is sent again.
    Busy,
    /// The connection ended, or was never made. A commit that was under way may have happened.
    Gone,
    /// No connection was made: nothing can have happened.
    Refused,
    /// The database failed, in this way.
    Fault(Fault),
    /// The tables are not the ones this code knows.
    Schema,
}

/// SQLSTATEs and what they mean; a whole class where only its two characters are named. The first that fits counts.
///
/// See <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const MEANINGS: [(&str, Meaning); 24] = [
    ("40003", Meaning::Gone),                   // statement_completion_unknown
    ("40", Meaning::Busy),                      // serialization_failure, deadlock_detected and the like
    (UNIQUE_VIOLATION, Meaning::Busy),          // somebody else's receipt or event was there first
    ("55P03", Meaning::Busy),                   // lock_not_available: lock_timeout
    ("55006", Meaning::Busy),                   // object_in_use
    ("57014", Meaning::Busy),                   // query_canceled: statement_timeout
    ("53300", Meaning::Refused),                // too_many_connections
    ("57P03", Meaning::Refused),                // cannot_connect_now
    ("57P01", Meaning::Gone),                   // admin_shutdown: also while it waits for a standby, after the commit
    ("57P02", Meaning::Gone),                   // crash_shutdown
    ("57P04", Meaning::Gone),                   // database_dropped
    ("57P05", Meaning::Gone),                   // idle_session_timeout
    ("25P03", Meaning::Gone),                   // idle_in_transaction_session_timeout
    ("25P04", Meaning::Gone),                   // transaction_timeout
    ("08", Meaning::Gone),                      // connection_exception
    ("25006", Meaning::Fault(Fault::ReadOnly)), // read_only_sql_transaction: a standby
    ("53100", Meaning::Fault(Fault::Full)),     // disk_full
    ("58", Meaning::Fault(Fault::Io)),          // system_error
    ("XX001", Meaning::Fault(Fault::Corrupt)),  // data_corrupted
    ("XX002", Meaning::Fault(Fault::Corrupt)),  // index_corrupted
    ("42P01", Meaning::Schema),                 // undefined_table
    ("42703", Meaning::Schema),                 // undefined_column
    ("3F000", Meaning::Schema),                 // invalid_schema_name
    ("", Meaning::Fault(Fault::Other)),
];

const UNIQUE_VIOLATION: &str = "23505";

/// What an error means; `None` where it did not come from the server.
fn meaning_of(error: &sqlx::Error) -> Option<Meaning> {
    let code = sqlstate(error)?;
    // A row of the application's own, which a trigger writes or a deferred constraint finds at COMMIT, is no lost race: it
    // will be there for ever.
    let is_for_ever = code == UNIQUE_VIOLATION && !is_of_our_tables(error);
    Some(if is_for_ever { Meaning::Fault(Fault::Other) } else { meaning(&code) })
}

fn meaning(code: &str) -> Meaning {
    let found = MEANINGS.iter().find(|(known, _)| code.starts_with(known));
    found.map_or(Meaning::Fault(Fault::Other), |(_, meaning)| *meaning)
}

/// Classifies an error of a statement that writes nothing, or whose transaction is still open.
pub(super) fn classify(error: sqlx::Error) -> Error {
    match told(error) {
        Ok(error) => error,
        Err(gone) => Error::unavailable(gone),
    }
}

/// Classifies an error of a statement that is its own commit, or of a COMMIT.
///
/// Where the connection ended nobody knows whether the commit had happened. Any other error came from the server, which
/// sends one only where it has taken the transaction back.
pub(super) fn classify_commit(error: sqlx::Error) -> Error {
    match told(error) {
        Ok(error) => error,
        Err(gone) => Error::outcome_unknown(gone),
    }
}

/// How long a reply is waited for: a network that swallows it must hold neither callers nor connections for ever.
pub(super) const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// Waits for the reply to a statement that writes nothing, and classifies an error.
pub(super) async fn reply<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(REPLY_WITHIN, statement).await {
        Ok(reply) => reply.map_err(classify),
        Err(late) => Err(Error::unavailable(late)),
    }
}

/// Waits for the reply to a statement, and leaves the error as it is: it may be worth another try.
pub(super) async fn within_reach<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(REPLY_WITHIN, statement).await {
        Ok(reply) => reply,
        Err(late) => Err(sqlx::Error::Io(late.into())),
    }
}

/// Waits for the next row of a statement that writes nothing, and classifies an error.
///
/// Most rows came together with the one before, and are here: for those no clock is asked.
pub(super) async fn next_row<T>(
    rows: &mut (impl TryStream<Ok = T, Error = sqlx::Error> + Unpin),
) -> Result<Option<T>, Error> {
    match rows.try_next().now_or_never() {
        Some(here) => here.map_err(classify),
        None => reply(rows.try_next()).await,
    }
}

/// What the error says; `Err` where the connection is gone.
fn told(error: sqlx::Error) -> Result<Error, sqlx::Error> {
    let Some(meaning) = meaning_of(&error) else {
        return match error {
            sqlx::Error::PoolTimedOut => Ok(Error::contention(error)),
            sqlx::Error::PoolClosed => Ok(Error::unavailable(error)),
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Ok(Error::backend(Fault::Corrupt, error)),
            sqlx::Error::Configuration(_) | sqlx::Error::Encode(_) | sqlx::Error::ColumnNotFound(_) => {
                Ok(Error::backend(Fault::Other, error))
            }
            gone => Err(gone),
        };
    };
    Ok(match meaning {
        Meaning::Gone => return Err(error),
        Meaning::Busy => Error::contention(error),
        Meaning::Refused => Error::unavailable(error),
        Meaning::Fault(fault) => Error::backend(fault, error),
        Meaning::Schema => {
            let code = sqlstate(&error).unwrap_or_default();
            let message = format!("the tables are not the ones this version of annals knows (SQLSTATE {code})");
            Error::Schema { message, source: Some(std::sync::Arc::new(error)) }
        }
    })
}

/// Tells whether the statement was taken back because another's came first, so that it is worth running again at once.
pub(super) fn is_lost_race(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| match code.as_str() {
        UNIQUE_VIOLATION => is_of_our_tables(error),
        code => code.starts_with("40") && code != "40003",
    })
}

fn is_of_our_tables(error: &sqlx::Error) -> bool {
    let table = error.as_database_error().and_then(|error| error.table()).unwrap_or_default();
    table.starts_with("annals_events") || table.starts_with("annals_receipts")
}

/// Tells whether what a statement of the application's failed with passes by itself.
///
/// A statement that takes too long by itself does not.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    match meaning_of(error) {
        Some(Meaning::Busy) => !matches!(sqlstate(error).as_deref(), Some("57014" | UNIQUE_VIOLATION)),
        Some(Meaning::Gone | Meaning::Refused | Meaning::Fault(Fault::ReadOnly | Fault::Full | Fault::Io)) => true,
        Some(Meaning::Fault(_) | Meaning::Schema) => false,
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed),
    }
}

/// Tells whether the statement took too long, because somebody held a lock perhaps: `lock_timeout`, `statement_timeout`.
pub(super) fn is_stuck(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| matches!(code.as_str(), "55P03" | "57014"))
}

/// Tells whether one append of the statement may have failed all of it: a value that cannot be stored, a constraint or a
/// trigger of the application's, a limit.
pub(super) fn is_unstorable(error: &sqlx::Error) -> bool {
    meaning_of(error) == Some(Meaning::Fault(Fault::Other))
}

pub(super) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::{MEANINGS, Meaning, meaning};
    use crate::store::Fault;

    #[test]
    fn a_code_means_what_its_first_entry_says() {
        for (at, (code, expected)) in MEANINGS.iter().enumerate() {
            assert_eq!(meaning(code), *expected, "{code}");
            // No entry stands behind one that hides it.
            assert!(MEANINGS[..at].iter().all(|(earlier, _)| !code.starts_with(earlier)), "{code} is hidden");
        }
        assert_eq!(meaning("40001"), Meaning::Busy);
        assert_eq!(meaning("08006"), Meaning::Gone);
        assert_eq!(meaning("22P02"), Meaning::Fault(Fault::Other));
    }
}
