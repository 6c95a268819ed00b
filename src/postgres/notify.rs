//! Waking other processes: NOTIFY after commits and LISTEN while somebody waits, on connections of their own.
//!
//! Never in the transaction of an append: a transaction that notifies holds a lock of the whole database while it commits,
//! and all commits would go one by one. A notice can be late or lost, and then waiting takes as long as polling does.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::future::select;
use sqlx::{
    PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    classify::classify,
    row::named,
    statement::{NOTIFY_EVENTS, READ_CHANNEL},
};
use crate::store::{Error, telemetry};

/// How long it takes until there is another notice: what is committed meanwhile is told by that one.
const NOTICE_EVERY: Duration = Duration::from_millis(5);
/// How long a connection is kept for which there is nothing to do. One that listens is asked as often whether it lives.
const LINGER: Duration = Duration::from_secs(10);
/// How long an answer is waited for.
const REPLY_WITHIN: Duration = Duration::from_secs(5);
/// The pauses after a failure: the first, and what they grow to.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// Tells other processes of commits, and hears of theirs.
#[derive(Clone)]
pub(super) struct Notices {
    /// `None` behind a pooler, where a connection that listens belongs to nobody.
    shared: Option<Arc<Shared>>,
}

struct Shared {
    /// One connection that tells and one that listens.
    pool: PgPool,
    state: Mutex<State>,
    /// Told of commits, while the task that sends is there.
    committed: Notify,
    /// Told of others' commits. It keeps one word for who comes later.
    heard: Notify,
    /// The process that sends for this store; its own notices tell nothing new. 0: not known yet.
    own_pid: AtomicI32,
}

#[derive(Debug)]
struct State {
    is_sending: bool,
    has_committed: bool,
    is_listening: bool,
    waiting: usize,
    /// When the last one who waited has left.
    left: Instant,
}

impl Notices {
    pub(super) fn new(connect: PgConnectOptions, timeout: Duration, is_pooled: bool) -> Self {
        let shared = (!is_pooled).then(|| {
            let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(timeout).idle_timeout(LINGER);
            let left = Instant::now();
            Arc::new(Shared {
                pool: pool.connect_lazy_with(connect),
                state: Mutex::new(State {
                    is_sending: false,
                    has_committed: false,
                    is_listening: false,
                    waiting: 0,
                    left,
                }),
                committed: Notify::new(),
                heard: Notify::new(),
                own_pid: AtomicI32::new(0),
            })
        });
        Self { shared }
    }

    /// Has other processes told that events were committed, soon.
    pub(super) fn committed(&self) {
        let (Some(shared), Ok(runtime)) = (&self.shared, Handle::try_current()) else {
            return;
        };
        let sender = {
            let mut state = shared.state();
            state.has_committed = true;
            let sender = (!state.is_sending).then(|| Sender { shared: Arc::clone(shared), has_ended: false });
            state.is_sending = true;
            sender
        };
        match sender {
            Some(sender) => drop(runtime.spawn(sender.run())),
            None => shared.committed.notify_one(),
        }
    }

    /// Waits until another process tells of a commit.
    pub(super) async fn noticed(&self) {
        let Some(shared) = &self.shared else {
            return std::future::pending().await;
        };
        let _waits = shared.enter();
        shared.heard.notified().await;
    }

    /// Ends both connections.
    pub(super) async fn close(&self) {
        if let Some(shared) = &self.shared {
            shared.pool.close().await;
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("are_used", &self.shared.is_some()).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pauses after a failure, until the store is closed.
    async fn pause(&self, pause: Duration) {
        select(pin!(sleep(pause)), pin!(self.pool.close_event())).await;
    }

    /// Enters somebody who waits, and sees to it that somebody listens.
    fn enter(self: &Arc<Self>) -> Waits {
        let listener = {
            let mut state = self.state();
            state.waiting += 1;
            let listener = (!state.is_listening).then(|| Listener { shared: Arc::clone(self), has_ended: false });
            state.is_listening = true;
            listener
        };
        if let (Some(listener), Ok(runtime)) = (listener, Handle::try_current()) {
            drop(runtime.spawn(listener.run()));
        }
        Waits(Arc::clone(self))
    }
}

impl State {
    /// Whether somebody waits, or has until lately: who follows the log is gone only between two waits.
    fn is_awaited(&self) -> bool {
        self.waiting > 0 || self.left.elapsed() < LINGER
    }
}

/// Strikes somebody out who waits no longer.
struct Waits(Arc<Shared>);

impl Drop for Waits {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        state.left = Instant::now();
    }
}

/// The task that tells. It ends when nothing was committed for long.
struct Sender {
    shared: Arc<Shared>,
    has_ended: bool,
}

impl Sender {
    async fn run(mut self) {
        let mut connection = None;
        let mut pauses = pauses().build();
        while let Some(()) = self.next().await {
            match self.tell(&mut connection).await {
                Ok(()) => {
                    pauses = self::pauses().build();
                    sleep(NOTICE_EVERY).await;
                }
                Err(_) if self.shared.pool.is_closed() => return,
                Err(error) => {
                    connection = None;
                    let pause = pauses.next().unwrap_or(PAUSES.1);
                    telemetry::retry("telling other processes of events", 1, pause, &error);
                    self.shared.pause(pause).await;
                }
            }
        }
    }

