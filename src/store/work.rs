//! Events and the application's own rows in one commit.

use std::fmt;

use async_trait::async_trait;

use super::{Append, Appended, Error, EventStore, StreamQuery, StreamRead, Visit};

/// Begins transactions that also take the application's own SQL.
#[async_trait]
pub trait Transactional: EventStore {
    /// The open transaction.
    type Work: Work;

    /// Begins a transaction. It holds the store's writer until it ends: keep it short.
    ///
    /// Until then write through it alone: an `execute` or `append` past it, awaited by whoever holds it, waits for itself
    /// and ends in [`Error::Contention`]. In memory, where there is one connection, so does a read.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`] or [`Error::Unavailable`]: nothing was begun, try again later.
    async fn begin(&self) -> Result<Self::Work, Error>;
}

/// Holds an open transaction of the store.
///
/// Dropped without [`commit`](Self::commit) it leaves no trace.
///
/// ```
/// # async fn example(store: &annals::SqliteStore, append: annals::Append) -> Result<(), Box<dyn std::error::Error>> {
/// use annals::{Transactional as _, Work as _};
///
/// let mut work = store.begin().await?;
/// work.append(&append).await?;
/// sqlx::query("INSERT INTO invoices (order_id) VALUES (?)").bind(1).execute(work.connection()).await?;
/// work.commit().await?;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Work: fmt::Debug + Send {
    /// The database's connection.
    type Connection: Send;

    /// Writes an append within the transaction.
    ///
    /// # Errors
    ///
    /// As for [`EventStore::append`]. After [`Error::Invalid`], [`Error::Conflict`] and [`Error::KeyReused`] the
    /// transaction goes on, without the append; after any other it can only be dropped.
    async fn append(&mut self, append: &Append) -> Result<Appended, Error>;

    /// Visits events of one aggregate as this transaction sees them: its own appends included.
    ///
    /// # Errors
    ///
    /// As for [`EventStore::read_stream`].
    async fn read_stream(&mut self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error>;

    /// The connection, for the application's own SQL. Begin and end no transaction on it.
    fn connection(&mut self) -> &mut Self::Connection;

    /// Commits events and rows together.
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`]: run the whole transaction again. Its appends, if they were kept, are answered from
    /// the first time, and `replayed` tells whether the rows beside them are there. [`Error::Backend`]: nothing was written;
    /// a deferred constraint of the application's own tables does not hold, or the transaction had failed before.
    async fn commit(self) -> Result<(), Error>;
}
