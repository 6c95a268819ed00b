//! The commit queue: what waits while one batch is being written goes as the next, as one commit.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
    task::yield_now,
};

use super::{Append, Appended, Backend, Error, Limits, telemetry};

/// The most that waits or is being written, in KiB; whoever comes then waits for room.
const QUEUE_KIB: u32 = 64 * 1024;

/// What an append takes of that at the least: so that no more than 8,192 wait.
const APPEND_KIB: u32 = 8;

/// How often a runner lets others go first before it takes what waits: so that callers that were just answered, or
/// woken together, are in the same batch. No timer, and nothing is lost where nobody else is there.
const YIELDS: usize = 3;

/// Puts concurrent callers' appends into common batches, written by tasks of the store's own.
///
/// A caller that goes away takes nothing with it: its append is written or not as if it had stayed.
#[derive(Debug)]
pub(super) struct CommitQueue<B> {
    shared: Arc<Shared<B>>,
}

#[derive(Debug)]
struct Shared<B> {
    backend: B,
    /// The most appends of one commit.
    batch_appends: usize,
    /// The most payload bytes of one commit, unless a single append has more.
    batch_bytes: usize,
    line: Mutex<Line>,
    room: Semaphore,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// A task is writing, or about to.
    is_running: bool,
}

#[derive(Debug)]
struct Waiting {
    append: Append,
    bytes: usize,
    answer: oneshot::Sender<Result<Appended, Error>>,
}

impl<B: Backend + 'static> CommitQueue<B> {
    pub(super) fn new(backend: B, limits: &Limits) -> Self {
        let room = Semaphore::new(QUEUE_KIB as usize);
        let (batch_appends, batch_bytes) = (limits.commit_appends.max(1), limits.append_bytes);
        Self { shared: Arc::new(Shared { backend, batch_appends, batch_bytes, line: Mutex::default(), room }) }
    }

    pub(super) fn backend(&self) -> &B {
        &self.shared.backend
    }

    /// Queues appends and waits for their answers.
    pub(super) async fn push(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        let mut receivers = Vec::with_capacity(batch.len());
        for append in batch {
            let (answer, receiver) = oneshot::channel();
            let waiting = Waiting { bytes: append.payload_bytes(), append, answer };
            // Room is given free when a batch was written, whoever waits for the answers: this cannot wait for itself.
            match (self.shared.room.acquire_many(waiting.room()).await, Handle::try_current()) {
                (Ok(room), Ok(runtime)) => {
                    room.forget();
                    self.shared.push(waiting, &runtime);
                }
                (Err(_), _) => waiting.refuse(closed()),
                (_, Err(no_runtime)) => waiting.refuse(Error::unavailable(no_runtime)),
            }
            receivers.push(receiver);
        }
        let mut answers = Vec::with_capacity(receivers.len());
        for receiver in receivers {
            answers.push(answered(receiver).await);
        }
        answers
    }

    /// Takes nothing more and waits until all that was taken has been answered.
    pub(super) async fn close(&self) {
        // All the room there is: nothing waits and nothing is being written.
        if let Ok(room) = self.shared.room.acquire_many(QUEUE_KIB).await {
            room.forget();
            self.shared.room.close();
        }
    }
}

impl Waiting {
    /// The room it takes while it waits and is being written.
    fn room(&self) -> u32 {
        u32::try_from(self.bytes / 1024).unwrap_or(QUEUE_KIB).clamp(APPEND_KIB, QUEUE_KIB)
    }

    /// Answers; nobody listens where the caller went away.
    fn refuse(self, error: Error) {
        drop(self.answer.send(Err(error)));
    }
}

async fn answered(receiver: oneshot::Receiver<Result<Appended, Error>>) -> Result<Appended, Error> {
    // The runtime that wrote the batch is gone, and with it the answer.
    receiver.await.unwrap_or_else(|gone| Err(Error::outcome_unknown(gone)))
}

fn closed() -> Error {
    Error::Unavailable { source: None }
}

impl<B: Backend + 'static> Shared<B> {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, waiting: Waiting, runtime: &Handle) {
        let mut line = self.line();
        line.waiting.push_back(waiting);
        if !line.is_running {
            line.is_running = true;
            // Made here and not in the task: a task that is dropped before it ran must release the line as well.
            let runner = Runner { shared: Arc::clone(self), has_line: true };
            drop(line);
            runtime.spawn(runner.run());
        }
    }
}

/// Writes batch after batch until nobody waits.
struct Runner<B: Backend + 'static> {
    shared: Arc<Shared<B>>,
    /// The line is this runner's to release.
    has_line: bool,
}

impl<B: Backend + 'static> Runner<B> {
    async fn run(mut self) {
        loop {
            for _ in 0..YIELDS {
                yield_now().await;
            }
            let batch = self.take();
            if batch.is_empty() {
                return;
            }
            let room =
                Room { semaphore: &self.shared.room, kib: batch.iter().map(|waiting| waiting.room() as usize).sum() };
            let (appends, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|waiting| (waiting.append, waiting.answer)).unzip();
            let written = self.write(&appends).await;
            drop(room);
            for (answer, result) in answers.into_iter().zip(written) {
                // Nobody listens where the caller went away.
                drop(answer.send(result));
            }
        }
    }

    /// Takes what waits, up to the bounds of a batch; releases the line where nobody does.
    fn take(&mut self) -> Vec<Waiting> {
        let mut line = self.shared.line();
        let (mut count, mut bytes) = (0, 0_usize);
        for waiting in line.waiting.iter().take(self.shared.batch_appends) {
            bytes = bytes.saturating_add(waiting.bytes);
            if count > 0 && bytes > self.shared.batch_bytes {
                break;
            }
            count += 1;
        }
        if count == 0 {
            line.is_running = false;
            self.has_line = false;
        }
        line.waiting.drain(..count).collect()
    }

    /// Writes a batch; where the database fails on it as a whole, each append by itself, so that one that cannot be
    /// stored does not fail its neighbours.
    async fn write(&self, batch: &[Append]) -> Vec<Result<Appended, Error>> {
        let started = Instant::now();
        let mut answers = self.shared.backend.write(batch).await;
        if batch.len() > 1 && answers.iter().all(|answer| matches!(answer, Err(Error::Backend { .. }))) {
            answers.clear();
            for append in batch {
                answers.append(&mut self.shared.backend.write(std::slice::from_ref(append)).await);
            }
        }
        telemetry::batch_written(batch, &answers, started.elapsed());
        answers
    }
}

/// Gives room in the queue free again, whatever becomes of the batch.
struct Room<'s> {
    semaphore: &'s Semaphore,
    kib: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.semaphore.add_permits(self.kib);
    }
}

impl<B: Backend + 'static> Drop for Runner<B> {
    /// Its runtime is gone while somebody still waits: what was not sent yet is answered so.
    fn drop(&mut self) {
        if !self.has_line {
            return;
        }
        let mut line = self.shared.line();
        line.is_running = false;
        for waiting in line.waiting.drain(..) {
            self.shared.room.add_permits(waiting.room() as usize);
            waiting.refuse(closed());
        }
    }
}
