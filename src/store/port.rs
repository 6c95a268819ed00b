//! The traits between callers and databases.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Append, Appended, Error, EventRef, IdempotencyKey, LoadQuery, LoadVisitor, LogQuery, LogRead, Page, PageQuery,
    Position, Receipt, RecordedEvent, SnapshotRef, StreamQuery, StreamRead,
};

/// Visits events one by one, straight from the database's rows.
///
/// An error ends the read and is returned.
pub type Visit<'v> = &'v mut (dyn for<'r> FnMut(EventRef<'r>) -> Result<(), Error> + Send);

/// Stores events and the outcomes of requests: what callers see.
///
/// Object-safe: services hold an `Arc<dyn EventStore>` and tests put a [`Faulty`](crate::testing) around it.
/// Every method may be dropped half-way and called again.
#[async_trait]
pub trait EventStore: fmt::Debug + Send + Sync {
    /// Writes a batch; each append is all or nothing and answers for itself, in the batch's order.
    ///
    /// An append that was written before, by an earlier attempt, is answered as it was then and nothing is written.
    /// What comes first wins: the receipt of its key, then its own events from an earlier attempt, then the version.
    ///
    /// Errors of an append: [`Error::Invalid`], mend the call; [`Error::Conflict`], reload and decide again;
    /// [`Error::KeyReused`], a fault of the client; [`Error::OutcomeUnknown`], send the same append again to find out;
    /// [`Error::Contention`] and [`Error::Unavailable`], send it again later; others, page someone.
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>>;

    /// Visits events of one aggregate. An aggregate without events is version 0, not an error.
    ///
    /// # Errors
    ///
    /// The visitor's error, as it is; a failed read, never a shorter history that looks whole.
    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error>;

    /// Visits the snapshot of an aggregate, where there is one that fits, and the events after it; else all events.
    ///
    /// # Errors
    ///
    /// As for [`read_stream`](Self::read_stream).
    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error>;

    /// Keeps a snapshot, unless a newer one is there. One that is ahead of its stream is not kept.
    ///
    /// # Errors
    ///
    /// A failed write: go on without.
    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error>;

    /// Visits events of the log in the order of their positions.
    ///
    /// # Errors
    ///
    /// The visitor's error, as it is; a failed read, never a shorter log that looks whole.
    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error>;

    /// Looks up the outcome of a request: `None` where none was kept, or it has expired.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error>;

    /// The position of the last event a reader of the log may see now.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn head(&self) -> Result<Position, Error>;

    /// Waits until a reader of the log may see an event after this position, and gives the head.
    ///
    /// However many wait, the database is asked for all of them at once. Whoever stops waiting just drops it.
    ///
    /// # Errors
    ///
    /// A failed read: wait again, after a while where it [`is_retryable`](Error::is_retryable). The position reached is
    /// the caller's: nothing is missed.
    async fn wait_for(&self, after: Position) -> Result<Position, Error>;
}

/// Adds what callers write on top of an [`EventStore`].
#[async_trait]
pub trait EventStoreExt: EventStore {
    /// Writes one append.
    ///
    /// # Errors
    ///
    /// As for [`EventStore::append`].
    async fn append_one(&self, append: Append) -> Result<Appended, Error> {
        self.append(vec![append]).await.pop().unwrap_or(Err(Error::OutcomeUnknown { source: None }))
    }

    /// Collects the events of a stream: bounded by the stream, or by the query's limit.
    ///
    /// # Errors
    ///
    /// As for [`EventStore::read_stream`].
    async fn collect_stream(&self, query: &StreamQuery) -> Result<Vec<RecordedEvent>, Error> {
        let mut events = Vec::new();
        self.read_stream(query, &mut |event| {
            events.push(event.to_recorded());
            Ok(())
        })
        .await?;
        Ok(events)
    }

    /// Collects events of the log. Give the query a limit, unless the log is known to be small.
    ///
    /// # Errors
    ///
    /// As for [`EventStore::read_log`].
    async fn collect_log(&self, query: &LogQuery) -> Result<Vec<RecordedEvent>, Error> {
        let mut events = Vec::new();
        self.read_log(query, &mut |event| {
            events.push(event.to_recorded());
            Ok(())
        })
        .await?;
        Ok(events)
    }
}

