//! Waiting for events: one watcher for all who wait, while somebody does.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{Either, select};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::{Instant, sleep, sleep_until},
};

use super::{Backend, Error, Position};

/// Says how often a store looks for the events of other processes.
///
/// It does while somebody waits for them. Events of the same store are noticed without looking, and so are those a database
/// tells of. Looking finds them all, whoever was told or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polling {
    /// The first pause between two looks. Default: 100 milliseconds; at least 1.
    pub every: Duration,
    /// What the pause grows to, by doubling, while nothing happens.
    ///
    /// At least `every`. Default on PostgreSQL: 1 second, since the database tells of commits as well. Default on SQLite:
    /// `every`, since nobody tells of what another process has written to the file; 1 minute in memory, where there is no
    /// other process.
    pub idle: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self { every: Duration::from_millis(100), idle: Duration::from_secs(1) }
    }
}

impl Polling {
    /// Looks at equal intervals, whether anything happens or not.
    #[must_use]
    pub const fn steady(interval: Duration) -> Self {
        Self { every: interval, idle: interval }
    }

    /// No pause is shorter: looking without one would keep the database busy.
    const SHORTEST: Duration = Duration::from_millis(1);

    fn first(&self) -> Duration {
        self.every.max(Self::SHORTEST)
    }

    fn longer(&self, pause: Duration) -> Duration {
        pause.saturating_mul(2).min(self.idle).max(self.first())
    }
}

/// After how many looks in a row that answered nobody the watcher lets things settle.
const FRUITLESS_LOOKS: u32 = 3;

/// How long it then leaves between looks, whatever it is told meanwhile: those who wait for a place far ahead do not
/// make it look after every commit.
const SETTLE: Duration = Duration::from_millis(2);

/// Answers those who wait for events.
///
/// The watcher is a task that runs while somebody waits, on the runtime of whoever came first. It looks once, for all,
/// whenever it is woken: by those who come, by commits of this store, by what the database tells, and by a timer.
#[derive(Debug)]
pub(super) struct Watch<B> {
    shared: Arc<Shared<B>>,
}

#[derive(Debug)]
struct Shared<B> {
    backend: Arc<B>,
    polling: Polling,
    /// Told when events were committed, and when somebody comes or goes. It keeps one word for a watcher that is busy.
    woken: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those who wait, by the order they came in.
    waiting: BTreeMap<u64, Waiting>,
    came: u64,
    is_watched: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Waiting {
    after: Position,
    answer: oneshot::Sender<Result<Position, Error>>,
}

impl<B: Backend + 'static> Watch<B> {
    pub(super) fn new(backend: Arc<B>, woken: Arc<Notify>, polling: Polling) -> Self {
        Self { shared: Arc::new(Shared { backend, polling, woken, state: Mutex::default() }) }
    }

    /// Waits until a reader may see an event after this position.
    pub(super) async fn wait_for(&self, after: Position) -> Result<Position, Error> {
        let runtime = Handle::try_current().map_err(Error::unavailable)?;
        let (receiver, _leaves) = self.shared.enter(after, &runtime)?;
        // The watcher's runtime is gone.
        receiver.await.unwrap_or_else(|gone| Err(Error::unavailable(gone)))
    }

    /// Lets nobody wait any more.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.shared.state();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting.into_values() {
            drop(waiting.answer.send(Err(Error::Unavailable { source: None })));
        }
        self.shared.woken.notify_one();
    }
}

type Entered<B> = (oneshot::Receiver<Result<Position, Error>>, Leaves<B>);

impl<B> Shared<B> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Backend + 'static> Shared<B> {
    /// Enters somebody who waits, and sees to it that there is a watcher.
    fn enter(self: &Arc<Self>, after: Position, runtime: &Handle) -> Result<Entered<B>, Error> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.state();
        if state.is_closed {
            return Err(Error::Unavailable { source: None });
        }
        state.came += 1;
        let number = state.came;
        state.waiting.insert(number, Waiting { after, answer });
        // Made here and not in the task: a task that is dropped before it ran must let go as well.
        let watcher = (!state.is_watched).then(|| Watcher { shared: Arc::clone(self), has_ended: false });
        state.is_watched = true;
        drop(state);
        match watcher {
            Some(watcher) => drop(runtime.spawn(watcher.run())),
            // What they wait for may be there already.
            None => self.woken.notify_one(),
        }
        Ok((receiver, Leaves { shared: Arc::clone(self), number }))
    }
}

