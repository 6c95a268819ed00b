//! Sees to what is due in a queue: takes it, keeps hold of it, says what became of it.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{Either, select},
    stream::{StreamExt as _, iter},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use super::{patience::Pauses, telemetry};
use crate::{
    read::{Signal, is_outage, run_of},
    store::{DueClaim, Error, HeldTimer, Settled, TimerStore},
};

/// Sees to one thing that is due.
pub(super) trait Tend: Send + Sync + 'static {
    /// Says what became of it. Told to stop, it comes to an end as soon as it can, and gives it back.
    ///
    /// Dropped half-way where the lease is lost.
    fn tend(&self, held: &HeldTimer, stop: &Signal) -> impl Future<Output = Settled> + Send;
}

/// Takes what is due in one queue, so many at once.
#[derive(Debug)]
pub(super) struct DueRunner<T> {
    pub(super) timers: Arc<dyn TimerStore>,
    pub(super) tend: Arc<T>,
    pub(super) queue: Arc<str>,
    pub(super) owner: Arc<str>,
    pub(super) lease: Duration,
    pub(super) concurrency: usize,
    /// How often it is taken, with nothing to show for it, before it is set aside.
    pub(super) attempts: u32,
    /// The longest it does not look.
    pub(super) poll: Duration,
    /// The longest it waits for what is under way, when it is told to stop.
    pub(super) drain: Duration,
    /// Told where something is due, in this process.
    pub(super) woken: Arc<Notify>,
}

/// When to come to an end, besides when told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Stopped,
    /// Nothing is due.
    Idle,
}

/// The pauses while the store fails, and after a panic.
const OUTAGE: Pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(5));
const PANIC: Duration = Duration::from_secs(1);

/// The shortest time between two looks that find nothing.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// What is under way, by fence.
type UnderWay = Arc<Mutex<HashMap<u64, (HeldTimer, AbortHandle)>>>;

struct Round<'r, T> {
    runner: &'r DueRunner<T>,
    owner: Arc<str>,
    slots: Arc<Semaphore>,
    under_way: UnderWay,
    seen_to: Arc<AtomicU64>,
    stop: Signal,
}

impl<T: Tend> DueRunner<T> {
    /// Sees to what is due, until told to stop. Says how much that was.
    ///
    /// Outages of the store are waited out.
    pub(super) async fn run(&self, stop: Signal, until: Until) -> Result<u64, Error> {
        let round = Round {
            runner: self,
            // Two runs of one process are told apart.
            owner: run_of(&self.owner),
            slots: Arc::new(Semaphore::new(self.concurrency)),
            under_way: UnderWay::default(),
            seen_to: Arc::default(),
            stop,
        };
        let ended = match select(pin!(round.take(until)), pin!(round.keep_hold())).await {
            Either::Left((ended, keeping)) => {
                let all = round.slots.acquire_many(self.concurrency.try_into().unwrap_or(u32::MAX));
                // While what is under way comes to its end, its leases are kept.
                drop(timeout(self.drain, select(pin!(all), keeping)).await);
                ended
            }
            Either::Right(((), _)) => Ok(()),
        };
        round.give_back().await;
        ended.map(|()| round.seen_to.load(Ordering::Relaxed))
    }
}

