//! The commit queue: what waits goes as one batch, as one commit.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, oneshot},
    task::yield_now,
};
use uuid::Uuid;

use super::{
    line::{Bounds, Line, Waiting, work},
    tuning::{QUEUE_KIB, YIELDS},
    under_way::{LoadUnderWay, UnderWay},
};
use crate::store::{Append, Appended, Backend, Error, Fault, Limits, telemetry};

/// Puts concurrent callers' appends into common batches, written by tasks of the store's own.
///
/// A caller that goes away takes nothing with it: its append is written or not as if it had stayed.
#[derive(Debug)]
pub(in super::super) struct CommitQueue<B> {
    shared: Arc<Shared<B>>,
}

#[derive(Debug)]
struct Shared<B> {
    backend: Arc<B>,
    line: Mutex<Line>,
    room: Semaphore,
    under_way: Arc<UnderWay>,
    /// Loads count in the dispatch. They do not where there is nothing to choose.
    is_adaptive: bool,
    /// Told when events were committed.
    committed: Arc<Notify>,
}

impl<B: Backend + 'static> CommitQueue<B> {
    pub(in super::super) fn new(backend: Arc<B>, limits: &Limits, committed: Arc<Notify>) -> Self {
        let writes = backend.concurrency().writes.max(1);
        let bounds = Bounds { writes, appends: limits.commit_appends.max(1), bytes: limits.append_bytes };
        let shared = Shared {
            backend,
            line: Mutex::new(Line::new(bounds)),
            room: Semaphore::new(QUEUE_KIB as usize),
            under_way: Arc::default(),
            is_adaptive: writes > 1,
            committed,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Queues appends and waits for their answers.
    pub(in super::super) async fn push(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        let is_alone = batch.len() == 1;
        let mut receivers = Vec::with_capacity(batch.len());
        for append in batch {
            let (answer, receiver) = oneshot::channel();
            let waiting = Waiting { bytes: append.stored_bytes(), append, answer };
            // Room is given free when a batch was written, whoever waits for the answers: this cannot wait for itself.
            match (self.shared.room.acquire_many(waiting.room()).await, Handle::try_current()) {
                (Ok(room), Ok(runtime)) => {
                    room.forget();
                    self.shared.push(waiting, is_alone, &runtime);
                }
                (Err(_), _) => waiting.refuse(closed()),
                (_, Err(no_runtime)) => waiting.refuse(Error::unavailable(no_runtime)),
            }
            receivers.push(receiver);
        }
        let mut answers = Vec::with_capacity(receivers.len());
        for receiver in receivers {
            // The runtime that wrote the batch is gone, and with it the answer.
            answers.push(receiver.await.unwrap_or_else(|gone| Err(Error::outcome_unknown(gone))));
        }
        answers
    }

    /// A load begins, of which an append may come.
    pub(in super::super) fn load_begins(&self, aggregate_id: Uuid) -> Option<LoadUnderWay> {
        self.shared.is_adaptive.then(|| self.shared.under_way.begin(aggregate_id))
    }

    /// Takes nothing more and waits until all that was taken has been answered.
    pub(in super::super) async fn close(&self) {
        // All the room there is: nothing waits and nothing is being written.
        if let Ok(room) = self.shared.room.acquire_many(QUEUE_KIB).await {
            room.forget();
            self.shared.room.close();
        }
    }
}

fn closed() -> Error {
    Error::Unavailable { source: None }
}

impl<B: Backend + 'static> Shared<B> {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many appends are expected of loads under way.
    fn expected(&self) -> usize {
        if self.is_adaptive { self.under_way.count() } else { 0 }
    }

    fn push(self: &Arc<Self>, waiting: Waiting, is_alone: bool, runtime: &Handle) {
        if self.is_adaptive {
            self.under_way.queued(waiting.append.aggregate_id);
        }
        let expected = self.expected();
        let mut line = self.line();
        if is_alone && line.goes_at_once(&waiting.append, expected) {
            line.begins();
            line.departs(waiting.append.aggregate_id);
            // Made here and not in the task: a task that is dropped before it ran must release all this as well.
            let runner = Runner::holding(self, vec![waiting]);
            drop(line);
            runtime.spawn(runner.run());
        } else {
            line.waiting.push_back(waiting);
            self.wake(line, expected, runtime);
        }
    }

    /// Wakes somebody for what waits, where that is due.
    fn wake(self: &Arc<Self>, mut line: MutexGuard<'_, Line>, expected: usize, runtime: &Handle) {
        if line.wakes(expected) {
            let runner = Runner::holding(self, Vec::new());
            drop(line);
            runtime.spawn(runner.run());
        }
    }
}