/// Strikes somebody out who waits no longer.
struct Leaves<B> {
    shared: Arc<Shared<B>>,
    number: u64,
}

impl<B> Drop for Leaves<B> {
    fn drop(&mut self) {
        let is_last = {
            let mut state = self.shared.state();
            state.waiting.remove(&self.number).is_some() && state.waiting.is_empty()
        };
        if is_last {
            // For nobody the watcher need not wait.
            self.shared.woken.notify_one();
        }
    }
}

/// Looks until nobody waits.
struct Watcher<B: Backend + 'static> {
    shared: Arc<Shared<B>>,
    has_ended: bool,
}

impl<B: Backend + 'static> Watcher<B> {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let backend = Arc::clone(&shared.backend);
        let mut told = backend.noticed();
        let (mut pause, mut fruitless, mut last) = (shared.polling.first(), 0_u32, None);
        while !self.ends() {
            let looked = Instant::now();
            let head = backend.head().await;
            let has_answered = self.answer(&head);
            if self.ends() {
                return;
            }
            let head = head.ok();
            pause = if head == last { shared.polling.longer(pause) } else { shared.polling.first() };
            last = head;
            fruitless = if has_answered { 0 } else { fruitless.saturating_add(1) };
            if fruitless >= FRUITLESS_LOOKS {
                sleep_until(looked + SETTLE).await;
            }
            let (woken, timer) = (pin!(shared.woken.notified()), pin!(sleep(pause)));
            let was_told = match select(woken, select(told.as_mut(), timer)).await {
                Either::Left(_) => continue,
                Either::Right((Either::Left(_), _)) => true,
                Either::Right((Either::Right(_), _)) => false,
            };
            if was_told {
                told = backend.noticed();
            }
        }
    }

    /// Answers those who wait for what is there; a look that failed answers all.
    fn answer(&self, head: &Result<Position, Error>) -> bool {
        let answered: Vec<_> = {
            let mut state = self.shared.state();
            let is_answered = |_: &u64, waiting: &mut Waiting| match head {
                Ok(head) => *head > waiting.after,
                Err(_) => true,
            };
            state.waiting.extract_if(.., is_answered).map(|(_, waiting)| waiting).collect()
        };
        let has_answered = !answered.is_empty();
        for waiting in answered {
            // Nobody listens where the caller went away.
            drop(waiting.answer.send(head.clone()));
        }
        has_answered
    }

    /// Ends if nobody waits. Whoever comes later finds no watcher, and makes one.
    fn ends(&mut self) -> bool {
        let mut state = self.shared.state();
        if !self.has_ended && state.waiting.is_empty() {
            state.is_watched = false;
            self.has_ended = true;
        }
        self.has_ended
    }
}

impl<B: Backend + 'static> Drop for Watcher<B> {
    /// Its runtime is gone, or the database panicked: those who wait are told.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let waiting = {
            let mut state = self.shared.state();
            state.is_watched = false;
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Polling;

    /// The pauses from the first on, in milliseconds, while nothing happens.
    fn pauses(polling: Polling) -> Vec<u128> {
        let pauses = std::iter::successors(Some(polling.first()), |pause| Some(polling.longer(*pause)));
        pauses.take(6).map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn pauses_grow_while_nothing_happens_and_steady_ones_do_not() {
        assert_eq!(pauses(Polling::default()), [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(pauses(Polling::steady(Duration::from_millis(100))), [100; 6]);
        assert_eq!(pauses(Polling::steady(Duration::ZERO)), [1; 6]);
        let crossed = Polling { every: Duration::from_millis(7), idle: Duration::from_millis(3) };
        assert_eq!(pauses(crossed), [7; 6]);
    }
}
