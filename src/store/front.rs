//! What stands between callers and a database.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    Append, Appended, Backend, Error, EventRef, EventStore, IdempotencyKey, Limits, LoadQuery, LoadVisitor, LogQuery,
    LogRead, PageQuery, Polling, Position, Receipt, SnapshotRef, StreamQuery, StreamRead, Visit,
    queue::{Alone, Asked, CommitQueue, LoadQueue, LoadUnderWay},
    watch::Watch,
};

/// Makes an [`EventStore`] of a [`Backend`].
///
/// Checks the bounds before any I/O, and lets callers share commits.
///
/// Appends of concurrent callers go through a queue: while one batch is being written the next gathers, and goes as one
/// commit. Batches are written by tasks of the store's own, on the runtime of whoever came first (which others then
/// wait for: drive it or drop it); a caller that goes away meanwhile changes nothing. Nothing waits for a timer, so a
/// caller that is alone pays nothing. What waits is bounded, in number and bytes: whoever comes then waits for room.
///
/// Where the database [says so](Backend::concurrency), several batches are written at once, never two with one
/// aggregate, and loads of whole streams share round trips.
#[derive(Debug)]
pub struct Front<B> {
    backend: Arc<B>,
    queue: CommitQueue<B>,
    loads: LoadQueue<B>,
    watch: Watch<B>,
    /// Told when events were committed.
    committed: Arc<Notify>,
    limits: Limits,
}

impl<B: Backend + 'static> Front<B> {
    /// Puts bounds and queue in front of a database.
    pub fn new(backend: B, limits: Limits) -> Self {
        let (backend, committed) = (Arc::new(backend), Arc::<Notify>::default());
        Self {
            queue: CommitQueue::new(Arc::clone(&backend), &limits, Arc::clone(&committed)),
            loads: LoadQueue::new(Arc::clone(&backend)),
            watch: Watch::new(Arc::clone(&backend), Arc::clone(&committed), Polling::default()),
            backend,
            committed,
            limits,
        }
    }

    /// Sets how often it looks for events of other processes.
    ///
    /// See [`Polling`] for the default.
    #[must_use]
    pub fn polling(mut self, polling: Polling) -> Self {
        self.watch = Watch::new(Arc::clone(&self.backend), Arc::clone(&self.committed), polling);
        self
    }

    /// The database behind.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The bounds.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Wakes those who wait for events.
    ///
    /// To be called after a commit that went past the queue, such as that of a [`Work`](super::Work).
    pub fn committed(&self) {
        self.committed.notify_one();
    }

    /// Answers what was taken, and takes no more.
    ///
    /// Later appends end in [`Error::Unavailable`], and so does waiting for events.
    pub async fn close(&self) {
        self.queue.close().await;
        self.watch.close();
    }

    /// Loads with others, where loads share round trips.
    async fn load_with_others(&self, query: &PageQuery, visitor: &mut dyn LoadVisitor) -> Result<Road<B>, Error> {
        if !self.loads.is_used() {
            return Ok(Road::ByItself(None));
        }
        let answer = match self.loads.ask(query) {
            Asked::Alone(alone) => return Ok(Road::ByItself(alone)),
            Asked::Shared(answer) => answer,
        };
        match answer.await {
            // Decoding is the caller's own work, on its own time.
            Ok(Ok(page)) => Ok(page.visit(visitor)?.map_or(Road::ByItself(None), Road::Loaded)),
            Ok(Err(passing)) if passing.is_retryable() => Err(passing),
            // What failed may be a neighbour's fault, and a runtime that is gone is none at all: reads can be repeated.
            Ok(Err(_)) | Err(_) => Ok(Road::ByItself(None)),
        }
    }
}

/// Where a load has come to.
enum Road<B> {
    /// To its end, with others.
    Loaded(StreamRead),
    /// It is to be loaded by itself, from the start; others gather meanwhile.
    ByItself(Option<Alone<B>>),
}

/// Shows a stream's events to whom they were asked for.
struct Events<'v>(Visit<'v>);

impl LoadVisitor for Events<'_> {
    fn visit_snapshot(&mut self, _: SnapshotRef<'_>) -> bool {
        false
    }

    fn visit_event(&mut self, event: EventRef<'_>) -> Result<(), Error> {
        (self.0)(event)
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
        let Some(page) = PageQuery::of_stream(query) else {
            return self.backend.read_stream(query, visit).await;
        };
        let under_way = self.queue.load_begins(query.aggregate_id);
        let read = match self.load_with_others(&page, &mut Events(&mut *visit)).await? {
            Road::Loaded(read) => read,
            Road::ByItself(_alone) => self.backend.read_stream(query, visit).await?,
        };
        under_way.into_iter().for_each(LoadUnderWay::answered);
        Ok(read)
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        let under_way = self.queue.load_begins(query.aggregate_id);
        let read = match self.load_with_others(&PageQuery::of_load(query), visitor).await? {
            Road::Loaded(read) => read,
            Road::ByItself(_alone) => self.backend.load(query, visitor).await?,
        };
        under_way.into_iter().for_each(LoadUnderWay::answered);
        Ok(read)
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

    async fn wait_for(&self, after: Position) -> Result<Position, Error> {
        self.watch.wait_for(after).await
    }
}