/// Writes batch after batch until nobody waits.
struct Runner<B: Backend + 'static> {
    shared: Arc<Shared<B>>,
    /// Taken, and not sent yet.
    unsent: Vec<Waiting>,
    /// Taken, and not answered yet: the aggregate and the room in the queue, in KiB, of each append.
    in_flight: VecDeque<(Uuid, u32)>,
    /// It was woken, and nobody else is while it lets others come.
    is_gathering: bool,
    /// It writes append by append.
    is_aside: bool,
    /// It has ended in its own time.
    has_ended: bool,
}

impl<B: Backend + 'static> Runner<B> {
    /// Begins with a batch in its hands, or empty-handed: then it gathers.
    fn holding(shared: &Arc<Shared<B>>, unsent: Vec<Waiting>) -> Self {
        let in_flight = unsent.iter().map(|waiting| (waiting.append.aggregate_id, waiting.room())).collect();
        let (shared, is_gathering) = (Arc::clone(shared), unsent.is_empty());
        Self { shared, unsent, in_flight, is_gathering, is_aside: false, has_ended: false }
    }

    async fn run(mut self) {
        loop {
            if self.unsent.is_empty() {
                self.let_others_come().await;
                self.take();
                if self.unsent.is_empty() {
                    return;
                }
            }
            self.write().await;
            if self.ends_for_lack_of_others() {
                return;
            }
        }
    }

    /// Ends where nobody waits and so few are about that each is sent at once anyway: to let others come would only wake
    /// threads.
    fn ends_for_lack_of_others(&mut self) -> bool {
        let expected = self.shared.expected();
        let mut line = self.shared.line();
        if line.waiting.is_empty() && line.is_few(expected) {
            line.ends();
            self.has_ended = true;
        }
        self.has_ended
    }

    async fn let_others_come(&self) {
        for _ in 0..YIELDS {
            yield_now().await;
        }
        let expected = self.shared.expected();
        if expected == 0 {
            return;
        }
        let patience = {
            let line = self.shared.line();
            if line.is_few(expected) { None } else { line.pace.patience() }
        };
        if let Some(patience) = patience {
            self.shared.under_way.none_for(patience).await;
        }
    }

    /// Takes what waits, or ends.
    fn take(&mut self) {
        let expected = self.shared.expected();
        let mut line = self.shared.line();
        if mem::take(&mut self.is_gathering) {
            line.gathered();
        }
        let taken = line.take(expected);
        if taken.batch.is_empty() {
            line.ends();
            self.has_ended = true;
            return;
        }
        self.in_flight.extend(taken.batch.iter().map(|waiting| (waiting.append.aggregate_id, waiting.room())));
        self.unsent = taken.batch;
        if taken.is_full {
            // More waits than goes into one batch.
            self.shared.wake(line, expected, &Handle::current());
        }
    }

    /// Writes a batch and answers.
    async fn write(&mut self) {
        let batch = mem::take(&mut self.unsent);
        let (appends, callers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.append, waiting.answer)).unzip();
        let started = Instant::now();
        let answers = self.shared.backend.write(&appends).await;
        let took = started.elapsed();
        if appends.len() > 1 && answers.iter().all(is_perhaps_one_of_them) {
            return self.write_one_by_one(&appends, callers).await;
        }
        telemetry::batch_written(&appends, &answers, took);
        if self.shared.is_adaptive && answers.iter().any(is_of_the_database) {
            let mut line = self.shared.line();
            line.pace.record(appends.iter().map(work).sum(), took);
            self.shared.under_way.set_patience(line.pace.time());
        }
        self.land(appends.len());
        if may_have_committed(&appends, &answers) {
            self.shared.committed.notify_one();
        }
        for (caller, answer) in callers.into_iter().zip(answers) {
            // Nobody listens where the caller went away.
            drop(caller.send(answer));
        }
    }

    /// Writes each append of a batch by itself, where the database failed on it as a whole: so that one that cannot be
    /// stored does not fail its neighbours.
    ///
    /// Each is answered, and gives its aggregate free, as soon as it is written; and where the database writes several
    /// batches at once, others go meanwhile as if this one were not there.
    async fn write_one_by_one(&mut self, appends: &[Append], callers: Vec<oneshot::Sender<Result<Appended, Error>>>) {
        let expected = self.shared.expected();
        {
            let mut line = self.shared.line();
            line.set_aside(true);
            self.is_aside = true;
            self.shared.wake(line, expected, &Handle::current());
        }
        for (append, caller) in appends.iter().zip(callers) {
            let append = std::slice::from_ref(append);
            let started = Instant::now();
            let mut answers = self.shared.backend.write(append).await;
            telemetry::batch_written(append, &answers, started.elapsed());
            self.land(1);
            if may_have_committed(append, &answers) {
                self.shared.committed.notify_one();
            }
            if let Some(answer) = answers.pop() {
                drop(caller.send(answer));
            }
            // Who waited for its aggregate can go.
            let expected = self.shared.expected();
            self.shared.wake(self.shared.line(), expected, &Handle::current());
        }
        self.is_aside = false;
        self.shared.line().set_aside(false);
    }

    /// Gives free what the first so many appends in flight hold: before they are answered, so that who was answered
    /// finds it free.
    fn land(&mut self, appends: usize) {
        let mut kib = 0;
        {
            let mut line = self.shared.line();
            line.written(appends);
            for (aggregate_id, room) in self.in_flight.drain(..appends.min(self.in_flight.len())) {
                line.lands(aggregate_id);
                kib += room as usize;
            }
        }
        self.shared.room.add_permits(kib);
    }
}