impl<T: Tend> Round<'_, T> {
    fn under_way(&self) -> MutexGuard<'_, HashMap<u64, (HeldTimer, AbortHandle)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is due whenever there is room for it.
    async fn take(&self, until: Until) -> Result<(), Error> {
        let mut outage = OUTAGE.begin();
        let mut seen_to = 0;
        loop {
            let Some(Ok(mut room)) = self.stop.unless(Arc::clone(&self.slots).acquire_owned()).await else {
                return Ok(());
            };
            while let Ok(more) = Arc::clone(&self.slots).try_acquire_owned() {
                room.merge(more);
            }
            // Before the look: what is told meanwhile is not lost.
            let woken = self.runner.woken.notified();
            let wait = match self.claim(room).await {
                Ok(Some(Duration::ZERO)) => continue,
                Ok(next) => {
                    outage = OUTAGE.begin();
                    if until == Until::Idle && next.is_none_or(|next| next > Duration::ZERO) {
                        if self.is_idle(&mut seen_to).await {
                            return Ok(());
                        }
                        continue;
                    }
                    next.unwrap_or(self.runner.poll).clamp(SHORTEST_WAIT.min(self.runner.poll), self.runner.poll)
                }
                Err(error) if is_outage(&error) => {
                    telemetry::due_interrupted(&self.runner.queue, &error);
                    outage.next().unwrap_or(OUTAGE.longest)
                }
                Err(error) => return Err(error),
            };
            if self.stop.unless(timeout(wait, woken)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits for what is under way. Whether that was nothing, and nothing since it was last asked.
    async fn is_idle(&self, seen_to: &mut u64) -> bool {
        let all = self.runner.concurrency.try_into().unwrap_or(u32::MAX);
        let all = self.stop.unless(self.slots.acquire_many(all)).await;
        let now = self.seen_to.load(Ordering::Relaxed);
        all.is_none() || std::mem::replace(seen_to, now) == now
    }

    /// Takes as much as there is room for. Says when to look again; `None`: nothing is to come.
    async fn claim(&self, mut room: OwnedSemaphorePermit) -> Result<Option<Duration>, Error> {
        let limit = room.num_permits().min(MOST_AT_ONCE);
        let claim = DueClaim {
            queue: Arc::clone(&self.runner.queue),
            owner: Arc::clone(&self.owner),
            lease: self.runner.lease,
            limit: limit.try_into().unwrap_or(u32::MAX),
        };
        let due = self.runner.timers.claim_due(&claim).await?;
        let is_full = due.timers.len() >= limit;
        for held in due.timers {
            if let Some(slot) = room.split(1) {
                self.spawn(held, slot);
            }
        }
        Ok(if is_full { Some(Duration::ZERO) } else { due.next.map(|next| next.max(Duration::from_micros(1))) })
    }

    fn spawn(&self, held: HeldTimer, slot: OwnedSemaphorePermit) {
        let (timers, tend) = (Arc::clone(&self.runner.timers), Arc::clone(&self.runner.tend));
        let (stop, under_way, seen_to) = (self.stop.clone(), Arc::clone(&self.under_way), Arc::clone(&self.seen_to));
        let (attempts, lease, woken) = (self.runner.attempts, self.runner.lease, Arc::clone(&self.runner.woken));
        let (fence, at_work) = (held.fence, held.clone());
        // Noted before the task can end.
        let mut noted = self.under_way();
        let task = tokio::spawn(async move {
            let settled = match at_work.timer.attempts.saturating_sub(1) {
                // It was taken as often and has come to no end: whoever had it was killed by it, or with it.
                times if times >= attempts => {
                    let failure = format!("{times} runners in a row have begun it, and have ended before it was done");
                    parked(&at_work, failure)
                }
                times => match AssertUnwindSafe(tend.tend(&at_work, &stop)).catch_unwind().await {
                    Ok(settled) => settled,
                    Err(_) if times + 1 >= attempts => parked(&at_work, PANICKED.to_owned()),
                    Err(_) => {
                        telemetry::timer_failed(&at_work, PANICKED);
                        Settled::Failed { pause: PANIC, failure: PANICKED.to_owned() }
                    }
                },
            };
            settle(&*timers, &at_work, &settled, lease).await;
            if settled != Settled::GivenBack {
                seen_to.fetch_add(1, Ordering::Relaxed);
            }
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&fence);
            drop(slot);
            if !matches!(settled, Settled::Fired { .. } | Settled::GivenBack) {
                // It may be due again sooner than the last look knew: now, where it was woken meanwhile.
                woken.notify_one();
            }
        });
        noted.insert(fence, (held, task.abort_handle()));
    }

    /// Gives signs of life for what is under way, and ends what was lost.
    async fn keep_hold(&self) {
        let mut renewed = Instant::now();
        loop {
            sleep(self.runner.lease / 4).await;
            let held: Vec<HeldTimer> = self.under_way().values().map(|(held, _)| held.clone()).collect();
            let mut all = true;
            for some in held.chunks(MOST_AT_ONCE) {
                let renew = self.runner.timers.renew_timers(some, self.runner.lease);
                match timeout(self.runner.lease / 4, renew).await {
                    Ok(Ok(lost)) => self.end(some.iter().filter(|held| lost.contains(&held.timer.id))),
                    // Not renewed, it is tried again before it lapses.
                    Ok(Err(error)) => {
                        all = false;
                        telemetry::due_interrupted(&self.runner.queue, &error);
                    }
                    Err(_) => all = false,
                }
            }
            if all {
                renewed = Instant::now();
            } else if renewed.elapsed() >= self.runner.lease / 2 {
                // Somebody else may have it soon: whoever goes on would call others beside them.
                self.end(held.iter());
            }
        }
    }

    fn end<'h>(&self, lost: impl Iterator<Item = &'h HeldTimer>) {
        let mut under_way = self.under_way();
        for held in lost {
            if let Some((_, task)) = under_way.remove(&held.fence) {
                telemetry::due_lost(&self.runner.queue);
                task.abort();
            }
        }
    }

    /// Ends what has not come to its end by itself, and gives it back: whoever runs elsewhere need not wait for its leases.
    async fn give_back(&self) {
        let left: Vec<_> = self.under_way().drain().map(|(_, left)| left).collect();
        for (_, task) in &left {
            task.abort();
        }
        let all = self.slots.acquire_many(self.runner.concurrency.try_into().unwrap_or(u32::MAX));
        // A task that computes ends at its next pause. Others may have what it holds only once it has ended.
        if timeout(GIVING_BACK, all).await.is_err() {
            return;
        }
        let give_back = iter(&left).for_each_concurrent(GIVEN_BACK_AT_ONCE, |(held, _)| async {
            if let Err(error) = self.runner.timers.settle_timer(held, &Settled::GivenBack).await {
                telemetry::due_interrupted(&self.runner.queue, &error);
            }
        });
        // What is not given back in time is free when its lease lapses.
        drop(timeout(GIVING_BACK, give_back).await);
    }
}

