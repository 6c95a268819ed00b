//! Small writes of many callers, in one transaction and with one commit.
//!
//! What waits while a commit is under way goes with the next one: its price, a write to the disk that has to be waited for,
//! is shared.

use std::{
    collections::VecDeque,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, SqlitePool};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};

use super::{classify::classify_commit, transaction};
use crate::store::{Clock, Error};

/// The most writes of one transaction.
const COMMIT_WRITES: usize = 256;

/// The most writes that wait or are under way. Others wait for room.
const QUEUE_WRITES: u32 = 4096;

/// A write within a transaction that others share. It may be run again, in a transaction of its own.
#[async_trait]
pub(super) trait SharedWrite: Send + Sync + 'static {
    /// What it answers.
    type Answer: Send + 'static;

    /// Runs its statements. Where it fails, nothing of the transaction is committed.
    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<Self::Answer, Error>;
}

/// A write of whatever kind, its answer, and who waits for that.
#[async_trait]
trait Waiting: Send {
    /// Runs the write, and tells whether it went well. The answer is kept until the commit.
    async fn run(&mut self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> bool;

    /// Answers, after the commit; with an error, where there was none.
    fn settle(self: Box<Self>, failure: Option<&Error>);
}

struct Caller<W: SharedWrite> {
    write: W,
    answer: Option<Result<W::Answer, Error>>,
    sender: oneshot::Sender<Result<W::Answer, Error>>,
}

#[async_trait]
impl<W: SharedWrite> Waiting for Caller<W> {
    async fn run(&mut self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> bool {
        let answer = self.write.run(connection, now).await;
        let is_well = answer.is_ok();
        self.answer = Some(answer);
        is_well
    }

    fn settle(self: Box<Self>, failure: Option<&Error>) {
        let answer = match (failure, self.answer) {
            (Some(failure), None | Some(Ok(_))) => Err(failure.clone()),
            (_, Some(answer)) => answer,
            (None, None) => Err(Error::Unavailable { source: None }),
        };
        // Nobody listens where the caller went away.
        drop(self.sender.send(answer));
    }
}

/// Puts concurrent callers' writes into common transactions, run by a task of the store's own.
///
/// A caller that goes away takes nothing with it.
pub(super) struct SharedCommits {
    shared: Arc<Shared>,
}

struct Shared {
    writer: SqlitePool,
    clock: Arc<dyn Clock>,
    line: Mutex<Line>,
    room: Semaphore,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Box<dyn Waiting>>,
    is_running: bool,
}

impl SharedCommits {
    pub(super) fn new(writer: SqlitePool, clock: Arc<dyn Clock>) -> Self {
        let room = Semaphore::new(QUEUE_WRITES as usize);
        Self { shared: Arc::new(Shared { writer, clock, line: Mutex::default(), room }) }
    }

    /// Queues a write and waits for its answer.
    pub(super) async fn write<W: SharedWrite>(&self, write: W) -> Result<W::Answer, Error> {
        let runtime = Handle::try_current().map_err(Error::unavailable)?;
        let room = self.shared.room.acquire().await.map_err(Error::unavailable)?;
        room.forget();
        let (sender, receiver) = oneshot::channel();
        let runner = {
            let mut line = self.shared.line();
            line.waiting.push_back(Box::new(Caller { write, answer: None, sender }));
            // Made here and not in the task: one that is dropped before it ran must make room as well.
            (!mem::replace(&mut line.is_running, true)).then(|| Runner::new(&self.shared))
        };
        if let Some(runner) = runner {
            runtime.spawn(runner.run());
        }
        // The runtime that ran it is gone, and with it the answer.
        receiver.await.unwrap_or_else(|gone| Err(Error::outcome_unknown(gone)))
    }

    /// Takes nothing more and waits until all that was taken has been answered.
    pub(super) async fn close(&self) {
        if let Ok(room) = self.shared.room.acquire_many(QUEUE_WRITES).await {
            room.forget();
            self.shared.room.close();
        }
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs writes in one transaction. An error: nothing is committed, or nobody knows. `false`: one of them has failed, and
    /// nothing is committed.
    async fn commit(&self, writes: &mut [Box<dyn Waiting>]) -> Result<bool, Error> {
        let mut transaction = transaction::begin(&self.writer).await?;
        let now = self.clock.now_in_micros();
        for write in writes {
            if !write.run(&mut transaction, now).await {
                // Where SQLite has ended it by itself, the next one that begins finds that out.
                drop(transaction);
                return Ok(false);
            }
        }
        transaction.commit().await.map_err(classify_commit)?;
        Ok(true)
    }
}

/// Commits batch after batch until nobody waits.
struct Runner {
    shared: Arc<Shared>,
    /// Taken, and not answered yet.
    in_flight: VecDeque<Box<dyn Waiting>>,
    has_ended: bool,
}

impl Runner {
    fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), in_flight: VecDeque::new(), has_ended: false }
    }

    async fn run(mut self) {
        // Those who were woken together come together.
        tokio::task::yield_now().await;
        while self.take() {
            let writes = self.in_flight.make_contiguous();
            match self.shared.commit(writes).await {
                Ok(false) if self.in_flight.len() > 1 => self.commit_one_by_one().await,
                Ok(_) => self.settle(self.in_flight.len(), None),
                Err(error) => self.settle(self.in_flight.len(), Some(&error)),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Each in a transaction of its own, where one has failed: so that it does not fail its neighbours.
    async fn commit_one_by_one(&mut self) {
        while let Some(first) = self.in_flight.make_contiguous().first_mut() {
            let committed = self.shared.commit(std::slice::from_mut(first)).await;
            self.settle(1, committed.err().as_ref());
        }
    }

    /// Takes what waits, or ends.
    fn take(&mut self) -> bool {
        let mut line = self.shared.line();
        let writes = line.waiting.len().min(COMMIT_WRITES);
        self.in_flight.extend(line.waiting.drain(..writes));
        line.is_running = writes > 0;
        self.has_ended = writes == 0;
        writes > 0
    }

    /// Answers the first so many.
    fn settle(&mut self, writes: usize, failure: Option<&Error>) {
        for write in self.in_flight.drain(..writes) {
            write.settle(failure);
        }
        self.shared.room.add_permits(writes);
    }
}

impl Drop for Runner {
    /// Its runtime is gone: what is under way is left without an answer, and what waits is answered so.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let waiting = {
            let mut line = self.shared.line();
            line.is_running = false;
            mem::take(&mut line.waiting)
        };
        self.shared.room.add_permits(self.in_flight.len() + waiting.len());
        for write in waiting {
            write.settle(Some(&Error::Unavailable { source: None }));
        }
    }
}

impl fmt::Debug for SharedCommits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCommits").field("room", &self.shared.room.available_permits()).finish_non_exhaustive()
    }
}