impl<S: EventStore + ?Sized> EventStoreExt for S {}

/// Says how much a backend does at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Batches of appends, at least 1.
    pub writes: usize,
    /// Batches of loads; 0: a load is better off by itself.
    pub loads: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { writes: 1, loads: 0 }
    }
}

/// Writes and reads one kind of database.
///
/// It is what `sqlite/` implements, and whoever brings another.
///
/// Appends that reach a backend have passed the [`Limits`](super::Limits); [`Front`](super::Front) sees to that.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// How much it does at once. Default: one batch of appends, and no batches of loads.
    fn concurrency(&self) -> Concurrency {
        Concurrency::default()
    }

    /// Reads the beginnings of several streams with one round trip; one answer per query, in their order.
    ///
    /// Asked only where [`Concurrency::loads`] is not 0.
    async fn load_pages(&self, queries: &[PageQuery]) -> Vec<Result<Box<dyn Page>, Error>> {
        queries.iter().map(|_| Err(Error::invalid("this backend loads one by one"))).collect()
    }

    /// Writes a batch in one commit. Answers and errors as for [`EventStore::append`].
    async fn write(&self, batch: &[Append]) -> Vec<Result<Appended, Error>>;

    /// See [`EventStore::read_stream`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error>;

    /// See [`EventStore::load`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error>;

    /// See [`EventStore::save_snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error>;

    /// See [`EventStore::read_log`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error>;

    /// See [`EventStore::receipt`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error>;

    /// See [`EventStore::head`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn head(&self) -> Result<Position, Error>;

    /// Waits until the database tells that events were committed, by whatever process.
    ///
    /// Called only while somebody waits for events, and called again after it has returned. It may be dropped half-way,
    /// may return for nothing, and may miss what is committed while nobody calls: it makes waiting short, polling makes
    /// it sure. One that has just begun to listen should return once. Default: never returns.
    async fn noticed(&self) {
        std::future::pending().await
    }
}

/// Implements [`EventStore`] by handing every call on to the store inside.
macro_rules! forward_event_store {
    ([$($generic:ident)?] $outer:ty, $self:ident => $inner:expr) => {
        #[async_trait::async_trait]
        impl$(<$generic: $crate::store::EventStore + ?Sized>)? $crate::store::EventStore for $outer {
            async fn append(
                &$self,
                batch: Vec<$crate::store::Append>,
            ) -> Vec<Result<$crate::store::Appended, $crate::store::Error>> {
                $inner.append(batch).await
            }

            async fn read_stream(
                &$self,
                query: &$crate::store::StreamQuery,
                visit: $crate::store::Visit<'_>,
            ) -> Result<$crate::store::StreamRead, $crate::store::Error> {
                $inner.read_stream(query, visit).await
            }

            async fn load(
                &$self,
                query: &$crate::store::LoadQuery,
                visitor: &mut dyn $crate::store::LoadVisitor,
            ) -> Result<$crate::store::StreamRead, $crate::store::Error> {
                $inner.load(query, visitor).await
            }

            async fn save_snapshot(
                &$self,
                snapshot: $crate::store::SnapshotRef<'_>,
            ) -> Result<(), $crate::store::Error> {
                $inner.save_snapshot(snapshot).await
            }

            async fn read_log(
                &$self,
                query: &$crate::store::LogQuery,
                visit: $crate::store::Visit<'_>,
            ) -> Result<$crate::store::LogRead, $crate::store::Error> {
                $inner.read_log(query, visit).await
            }

            async fn receipt(
                &$self,
                aggregate_id: uuid::Uuid,
                key: &$crate::store::IdempotencyKey,
            ) -> Result<Option<$crate::store::Receipt>, $crate::store::Error> {
                $inner.receipt(aggregate_id, key).await
            }

            async fn head(&$self) -> Result<$crate::store::Position, $crate::store::Error> {
                $inner.head().await
            }

            async fn wait_for(
                &$self,
                after: $crate::store::Position,
            ) -> Result<$crate::store::Position, $crate::store::Error> {
                $inner.wait_for(after).await
            }
        }
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use forward_event_store;

forward_event_store!([S] Arc<S>, self => (**self));
