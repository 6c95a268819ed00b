//! A transaction of the store that also takes the application's own SQL.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;

use super::{
    append::{self, Patience},
    backend::{PostgresBackend, SYSTEM},
    classify::{classify, classify_commit, sqlstate},
    pool::not_acquired,
    read,
    row::column,
    statement::CHECK_TRANSACTION,
};
use crate::store::{
    Append, Appended, Error, Fault, Front, HeldTransaction, Limits, StreamQuery, StreamRead, Visit, Work, telemetry,
};

/// An append has to see what others commit while it waits for them. The mark ends with the transaction, and
/// `check_transaction.sql` looks for it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL annals.work = 'open'";

/// Holds an open transaction on a PostgreSQL database.
///
/// It has a connection of its own.
/// From its first append on it holds readers of the log back, at what was there before: keep it short.
pub struct PostgresWork {
    front: Arc<Front<PostgresBackend>>,
    transaction: HeldTransaction<Postgres>,
    has_failed: bool,
    now: DateTime<Utc>,
    limits: Limits,
    /// Events written so far; they count once they are committed.
    events: u64,
    /// Whether a checkpoint was moved; that counts once it is committed.
    has_moved: bool,
}

impl PostgresWork {
    pub(super) async fn begin(front: Arc<Front<PostgresBackend>>) -> Result<Self, Error> {
        let runtime = Handle::try_current().map_err(Error::unavailable)?;
        let backend = front.backend();
        backend.check_writable()?;
        let begun = backend.works.begin_with(BEGIN).await;
        let begun = begun.map_err(|error| classify_begin(&backend.works, error))?;
        let transaction = HeldTransaction::new(begun, runtime);
        let (now, limits) = (backend.now(), backend.limits);
        Ok(Self { front, transaction, has_failed: false, now, limits, events: 0, has_moved: false })
    }

    async fn write(&mut self, append: &Append) -> Result<Appended, Error> {
        if self.has_failed {
            return Err(failed_before());
        }
        let batch = std::slice::from_ref(append);
        // Until it has an answer: whoever drops it half-way does not know what is in the transaction.
        self.has_failed = true;
        let answer = match append::write(self.transaction.connection(), batch, self.now, Patience::None).await {
            Ok(mut answers) => {
                self.has_failed = false;
                answers.pop().unwrap_or(Err(Error::OutcomeUnknown { source: None }))
            }
            Err(error) => Err(error),
        };
        if matches!(&answer, Ok(appended) if !appended.replayed) {
            self.events += append.events.len() as u64;
        }
        answer
    }

    /// Gives the connection for a statement of the store's own.
    pub(super) fn enter(&mut self) -> Result<&mut PgConnection, Error> {
        if self.has_failed {
            return Err(failed_before());
        }
        // Until it has an answer: whoever drops it half-way does not know what is in the transaction.
        self.has_failed = true;
        Ok(self.transaction.connection())
    }

    /// Takes note of how it went: after a failure the transaction cannot be committed.
    pub(super) fn leave<T>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        self.has_failed = done.is_err();
        done
    }

    /// The time now: a transaction may last.
    pub(super) fn time(&self) -> DateTime<Utc> {
        self.front.backend().now()
    }

    /// The time now, where it is not the server's.
    pub(super) fn given_time(&self) -> Option<DateTime<Utc>> {
        self.front.backend().given_time()
    }

    /// How long a lock is waited for.
    pub(super) fn lock_timeout(&self) -> Duration {
        self.front.backend().lock_timeout
    }

    /// Takes note of a checkpoint that moves with the commit.
    pub(super) const fn moves(&mut self, has_moved: bool) {
        self.has_moved |= has_moved;
    }

    async fn commit_checked(&mut self) -> Result<(), Error> {
        if self.has_failed {
            return Err(failed_before());
        }
        let checked = sqlx::query(CHECK_TRANSACTION).fetch_one(self.transaction.connection()).await;
        let row = checked.map_err(|error| match sqlstate(&error).as_deref() {
            Some("25P02") => failed_before(),
            _ => classify(error),
        })?;
        if !column::<bool>(&row, 0)? {
            // By COMMIT or by ROLLBACK, or by one and then the other.
            return Err(Error::outcome_unknown(Ended));
        }
        self.transaction.commit().await.map_err(classify_commit)
    }
}

/// The application has sent a COMMIT or ROLLBACK of its own.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was ended by a statement of the application's")]
struct Ended;

/// Says why no transaction was begun.
fn classify_begin(works: &PgPool, error: sqlx::Error) -> Error {
    match sqlstate(&error).as_deref() {
        // feature_not_supported: what a standby says of READ WRITE.
        Some("0A000") => Error::backend(Fault::ReadOnly, error),
        _ => not_acquired(works, error),
    }
}

fn failed_before() -> Error {
    let detail = "the transaction has failed before, nothing of it was written".to_owned();
    Error::Backend { fault: Fault::Other, detail: Some(detail), source: None }
}

#[async_trait]
impl Work for PostgresWork {
    type Connection = PgConnection;

    async fn append(&mut self, append: &Append) -> Result<Appended, Error> {
        self.limits.check(append)?;
        telemetry::operation(SYSTEM, "append", self.write(append)).await
    }

    async fn read_stream(&mut self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        let read = read::stream(self.transaction.connection(), query, self.now, visit);
        telemetry::operation(SYSTEM, "read_stream", read).await
    }

    fn connection(&mut self) -> &mut PgConnection {
        self.transaction.connection()
    }

    async fn commit(mut self) -> Result<(), Error> {
        let committed = telemetry::operation(SYSTEM, "commit", self.commit_checked()).await;
        if self.events > 0 {
            // Also where the reply was lost: the events may be there.
            self.front.committed();
            self.front.backend().notices.committed();
        }
        if self.has_moved {
            self.front.backend().moves.note();
        }
        committed?;
        telemetry::events_appended(self.events);
        Ok(())
    }
}

impl fmt::Debug for PostgresWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresWork").finish_non_exhaustive()
    }
}
