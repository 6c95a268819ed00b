//! Sets timers, moves and cancels them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{FiredTimer, TimerRunner};
use crate::{
    read::BoxError,
    store::{Error, NewTimer, Timer, TimerCounts, TimerQuery, TimerState, TimerStore},
};

/// Timers of one queue: deadlines, reminders, commands that are sent at a time.
///
/// A timer is a row: it outlives its process, and fires **at least once**, at or after it is due, by the clock of the store. Its
/// effect is had once where it is a command under the timer's [`key`](FiredTimer::key), or is committed
/// [with the timer's end](FiredTimer::within).
///
/// A command at a time, on a [`Repository`](crate::Repository):
///
/// ```
/// # use annals::{Aggregate, Repository, SqliteStore, process::Timers};
/// # #[derive(Debug, Default, Clone)] struct Order { is_cancelled: bool }
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # #[serde(tag = "type", content = "data", rename_all = "kebab-case")]
/// # enum OrderEvent { Cancelled {} }
/// # #[derive(Debug, Clone, serde::Serialize)] enum OrderCommand { CancelUnpaid }
/// # #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, thiserror::Error)]
/// # #[error("refused")] enum Refused {}
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Command = OrderCommand;
/// #     type Event = OrderEvent;
/// #     type Rejection = Refused;
/// #     fn decide(&self, _: &OrderCommand) -> Result<Vec<OrderEvent>, Refused> {
/// #         Ok(if self.is_cancelled { vec![] } else { vec![OrderEvent::Cancelled {}] })
/// #     }
/// #     fn evolve(&mut self, _: &OrderEvent) { self.is_cancelled = true; }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use annals::{Id, IdempotencyKey};
///
/// let store = SqliteStore::open_in_memory().await?;
/// let orders = Repository::<Order>::new(&store);
/// let order = Id::<Order>::natural("537434");
///
/// let timers = Timers::new(&store, "unpaid-orders")?;
/// // The same id once more changes nothing: here there is one timer for each order.
/// timers.schedule_after(order.uuid(), Duration::ZERO, &order).await?;
///
/// let (done, shutdown) = tokio::sync::oneshot::channel::<()>();
/// let (done, repository) = (std::sync::Mutex::new(Some(done)), orders.clone());
/// timers
///     .run(async { drop(shutdown.await) }, move |timer| {
///         let (repository, done) = (repository.clone(), done.lock().unwrap().take());
///         async move {
///             let order: Id<Order> = timer.payload()?;
///             repository.execute(order, &OrderCommand::CancelUnpaid).idempotency_key(timer.key()).await?;
///             drop(done); // enough for an example
///             Ok(())
///         }
///     })
///     .await?;
/// assert!(orders.load(order).await?.state.is_cancelled);
/// # Ok(())
/// # }
/// ```
///
/// Clones share what wakes a runner in the same process; others find a timer within the runner's
/// [`poll`](TimerRunner::poll).
#[derive(Debug, Clone)]
pub struct Timers {
    pub(super) store: Arc<dyn TimerStore>,
    pub(super) queue: Arc<str>,
    pub(super) keep_for: Duration,
    pub(super) woken: Arc<Notify>,
}

/// The most bytes of a queue's name.
const QUEUE_BYTES: usize = 200;

/// What names of queues of the crate's own begin with.
const RESERVED: &str = "process:";

/// How long it is remembered by default that a timer has fired or was cancelled: 30 days.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The most timers of a list.
const LISTED: u32 = 1_000;

