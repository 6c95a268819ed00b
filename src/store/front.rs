//! What stands between callers and a database.

use std::time::Instant;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Append, Appended, Backend, Error, EventStore, IdempotencyKey, Limits, LogQuery, LogRead, Position, Receipt,
    StreamQuery, StreamRead, Visit, telemetry,
};

/// Makes an [`EventStore`] of a [`Backend`]: checks the bounds before any I/O, and counts what was done.
#[derive(Debug)]
pub struct Front<B> {
    backend: B,
    limits: Limits,
}

impl<B: Backend> Front<B> {
    /// Puts the bounds in front of a database.
    pub const fn new(backend: B, limits: Limits) -> Self {
        Self { backend, limits }
    }

    /// The database behind.
    pub const fn backend(&self) -> &B {
        &self.backend
    }

    /// The bounds.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }
}

#[async_trait]
impl<B: Backend> EventStore for Front<B> {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        let mut answers: Vec<_> = batch.iter().map(|append| self.limits.check(append).err().map(Err)).collect();
        let sound: Vec<Append> = batch
            .into_iter()
            .zip(&answers)
            .filter(|(_, refused)| refused.is_none())
            .map(|(append, _)| append)
            .collect();
        let started = Instant::now();
        let mut written = if sound.is_empty() { Vec::new() } else { self.backend.write(&sound).await }.into_iter();
        telemetry::batch_written(&sound, written.as_slice(), started.elapsed());
        for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
            *answer = written.next();
        }
        // A backend that leaves an append without an answer leaves its outcome unknown.
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Error::OutcomeUnknown { source: None }))).collect()
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        self.backend.read_stream(query, visit).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        self.backend.read_log(query, visit).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        self.backend.receipt(aggregate_id, key).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.backend.head().await
    }
}
