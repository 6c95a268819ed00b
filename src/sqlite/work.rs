//! A transaction of the store that also takes the application's own SQL.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Sqlite, SqliteConnection};
use tokio::runtime::Handle;

use super::{
    append::Writer,
    backend::{SYSTEM, SqliteBackend},
    classify::classify_commit,
    read,
    transaction::{self, Watch},
};
use crate::store::{
    Append, Appended, Error, Front, HeldTransaction, Limits, StreamQuery, StreamRead, Visit, Work, telemetry,
};

/// Holds an open transaction on a SQLite database.
///
/// The database's one writer with it.
pub struct SqliteWork {
    front: Arc<Front<SqliteBackend>>,
    transaction: HeldTransaction<Sqlite>,
    watch: Watch,
    writer: Writer,
    limits: Limits,
    /// Events written so far; they count once they are committed.
    events: u64,
    /// Whether a checkpoint was moved; that counts once it is committed.
    has_moved: bool,
}

impl SqliteWork {
    pub(super) async fn begin(front: Arc<Front<SqliteBackend>>) -> Result<Self, Error> {
        let runtime = Handle::try_current().map_err(Error::unavailable)?;
        let backend = front.backend();
        let transaction = HeldTransaction::new(transaction::begin(&backend.writer).await?, runtime);
        let (writer, limits) = (backend.append_writer(), backend.limits);
        Ok(Self { front, transaction, watch: Watch::default(), writer, limits, events: 0, has_moved: false })
    }

    async fn write(&mut self, append: &Append) -> Result<Appended, Error> {
        let connection = self.transaction.connection();
        self.watch.check(connection).await?;
        let answer = match self.writer.write(connection, std::slice::from_ref(append)).await {
            Ok(mut answers) => answers.pop().unwrap_or(Err(Error::OutcomeUnknown { source: None })),
            Err(error) => {
                self.watch.failed(connection).await;
                Err(error)
            }
        };
        if matches!(&answer, Ok(appended) if !appended.replayed) {
            self.events += append.events.len() as u64;
        }
        answer
    }

    /// Gives the connection for a statement of the store's own.
    pub(super) async fn enter(&mut self) -> Result<&mut SqliteConnection, Error> {
        let connection = self.transaction.connection();
        self.watch.check(connection).await?;
        Ok(connection)
    }

    /// Takes note of how it went: after a failure the transaction cannot be committed.
    pub(super) async fn leave<T: Send>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        if done.is_err() {
            self.watch.failed(self.transaction.connection()).await;
        }
        done
    }

    /// The time now: a transaction may last.
    pub(super) fn time(&self) -> DateTime<Utc> {
        self.front.backend().now()
    }

    /// Takes note of a checkpoint that moves with the commit.
    pub(super) const fn moves(&mut self, has_moved: bool) {
        self.has_moved |= has_moved;
    }

    async fn commit_checked(&mut self) -> Result<(), Error> {
        self.watch.check(self.transaction.connection()).await?;
        self.transaction.commit().await.map_err(classify_commit)
    }
}

#[async_trait]
impl Work for SqliteWork {
    type Connection = SqliteConnection;

    async fn append(&mut self, append: &Append) -> Result<Appended, Error> {
        self.limits.check(append)?;
        telemetry::operation(SYSTEM, "append", self.write(append)).await
    }

    async fn read_stream(&mut self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        let read = read::stream(self.transaction.connection(), query, self.writer.now(), visit);
        telemetry::operation(SYSTEM, "read_stream", read).await
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        self.transaction.connection()
    }

    async fn commit(mut self) -> Result<(), Error> {
        let committed = telemetry::operation(SYSTEM, "commit", self.commit_checked()).await;
        if self.events > 0 {
            // Also where the reply was lost: the events may be there.
            self.front.committed();
        }
        if self.has_moved {
            self.front.backend().moves.note();
        }
        committed?;
        telemetry::events_appended(self.events);
        Ok(())
    }
}

impl fmt::Debug for SqliteWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteWork").finish_non_exhaustive()
    }
}