/// Tells an answer of the database from one that says it could not be asked: how long that took says nothing.
const fn is_of_the_database(answer: &Result<Appended, Error>) -> bool {
    matches!(answer, Ok(_) | Err(Error::Conflict { .. } | Error::KeyReused { .. } | Error::Invalid { .. }))
}

/// Tells a failure that one append of a batch may have brought on all, from one that will meet each of them.
const fn is_perhaps_one_of_them(answer: &Result<Appended, Error>) -> bool {
    match answer {
        Err(Error::Backend { fault, .. }) => !matches!(fault, Fault::ReadOnly),
        _ => false,
    }
}

/// Tells whether readers of the log may see more than before.
fn may_have_committed(appends: &[Append], answers: &[Result<Appended, Error>]) -> bool {
    appends.iter().zip(answers).any(|(append, answer)| match answer {
        Ok(appended) => !appended.replayed && !append.events.is_empty(),
        Err(error) => error.is_outcome_unknown(),
    })
}

impl<B: Backend + 'static> Drop for Runner<B> {
    /// Its runtime is gone: what was being written is left without an answer, and what was not sent is answered so.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        self.land(self.in_flight.len());
        let mut unsent = mem::take(&mut self.unsent);
        let mut kib = 0;
        {
            let mut line = self.shared.line();
            if self.is_gathering {
                line.gathered();
            }
            if self.is_aside {
                line.set_aside(false);
            }
            line.ends();
            if !line.has_runners() {
                kib = line.waiting.iter().map(|waiting| waiting.room() as usize).sum();
                unsent.extend(line.waiting.drain(..));
            }
        }
        self.shared.room.add_permits(kib);
        for waiting in unsent {
            waiting.refuse(closed());
        }
    }
}