    /// Waits for the next commit; `None` where there was none for long, or the store is closed.
    async fn next(&mut self) -> Option<()> {
        let until = Instant::now() + LINGER;
        loop {
            {
                let mut state = self.shared.state();
                if std::mem::take(&mut state.has_committed) {
                    return Some(());
                }
                if Instant::now() >= until || self.shared.pool.is_closed() {
                    // In one step with the look at what was committed: who commits from here on makes another task.
                    (state.is_sending, self.has_ended) = (false, true);
                    return None;
                }
            }
            let committed = pin!(self.shared.committed.notified());
            let (end, closed) = (pin!(sleep_until(until)), pin!(self.shared.pool.close_event()));
            select(committed, select(end, closed)).await;
        }
    }

    async fn tell(&self, kept: &mut Option<PoolConnection<Postgres>>) -> Result<(), Error> {
        let connection = match kept {
            Some(connection) => connection,
            None => kept.insert(self.shared.pool.acquire().await.map_err(classify)?),
        };
        let told = timeout(REPLY_WITHIN, sqlx::query(NOTIFY_EVENTS).fetch_one(&mut **connection)).await;
        let row = told.map_err(Error::unavailable)?.map_err(classify)?;
        self.shared.own_pid.store(named(&row, "pid")?, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Sender {
    /// Its runtime is gone: the next commit makes another.
    fn drop(&mut self) {
        if !self.has_ended {
            self.shared.state().is_sending = false;
        }
    }
}

/// The task that listens. It ends when nobody waits for long.
struct Listener {
    shared: Arc<Shared>,
    has_ended: bool,
}

impl Listener {
    async fn run(mut self) {
        let mut pauses = pauses().build();
        let mut attempt = 0;
        while self.goes_on() {
            let begun = Instant::now();
            let Err(error) = self.listen().await else { continue };
            if self.shared.pool.is_closed() {
                continue;
            }
            // What was told while nobody listened is found by a look.
            self.shared.heard.notify_one();
            if begun.elapsed() >= PAUSES.1 {
                (pauses, attempt) = (self::pauses().build(), 0);
            }
            attempt += 1;
            let pause = pauses.next().unwrap_or(PAUSES.1);
            telemetry::retry("listening for the events of other processes", attempt, pause, &error);
            self.shared.pause(pause).await;
        }
    }

    /// Ends where nobody waits any more, in one step: who comes later makes another task.
    fn goes_on(&mut self) -> bool {
        let mut state = self.shared.state();
        state.is_listening = state.is_awaited() && !self.shared.pool.is_closed();
        self.has_ended = !state.is_listening;
        state.is_listening
    }

    /// Listens until nobody waits for long enough; an error where the connection is lost.
    async fn listen(&self) -> Result<(), Error> {
        let mut listener = PgListener::connect_with(&self.shared.pool).await.map_err(classify)?;
        listener.eager_reconnect(false);
        let row = sqlx::query(READ_CHANNEL).fetch_one(&mut listener).await.map_err(classify)?;
        listener.listen(named(&row, "channel")?).await.map_err(classify)?;
        // What was committed before this was told to nobody.
        self.shared.heard.notify_one();
        while self.shared.state().is_awaited() {
            match timeout(LINGER, listener.try_recv()).await {
                Ok(Ok(Some(notice))) => {
                    let pid = i32::try_from(notice.process_id()).unwrap_or(0);
                    if pid != self.shared.own_pid.load(Ordering::Relaxed) {
                        self.shared.heard.notify_one();
                    }
                }
                Ok(Ok(None)) => return Err(Error::Unavailable { source: None }),
                Ok(Err(error)) => return Err(classify(error)),
                // A network that has swallowed the connection tells nothing.
                Err(_) => {
                    let answer = timeout(REPLY_WITHIN, sqlx::query(READ_CHANNEL).fetch_one(&mut listener)).await;
                    drop(answer.map_err(Error::unavailable)?.map_err(classify)?);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Listener {
    /// Its runtime is gone: whoever waits next makes another.
    fn drop(&mut self) {
        if !self.has_ended {
            self.shared.state().is_listening = false;
        }
    }
}

fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default().with_jitter().with_min_delay(PAUSES.0).with_max_delay(PAUSES.1).without_max_times()
}
