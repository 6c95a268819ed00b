//! The port of timers: what is due at a time, and who fires it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Due, DueClaim, Error, HeldTimer, NewTimer, Settled, Timer, TimerCounts, TimerQuery, TimerState, Work};

/// Keeps timers. Object-safe.
///
/// A timer is in one queue. It is taken by one at a time, for as long as the lease is kept alive, and a late holder changes
/// nothing: so it is fired **at least once**, at or after it is due. Its effect is had once where it bears the timer's id: see
/// [`Timers`](crate::process::Timers).
///
/// All calls may be repeated after an error, with the same effect as one.
#[async_trait]
pub trait TimerStore: fmt::Debug + Send + Sync {
    /// Sets timers, all or none: 1,000 at the most. Tells how each stands then.
    ///
    /// One whose id is there already stays as it is, waiting or fired or cancelled. Of those with one id the first counts.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] before anything is sent; a failed write: call again.
    async fn schedule_timers(&self, queue: &str, timers: &[NewTimer]) -> Result<Vec<TimerState>, Error>;

    /// Has a timer be due at another time. Tells how it stands then; `None`: there is none.
    ///
    /// One that waits or is parked waits for its new time, from whoever may be firing it; others stay as they are.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn move_timer(&self, queue: &str, id: Uuid, due_at: DateTime<Utc>) -> Result<Option<Timer>, Error>;

    /// Cancels a timer. Tells how it stood before; `None`: there was none.
    ///
    /// It is remembered for so long, also where there was none: one that is set late does not fire. Where it had been taken
    /// by somebody, that one may have had its effect.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn cancel_timer(&self, queue: &str, id: Uuid, keep_for: Duration) -> Result<Option<Timer>, Error>;

    /// Has something be looked at, at this time or sooner: 1,000 at the most.
    ///
    /// Makes what is not there. What is held is looked at again afterwards; what has failed, at once, which counts as no attempt. What is parked,
    /// has fired or was cancelled stays so.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn wake_timers(&self, queue: &str, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), Error>;

    /// Takes what is due.
    ///
    /// # Errors
    ///
    /// A failed write: call again. What was taken without being told is free when its lease lapses.
    async fn claim_due(&self, claim: &DueClaim) -> Result<Due, Error>;

    /// Gives signs of life. Tells of which ids the lease is lost, or they were moved or cancelled.
    ///
    /// # Errors
    ///
    /// A failed write: call again, before the lease lapses.
    async fn renew_timers(&self, held: &[HeldTimer], lease: Duration) -> Result<Vec<Uuid>, Error>;

    /// Says what became of a timer. `false`: it is somebody else's by now, or was moved or cancelled; nothing was changed.
    ///
    /// # Errors
    ///
    /// A failed write: call again. Repeated after it was done it may answer `false`.
    async fn settle_timer(&self, held: &HeldTimer, settled: &Settled) -> Result<bool, Error>;

    /// Has a parked timer be tried again, at once and with no attempts counted. `false`: it is not parked.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn resume_timer(&self, queue: &str, id: Uuid) -> Result<bool, Error>;

    /// Finds a timer.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn timer(&self, queue: &str, id: Uuid) -> Result<Option<Timer>, Error>;

    /// Lists timers.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn list_timers(&self, query: &TimerQuery) -> Result<Vec<Timer>, Error>;

    /// Counts what there is to do in a queue.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn count_timers(&self, queue: &str) -> Result<TimerCounts, Error>;

    /// The store's clock.
    fn timer_clock(&self) -> DateTime<Utc>;
}

/// Transactions in which a timer's effect and its end commit together.
#[async_trait]
pub trait TimerWork: Work {
    /// Notes within the transaction that a timer has fired. `false`: it is somebody else's by now, was moved or cancelled;
    /// drop the transaction.
    ///
    /// # Errors
    ///
    /// As for [`Work::append`]: the transaction can only be dropped.
    async fn fire(&mut self, held: &HeldTimer, keep_for: Duration) -> Result<bool, Error>;
}

#[async_trait]
impl<S: TimerStore + ?Sized> TimerStore for Arc<S> {
    async fn schedule_timers(&self, queue: &str, timers: &[NewTimer]) -> Result<Vec<TimerState>, Error> {
        (**self).schedule_timers(queue, timers).await
    }

    async fn move_timer(&self, queue: &str, id: Uuid, due_at: DateTime<Utc>) -> Result<Option<Timer>, Error> {
        (**self).move_timer(queue, id, due_at).await
    }

    async fn cancel_timer(&self, queue: &str, id: Uuid, keep_for: Duration) -> Result<Option<Timer>, Error> {
        (**self).cancel_timer(queue, id, keep_for).await
    }

    async fn wake_timers(&self, queue: &str, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), Error> {
        (**self).wake_timers(queue, ids, at).await
    }

    async fn claim_due(&self, claim: &DueClaim) -> Result<Due, Error> {
        (**self).claim_due(claim).await
    }

    async fn renew_timers(&self, held: &[HeldTimer], lease: Duration) -> Result<Vec<Uuid>, Error> {
        (**self).renew_timers(held, lease).await
    }

    async fn settle_timer(&self, held: &HeldTimer, settled: &Settled) -> Result<bool, Error> {
        (**self).settle_timer(held, settled).await
    }

    async fn resume_timer(&self, queue: &str, id: Uuid) -> Result<bool, Error> {
        (**self).resume_timer(queue, id).await
    }

    async fn timer(&self, queue: &str, id: Uuid) -> Result<Option<Timer>, Error> {
        (**self).timer(queue, id).await
    }

    async fn list_timers(&self, query: &TimerQuery) -> Result<Vec<Timer>, Error> {
        (**self).list_timers(query).await
    }

    async fn count_timers(&self, queue: &str) -> Result<TimerCounts, Error> {
        (**self).count_timers(queue).await
    }

    fn timer_clock(&self) -> DateTime<Utc> {
        (**self).timer_clock()
    }
}
