//! The writer's transactions, also those that SQLite ended by itself.
//!
//! After a full disk, an I/O error or a COMMIT that failed SQLite may have rolled back already. sqlx does not know: its
//! own ROLLBACK then fails, and it goes on counting an open transaction, in which no other can be begun.

use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::classify::classify;
use crate::store::{Error, Fault};

/// Takes the writer, and the database's write lock with it.
pub(super) async fn begin(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, Error> {
    if let Some(begun) = try_begin(writer).await {
        return begun;
    }
    // A BEGIN that was refused ends in a ROLLBACK by sqlx, which succeeds where there is something to end: then the
    // count is right again.
    reopen(&mut *writer.acquire().await.map_err(classify)?).await;
    if let Some(begun) = try_begin(writer).await {
        return begun;
    }
    if let Some(begun) = try_begin(writer).await {
        return begun;
    }
    // The application's own savepoints are counted as well. A new connection knows of none.
    writer.acquire().await.map_err(classify)?.close().await.map_err(classify)?;
    writer.begin_with("BEGIN IMMEDIATE").await.map_err(classify)
}

/// `None` where sqlx counts an open transaction.
async fn try_begin(writer: &SqlitePool) -> Option<Result<Transaction<'static, Sqlite>, Error>> {
    match writer.begin_with("BEGIN IMMEDIATE").await {
        Err(sqlx::Error::InvalidSavePointStatement) => None,
        begun => Some(begun.map_err(classify)),
    }
}

/// Makes sure that a transaction is open, and tells whether there was none. Inside one BEGIN is refused.
async fn reopen(connection: &mut SqliteConnection) -> bool {
    sqlx::query("BEGIN").execute(connection).await.is_ok()
}

/// Watches over a transaction that an application also uses.
#[derive(Debug, Default)]
pub(super) struct Watch {
    has_failed: bool,
}

impl Watch {
    /// Makes sure that the transaction is still the one that was begun.
    ///
    /// Where SQLite has ended it, a new one is opened for whatever the application still sends, and is never committed:
    /// without it each statement would be written on its own.
    pub(super) async fn check(&mut self, connection: &mut SqliteConnection) -> Result<(), Error> {
        self.has_failed |= reopen(connection).await;
        if self.has_failed {
            let detail = "the transaction has failed before, nothing of it was written".to_owned();
            return Err(Error::Backend { fault: Fault::Other, detail: Some(detail), source: None });
        }
        Ok(())
    }

    /// Takes note of a failure after which the transaction cannot be committed.
    pub(super) async fn failed(&mut self, connection: &mut SqliteConnection) {
        self.has_failed = true;
        reopen(connection).await;
    }
}