impl Timers {
    /// Names a queue: 1 to 200 visible ASCII characters, and not `process:`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: it is not the name of a queue; mend it.
    pub fn new<S: TimerStore + Clone + 'static>(store: &S, queue: &str) -> Result<Self, Error> {
        let is_visible = !queue.is_empty() && queue.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || queue.len() > QUEUE_BYTES || queue.starts_with(RESERVED) {
            return Err(Error::invalid(format!(
                "timers are in a queue named by 1 to {QUEUE_BYTES} visible ASCII characters that does not begin with {RESERVED:?}"
            )));
        }
        Ok(Self { store: Arc::new(store.clone()), queue: queue.into(), keep_for: KEPT, woken: Arc::default() })
    }

    /// How long it is remembered that a timer has fired or was cancelled.
    ///
    /// So long its id stays used. 1 ms to 10 years; default: 30 days.
    #[must_use]
    pub const fn keep_for(mut self, time: Duration) -> Self {
        self.keep_for = time;
        self
    }

    /// Sets a timer, unless its id is there already. Tells how it stands then.
    ///
    /// Derive the id from what the timer is for, and setting it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`]: the payload is no JSON; [`Error::Invalid`]: it has more than 64 KiB, or the time is in no calendar.
    /// A failed write: call again.
    pub async fn schedule(
        &self,
        id: Uuid,
        due_at: DateTime<Utc>,
        payload: &(impl Serialize + Sync),
    ) -> Result<TimerState, Error> {
        let payload = serde_json::to_string(payload)
            .map_err(|error| Error::codec("what a timer says cannot be written as JSON", error))?;
        let timer = NewTimer { id, due_at, payload: payload.into() };
        let states = self.store.schedule_timers(&self.queue, &[timer]).await?;
        self.woken.notify_waiters();
        states.first().copied().ok_or_else(|| Error::corrupt("a timer that was set is not there"))
    }

    /// Sets a timer that is due after so long, by the clock of the store.
    ///
    /// # Errors
    ///
    /// As for [`schedule`](Self::schedule).
    pub async fn schedule_after(
        &self,
        id: Uuid,
        time: Duration,
        payload: &(impl Serialize + Sync),
    ) -> Result<TimerState, Error> {
        let due_at = TimeDelta::from_std(time).ok().and_then(|time| self.store.timer_clock().checked_add_signed(time));
        let due_at = due_at.ok_or_else(|| Error::invalid(format!("no calendar has a time {time:?} from now")))?;
        self.schedule(id, due_at, payload).await
    }

    /// Has a timer be due at another time.
    ///
    /// Tells how it stands then; `None`: there is none.
    ///
    /// Also one that is parked. One that is being fired is taken from whoever fires it: that one may have had its effect.
    /// One that has fired or was cancelled stays so.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    pub async fn move_to(&self, id: Uuid, due_at: DateTime<Utc>) -> Result<Option<Timer>, Error> {
        let moved = self.store.move_timer(&self.queue, id, due_at).await?;
        self.woken.notify_waiters();
        Ok(moved)
    }

    /// Cancels a timer. Tells how it stood before; `None`: there was none.
    ///
    /// One that is set only afterwards does not fire either. Where somebody had taken it, its effect may have been had.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    pub async fn cancel(&self, id: Uuid) -> Result<Option<Timer>, Error> {
        self.store.cancel_timer(&self.queue, id, self.keep_for).await
    }

    /// Finds a timer.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn find(&self, id: Uuid) -> Result<Option<Timer>, Error> {
        self.store.timer(&self.queue, id).await
    }

    /// Lists timers that were set aside, in the order of their ids: up to 1,000.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn list_parked(&self, after: Option<Uuid>) -> Result<Vec<Timer>, Error> {
        let state = Some(TimerState::Parked);
        self.store.list_timers(&TimerQuery { queue: Arc::clone(&self.queue), state, after, limit: LISTED }).await
    }

    /// Has a parked timer be tried again, at once. `false`: it is not parked.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    pub async fn resume(&self, id: Uuid) -> Result<bool, Error> {
        let is_resumed = self.store.resume_timer(&self.queue, id).await?;
        self.woken.notify_waiters();
        Ok(is_resumed)
    }

    /// Counts what there is to do.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn counts(&self) -> Result<TimerCounts, Error> {
        self.store.count_timers(&self.queue).await
    }

    /// What fires them, to be set up.
    pub fn runner(&self) -> TimerRunner {
        TimerRunner::new(self.clone())
    }

    /// Fires what is due until `shutdown` is ready.
    ///
    /// With the defaults of [`runner`](Self::runner).
    ///
    /// # Errors
    ///
    /// As for [`TimerRunner::run`].
    pub async fn run<H, F>(&self, shutdown: impl Future<Output = ()> + Send, handler: H) -> Result<(), Error>
    where
        H: Fn(FiredTimer) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.runner().run(shutdown, handler).await
    }
}
