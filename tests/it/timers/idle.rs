//! What a runner costs that has nothing to do.

use std::sync::atomic::AtomicU32;

use annals::{
    Error,
    store::{Due, DueClaim, HeldTimer, NewTimer, Settled, Timer, TimerCounts, TimerQuery},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    Arc, Duration, MINUTE, ManualClock, Ordering, QUEUE, Running, Store, TimerState, TimerStore, Timers, Uuid,
    on_every_database,
};

on_every_database! {
    store_084_an_idle_runner_asks_at_most_three_times_a_second
}

/// A store that counts what it is asked: each is one statement, or one look.
#[derive(Debug, Clone)]
struct Counted<S>(S, Arc<AtomicU32>);

impl<S> Counted<S> {
    fn asked(&self) -> &S {
        self.1.fetch_add(1, Ordering::SeqCst);
        &self.0
    }
}

#[async_trait]
impl<S: TimerStore> TimerStore for Counted<S> {
    async fn schedule_timers(&self, queue: &str, timers: &[NewTimer]) -> Result<Vec<TimerState>, Error> {
        self.asked().schedule_timers(queue, timers).await
    }
    async fn move_timer(&self, queue: &str, id: Uuid, due_at: DateTime<Utc>) -> Result<Option<Timer>, Error> {
        self.asked().move_timer(queue, id, due_at).await
    }
    async fn cancel_timer(&self, queue: &str, id: Uuid, keep_for: Duration) -> Result<Option<Timer>, Error> {
        self.asked().cancel_timer(queue, id, keep_for).await
    }
    async fn wake_timers(&self, queue: &str, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), Error> {
        self.asked().wake_timers(queue, ids, at).await
    }
    async fn claim_due(&self, claim: &DueClaim) -> Result<Due, Error> {
        self.asked().claim_due(claim).await
    }
    async fn renew_timers(&self, held: &[HeldTimer], lease: Duration) -> Result<Vec<Uuid>, Error> {
        self.asked().renew_timers(held, lease).await
    }
    async fn settle_timer(&self, held: &HeldTimer, settled: &Settled) -> Result<bool, Error> {
        self.asked().settle_timer(held, settled).await
    }
    async fn resume_timer(&self, queue: &str, id: Uuid) -> Result<bool, Error> {
        self.asked().resume_timer(queue, id).await
    }
    async fn timer(&self, queue: &str, id: Uuid) -> Result<Option<Timer>, Error> {
        self.asked().timer(queue, id).await
    }
    async fn list_timers(&self, query: &TimerQuery) -> Result<Vec<Timer>, Error> {
        self.asked().list_timers(query).await
    }
    async fn count_timers(&self, queue: &str) -> Result<TimerCounts, Error> {
        self.asked().count_timers(queue).await
    }
    fn timer_clock(&self) -> DateTime<Utc> {
        self.0.timer_clock()
    }
}

/// With nothing set, and with a timer that waits: for as long as it takes to look four times.
async fn store_084_an_idle_runner_asks_at_most_three_times_a_second(store: impl Store, _clock: Arc<ManualClock>) {
    let counted = Counted(store, Arc::default());
    let timers = Timers::new(&counted, QUEUE).unwrap();
    timers.schedule_after(Uuid::from_u128(1), MINUTE, &()).await.unwrap();
    let before = counted.1.load(Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    let running = Running::start(timers.runner(), |_| async { Ok(()) });
    super::until("four looks", async || counted.1.load(Ordering::SeqCst) >= before + 4).await;
    let took = began.elapsed();
    running.stop().await;
    assert!(took >= Duration::from_secs_f64(4.0 / 3.0), "four statements in {took:?}");
}
