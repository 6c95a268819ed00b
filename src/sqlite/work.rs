//! A transaction of the store that also takes the application's own SQL.

use std::fmt;

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{append::Writer, backend::SqliteBackend, classify::classify_commit, read};
use crate::store::{Append, Appended, Error, Limits, StreamQuery, StreamRead, Visit, Work};

/// Holds an open transaction on a SQLite database, and the database's one writer with it.
pub struct SqliteWork {
    transaction: Transaction<'static, Sqlite>,
    writer: Writer,
    limits: Limits,
}

impl SqliteWork {
    pub(super) async fn begin(backend: &SqliteBackend) -> Result<Self, Error> {
        let transaction = backend.begin().await?;
        Ok(Self { transaction, writer: backend.append_writer(), limits: backend.limits })
    }
}

#[async_trait]
impl Work for SqliteWork {
    type Connection = SqliteConnection;

    async fn append(&mut self, append: &Append) -> Result<Appended, Error> {
        self.limits.check(append)?;
        let mut answers = self.writer.write(&mut self.transaction, std::slice::from_ref(append)).await?;
        answers.pop().unwrap_or(Err(Error::OutcomeUnknown { source: None }))
    }

    async fn read_stream(&mut self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        read::stream(&mut self.transaction, query, self.writer.now(), visit).await
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await.map_err(classify_commit)
    }
}

impl fmt::Debug for SqliteWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteWork").finish_non_exhaustive()
    }
}
