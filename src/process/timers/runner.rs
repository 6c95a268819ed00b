//! Fires what is due.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::timeout;

use super::{FiredTimer, Timers};
use crate::{
    process::{
        due::{DueRunner, Tend, Until},
        patience::Pauses,
        telemetry,
    },
    read::{BoxError, Signal, process_owner, signal},
    store::{Error, HeldTimer, Settled, TimerState, with_sources},
};

/// Fires the timers of a queue.
///
/// Any number of runners may run, in any number of processes: they share what is due. One that dies is followed by another
/// when its leases lapse.
///
/// A handler that fails is tried again after a pause that doubles, and at last its timer is parked. Attempts whose runner died
/// count: a timer that kills its runners is parked without being handed out again.
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is run"]
pub struct TimerRunner {
    timers: Timers,
    owner: Arc<str>,
    concurrency: usize,
    lease: Duration,
    attempts: u32,
    pauses: Pauses,
    poll: Duration,
    longest: Duration,
    drain: Duration,
}

/// The most handlers at once: as many as are taken with one statement.
const MOST_AT_ONCE: usize = 1_000;

/// The longest that can be set, a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl TimerRunner {
    pub(super) fn new(timers: Timers) -> Self {
        Self {
            timers,
            owner: process_owner(),
            concurrency: 16,
            lease: Duration::from_secs(30),
            attempts: 10,
            pauses: Pauses::new(Duration::from_secs(1), Duration::from_secs(300)),
            poll: Duration::from_secs(1),
            longest: Duration::from_secs(15 * 60),
            drain: Duration::from_secs(30),
        }
    }

    /// How the runner is named where it holds a timer, in up to 200 bytes.
    ///
    /// Default: by the process's number.
    pub fn owner(mut self, name: &str) -> Self {
        self.owner = name.into();
        self
    }

    /// How many handlers run at once: 1 to 1,000. Default: 16.
    pub const fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// How long a timer is kept from others without a sign of life.
    ///
    /// There are three signs of life in that time. 1 ms to 24 h; default: 30 s.
    pub const fn lease(mut self, length: Duration) -> Self {
        self.lease = length;
        self
    }

    /// How often a timer is tried before it is parked: at least once.
    ///
    /// Default: 10 times.
    pub const fn attempts(mut self, times: u32) -> Self {
        self.attempts = times;
        self
    }

    /// The pause after the first failure, and what pauses grow to by doubling.
    ///
    /// Each is lengthened at random. Default: 1 second, 5 minutes.
    pub const fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.pauses = Pauses::new(first, longest);
        self
    }

    /// The longest it does not look for what others have set.
    ///
    /// So much later than it is due may a timer fire. 1 ms to a day; default: 1 second.
    pub const fn poll(mut self, every: Duration) -> Self {
        self.poll = every;
        self
    }

    /// How long a handler may take; longer is a failure. Default: 15 minutes.
    pub const fn handler_timeout(mut self, time: Duration) -> Self {
        self.longest = time;
        self
    }

    /// How long handlers are waited for at the end; the rest is given back.
    ///
    /// Default: 30 s.
    pub const fn drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// Fires what is due until `shutdown` is ready, which may be any future.
    ///
    /// The handler is dropped half-way where its lease is lost. Outages of the store are waited out.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the settings make no sense. Whatever the store said, where that does not pass by itself.
    pub async fn run<H, F>(&self, shutdown: impl Future<Output = ()> + Send, handler: H) -> Result<(), Error>
    where
        H: Fn(FiredTimer) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.check()?;
        let firing = Firing { handler, runner: self.clone() };
        let runner = DueRunner {
            timers: Arc::clone(&self.timers.store),
            tend: Arc::new(firing),
            queue: Arc::clone(&self.timers.queue),
            owner: Arc::clone(&self.owner),
            lease: self.lease,
            concurrency: self.concurrency,
            attempts: self.attempts,
            poll: self.poll,
            drain: self.drain,
            woken: Arc::clone(&self.timers.woken),
        };
        let (stopper, stopped) = signal();
        match select(pin!(shutdown), pin!(runner.run(stopped, Until::Stopped))).await {
            Either::Left(((), work)) => {
                stopper.raise();
                work.await
            }
            Either::Right((ended, _)) => ended,
        }
        .map(drop)
    }

    fn check(&self) -> Result<(), Error> {
        if self.concurrency == 0 || self.concurrency > MOST_AT_ONCE || self.attempts == 0 {
            return Err(Error::invalid(format!(
                "1 to {MOST_AT_ONCE} handlers run at once, and a timer is tried at least once"
            )));
        }
        if self.owner.is_empty() || self.owner.len() > 200 || self.owner.contains('\0') {
            return Err(Error::invalid("a runner is named by 1 to 200 bytes without NUL"));
        }
        let times = [self.lease, self.poll, self.longest];
        if times.iter().any(|time| *time < Duration::from_millis(1) || *time > LONGEST) || self.drain > LONGEST {
            return Err(Error::invalid("a lease, the time between two looks and a handler's time last 1 ms to a day"));
        }
        if self.pauses.first.is_zero() || self.pauses.longest > LONGEST {
            return Err(Error::invalid("pauses after a failure last some time, and a day at the most"));
        }
        Ok(())
    }
}

/// Hands timers to the application's handler.
struct Firing<H> {
    handler: H,
    runner: TimerRunner,
}

impl<H, F> Tend for Firing<H>
where
    H: Fn(FiredTimer) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    async fn tend(&self, held: &HeldTimer, _stop: &Signal) -> Settled {
        telemetry::timer_begun(held);
        match self.fire(held).await {
            Ok(()) => {
                telemetry::timer_fired(&held.timer.queue);
                Settled::Fired { keep_for: self.runner.timers.keep_for }
            }
            Err(failure) => self.failed(held, with_sources(&*failure)),
        }
    }
}

/// Why a timer has not fired, where its handler does not say so.
#[derive(Debug, thiserror::Error)]
enum NotFired {
    #[error("the handler took longer than {0:?}")]
    TooLong(Duration),
    #[error("the handler has returned without committing the transaction that was to end the timer")]
    NotCommitted,
}

impl<H, F> Firing<H>
where
    H: Fn(FiredTimer) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    async fn fire(&self, held: &HeldTimer) -> Result<(), BoxError> {
        let fired = FiredTimer::new(held.clone(), self.runner.timers.keep_for)?;
        let longest = self.runner.longest;
        timeout(longest, (self.handler)(fired.clone())).await.map_err(|_| NotFired::TooLong(longest))??;
        if fired.is_within() {
            // What was committed is seen here; what was not must not be noted as fired.
            let stands = self.runner.timers.find(fired.id()).await?;
            if stands.is_some_and(|timer| timer.state != TimerState::Fired) {
                return Err(NotFired::NotCommitted.into());
            }
        }
        Ok(())
    }

    fn failed(&self, held: &HeldTimer, failure: String) -> Settled {
        let attempt = held.timer.attempts;
        if attempt >= self.runner.attempts {
            telemetry::timer_parked(held, &failure);
            return Settled::Parked { failure };
        }
        telemetry::timer_failed(held, &failure);
        let before = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        // They do not grow for ever: those behind the longest are as long.
        let pause = self.runner.pauses.begin().nth(before.min(64)).unwrap_or(self.runner.pauses.longest);
        Settled::Failed { pause, failure }
    }
}