/// Whoever goes away takes what is under way with it.
impl<T> Drop for Round<'_, T> {
    fn drop(&mut self) {
        for (_, (_, task)) in self.under_way.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            task.abort();
        }
    }
}

/// How long is waited for tasks that were ended, and for the store to take back what they held; and how many at once.
const GIVING_BACK: Duration = Duration::from_secs(5);
const GIVEN_BACK_AT_ONCE: usize = 8;

/// The most that is taken, or renewed, with one statement.
const MOST_AT_ONCE: usize = 1_000;

const PANICKED: &str = "it has panicked";

/// Sets aside what its tender could not.
fn parked(held: &HeldTimer, failure: String) -> Settled {
    telemetry::timer_parked(held, &failure);
    Settled::Parked { failure }
}

/// Says what became of it, as often as it takes; no longer than the lease lasts.
async fn settle(timers: &dyn TimerStore, held: &HeldTimer, settled: &Settled, lease: Duration) {
    let (began, mut pauses) = (Instant::now(), OUTAGE.begin());
    while let Err(error) = timers.settle_timer(held, settled).await {
        telemetry::due_interrupted(&held.timer.queue, &error);
        if began.elapsed() >= lease {
            // Whoever takes it next does it again.
            return;
        }
        sleep(pauses.next().unwrap_or(OUTAGE.longest)).await;
    }
}
