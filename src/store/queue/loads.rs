//! The load queue: loads that wait share a round trip.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{runtime::Handle, sync::oneshot, task::yield_now};

use super::tuning::{LOADS_PER_BATCH, LONE_LOADS_GO_BY_THEMSELVES, WAITING_LOADS, YIELDS, YIELDS_BEFORE_LOADS};
use crate::store::{Backend, Error, Page, PageQuery};

type Answer = Result<Box<dyn Page>, Error>;

/// Puts concurrent callers' loads into common batches, read by tasks of the store's own.
///
/// A load sees whatever was acknowledged before it was asked for: it is put in line after that, a batch is taken from
/// the line after that, and only then is the database asked. Nobody joins a batch that was sent.
#[derive(Debug)]
pub(in super::super) struct LoadQueue<B> {
    shared: Arc<Shared<B>>,
}

#[derive(Debug)]
struct Shared<B> {
    backend: Arc<B>,
    /// The most batches at once; 0: every load goes by itself.
    batches: usize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Tasks that read batches, or are about to.
    runners: usize,
    /// One of them was woken and has not taken what waits yet.
    is_gathering: bool,
    /// Loads under way by themselves.
    alone: usize,
}

#[derive(Debug)]
struct Waiting {
    query: PageQuery,
    answer: oneshot::Sender<Answer>,
}

/// What becomes of a load.
pub(in super::super) enum Asked<B> {
    /// It goes by itself, in its caller's future, and says by this when it has ended.
    Alone(Option<Alone<B>>),
    /// It goes with others.
    Shared(oneshot::Receiver<Answer>),
}

impl<B: Backend + 'static> LoadQueue<B> {
    pub(in super::super) fn new(backend: Arc<B>) -> Self {
        let batches = backend.concurrency().loads;
        Self { shared: Arc::new(Shared { backend, batches, line: Mutex::default() }) }
    }

    /// Tells whether loads share round trips at all.
    pub(in super::super) fn is_used(&self) -> bool {
        self.shared.batches > 0
    }

    /// Puts a load in line, or sends it on its own way.
    pub(in super::super) fn ask(&self, query: &PageQuery) -> Asked<B> {
        let Ok(runtime) = Handle::try_current() else {
            return Asked::Alone(None);
        };
        let mut line = self.shared.line();
        if LONE_LOADS_GO_BY_THEMSELVES && line.alone == 0 && line.runners == 0 {
            line.alone += 1;
            return Asked::Alone(Some(Alone { shared: Arc::clone(&self.shared) }));
        }
        if line.waiting.len() >= WAITING_LOADS {
            return Asked::Alone(None);
        }
        let (answer, receiver) = oneshot::channel();
        line.waiting.push_back(Waiting { query: query.clone(), answer });
        self.shared.wake(line, &runtime);
        Asked::Shared(receiver)
    }
}

impl<B: Backend + 'static> Shared<B> {
    fn wake(self: &Arc<Self>, mut line: MutexGuard<'_, Line>, runtime: &Handle) {
        if !line.waiting.is_empty() && !line.is_gathering && line.runners < self.batches {
            line.runners += 1;
            line.is_gathering = true;
            // Made here and not in the task: a task that is dropped before it ran must release the line as well.
            let runner = Runner { shared: Arc::clone(self), is_gathering: true, has_ended: false };
            drop(line);
            runtime.spawn(runner.run());
        }
    }
}

impl<B> Shared<B> {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A load that goes by itself: those that come meanwhile gather.
#[derive(Debug)]
pub(in super::super) struct Alone<B> {
    shared: Arc<Shared<B>>,
}

impl<B> Drop for Alone<B> {
    fn drop(&mut self) {
        self.shared.line().alone -= 1;
    }
}

/// Reads batch after batch until nobody waits.
struct Runner<B: Backend + 'static> {
    shared: Arc<Shared<B>>,
    is_gathering: bool,
    has_ended: bool,
}

impl<B: Backend + 'static> Runner<B> {
    async fn run(mut self) {
        let mut yields = YIELDS_BEFORE_LOADS;
        loop {
            for _ in 0..yields {
                yield_now().await;
            }
            let (queries, callers) = self.take();
            if queries.is_empty() {
                return;
            }
            let pages = self.shared.backend.load_pages(&queries).await;
            for (caller, page) in callers.into_iter().zip(pages) {
                // Nobody listens where the caller went away.
                drop(caller.send(page));
            }
            // Callers that were answered together may ask together again.
            yields = YIELDS;
        }
    }

    /// Takes what waits, without those whose callers went away; ends where nobody does.
    fn take(&mut self) -> (Vec<PageQuery>, Vec<oneshot::Sender<Answer>>) {
        let mut line = self.shared.line();
        if self.is_gathering {
            self.is_gathering = false;
            line.is_gathering = false;
        }
        let (mut queries, mut callers) = (Vec::new(), Vec::new());
        while queries.len() < LOADS_PER_BATCH
            && let Some(waiting) = line.waiting.pop_front()
        {
            if !waiting.answer.is_closed() {
                queries.push(waiting.query);
                callers.push(waiting.answer);
            }
        }
        if queries.is_empty() {
            line.runners -= 1;
            self.has_ended = true;
        } else {
            // More waits than goes into one batch.
            self.shared.wake(line, &Handle::current());
        }
        (queries, callers)
    }
}

impl<B: Backend + 'static> Drop for Runner<B> {
    /// Its runtime is gone: whoever waits is told, by silence, and goes by itself.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut line = self.shared.line();
        if self.is_gathering {
            line.is_gathering = false;
        }
        line.runners -= 1;
        if line.runners == 0 {
            line.waiting.clear();
        }
    }
}
