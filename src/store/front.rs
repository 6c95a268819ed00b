//! What stands between callers and a database.

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Append, Appended, Backend, Error, EventStore, IdempotencyKey, Limits, LoadQuery, LoadVisitor, LogQuery, LogRead,
    Position, Receipt, SnapshotRef, StreamQuery, StreamRead, Visit, queue::CommitQueue,
};

/// Makes an [`EventStore`] of a [`Backend`].
///
/// Checks the bounds before any I/O, and lets callers share commits.
///
/// Appends of concurrent callers go through a queue: while one batch is being written the next gathers, and goes as one
/// commit. Batches are written by tasks of the store's own, on the runtime of whoever came first (which others then
/// wait for: drive it or drop it); a caller that goes away meanwhile changes nothing. Nothing waits for a timer, so a caller that is alone pays nothing. What waits is
/// bounded, in number and bytes: whoever comes then waits for room.
#[derive(Debug)]
pub struct Front<B> {
    queue: CommitQueue<B>,
    limits: Limits,
}

impl<B: Backend + 'static> Front<B> {
    /// Puts bounds and queue in front of a database.
    pub fn new(backend: B, limits: Limits) -> Self {
        Self { queue: CommitQueue::new(backend, &limits), limits }
    }

    /// The database behind.
    pub fn backend(&self) -> &B {
        self.queue.backend()
    }

    /// The bounds.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Answers what was taken, and takes no more.
    ///
    /// Later appends end in [`Error::Unavailable`].
    pub async fn close(&self) {
        self.queue.close().await;
    }
}

#[async_trait]
impl<B: Backend + 'static> EventStore for Front<B> {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        let mut answers: Vec<_> = batch.iter().map(|append| self.limits.check(append).err().map(Err)).collect();
        let sound: Vec<Append> = batch
            .into_iter()
            .zip(&answers)
            .filter(|(_, refused)| refused.is_none())
            .map(|(append, _)| append)
            .collect();
        let mut written = self.queue.push(sound).await.into_iter();
        for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
            *answer = written.next();
        }
        // A backend that leaves an append without an answer leaves its outcome unknown.
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Error::OutcomeUnknown { source: None }))).collect()
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        self.backend().read_stream(query, visit).await
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        self.backend().load(query, visitor).await
    }

    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error> {
        self.backend().save_snapshot(snapshot).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        self.backend().read_log(query, visit).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        self.backend().receipt(aggregate_id, key).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.backend().head().await
    }
}
