//! The port of timers, on connections and transactions of SQLite.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{SqliteStore, SqliteWork, backend::SYSTEM, classify::classify, commits::SharedWrite, timer};
use crate::store::{
    Due, DueClaim, Error, HeldTimer, NewTimer, Settled, Timer, TimerCounts, TimerQuery, TimerState, TimerStore,
    TimerWork, check_due, check_kept, check_new_timers, check_queue, check_renewed, check_woken, telemetry::operation,
};

/// Sets timers.
struct Schedule(String, Vec<NewTimer>);

/// Moves a timer, or cancels it.
enum Change {
    Move(String, Uuid, DateTime<Utc>),
    Cancel(String, Uuid, Duration),
}

/// Wakes timers.
struct Wake(String, Vec<Uuid>, DateTime<Utc>);

/// Takes what is due.
struct Claim(DueClaim);

/// Gives signs of life.
struct Renew(Vec<HeldTimer>, Duration);

/// Says what became of a timer.
struct Settle(HeldTimer, Settled);

/// Has a parked timer be tried again.
struct Resume(String, Uuid);

#[async_trait]
impl SharedWrite for Schedule {
    type Answer = Vec<(Uuid, TimerState)>;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<Self::Answer, Error> {
        timer::schedule(connection, (&self.0, &self.1), now).await
    }
}

#[async_trait]
impl SharedWrite for Change {
    type Answer = Option<Timer>;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<Option<Timer>, Error> {
        match self {
            Self::Move(queue, id, due_at) => timer::move_to(connection, (queue, *id, *due_at), now).await,
            Self::Cancel(queue, id, keep_for) => timer::cancel(connection, (queue, *id, *keep_for), now).await,
        }
    }
}

#[async_trait]
impl SharedWrite for Wake {
    type Answer = ();

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<(), Error> {
        timer::wake(connection, (&self.0, &self.1, self.2), now).await
    }
}

#[async_trait]
impl SharedWrite for Claim {
    type Answer = Due;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<Due, Error> {
        timer::claim(connection, &self.0, now).await
    }
}

#[async_trait]
impl SharedWrite for Renew {
    type Answer = Vec<u64>;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<Self::Answer, Error> {
        timer::renew(connection, (&self.0, self.1), now).await
    }
}

#[async_trait]
impl SharedWrite for Settle {
    type Answer = bool;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<bool, Error> {
        timer::settle(connection, (&self.0, &self.1), now).await
    }
}

#[async_trait]
impl SharedWrite for Resume {
    type Answer = bool;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<bool, Error> {
        timer::resume(connection, (&self.0, self.1), now).await
    }
}

#[async_trait]
impl TimerStore for SqliteStore {
    async fn schedule_timers(&self, queue: &str, timers: &[NewTimer]) -> Result<Vec<TimerState>, Error> {
        let distinct: Vec<_> = check_new_timers(queue, timers)?.into_iter().cloned().collect();
        if distinct.is_empty() {
            return Ok(Vec::new());
        }
        let schedule = self.backend().commits.write(Schedule(queue.to_owned(), distinct));
        let states: HashMap<_, _> = operation(SYSTEM, "schedule_timers", schedule).await?.into_iter().collect();
        let state = |timer: &NewTimer| states.get(&timer.id).copied();
        let states: Option<Vec<_>> = timers.iter().map(state).collect();
        states.ok_or_else(|| Error::corrupt("a timer that is set is not there"))
    }

    async fn move_timer(&self, queue: &str, id: Uuid, due_at: DateTime<Utc>) -> Result<Option<Timer>, Error> {
        check_queue(queue)?;
        check_due(due_at)?;
        let change = self.backend().commits.write(Change::Move(queue.to_owned(), id, due_at));
        operation(SYSTEM, "move_timer", change).await
    }

    async fn cancel_timer(&self, queue: &str, id: Uuid, keep_for: Duration) -> Result<Option<Timer>, Error> {
        check_queue(queue)?;
        check_kept(keep_for)?;
        let change = self.backend().commits.write(Change::Cancel(queue.to_owned(), id, keep_for));
        operation(SYSTEM, "cancel_timer", change).await
    }

    async fn wake_timers(&self, queue: &str, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), Error> {
        let ids = check_woken(queue, ids, at)?;
        if ids.is_empty() {
            return Ok(());
        }
        operation(SYSTEM, "wake_timers", self.backend().commits.write(Wake(queue.to_owned(), ids, at))).await
    }

    async fn claim_due(&self, claim: &DueClaim) -> Result<Due, Error> {
        claim.check()?;
        let take = async {
            // Where nothing is due no writer is needed.
            let next = {
                let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
                timer::next(&mut connection, &claim.queue, self.backend().now()).await?
            };
            if claim.limit == 0 || next != Some(Duration::ZERO) {
                return Ok(Due { timers: Vec::new(), next });
            }
            self.backend().commits.write(Claim(claim.clone())).await
        };
        operation(SYSTEM, "claim_due", take).await
    }

    async fn renew_timers(&self, held: &[HeldTimer], lease: Duration) -> Result<Vec<Uuid>, Error> {
        check_renewed(held, lease)?;
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let renew = self.backend().commits.write(Renew(held.to_vec(), lease));
        let kept: HashSet<_> = operation(SYSTEM, "renew_timers", renew).await?.into_iter().collect();
        Ok(held.iter().filter(|held| !kept.contains(&held.fence)).map(|held| held.timer.id).collect())
    }

    async fn settle_timer(&self, held: &HeldTimer, settled: &Settled) -> Result<bool, Error> {
        settled.check()?;
        let settle = self.backend().commits.write(Settle(held.clone(), settled.clone()));
        operation(SYSTEM, "settle_timer", settle).await
    }

    async fn resume_timer(&self, queue: &str, id: Uuid) -> Result<bool, Error> {
        check_queue(queue)?;
        operation(SYSTEM, "resume_timer", self.backend().commits.write(Resume(queue.to_owned(), id))).await
    }

    async fn timer(&self, queue: &str, id: Uuid) -> Result<Option<Timer>, Error> {
        check_queue(queue)?;
        let find = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            timer::find(&mut connection, (queue, id), self.backend().now()).await
        };
        operation(SYSTEM, "timer", find).await
    }

    async fn list_timers(&self, query: &TimerQuery) -> Result<Vec<Timer>, Error> {
        let Some(first) = query.check()? else { return Ok(Vec::new()) };
        let list = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            timer::list(&mut connection, (query, first), self.backend().now()).await
        };
        operation(SYSTEM, "list_timers", list).await
    }

    async fn count_timers(&self, queue: &str) -> Result<TimerCounts, Error> {
        check_queue(queue)?;
        let count = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            timer::count(&mut connection, queue, self.backend().now()).await
        };
        operation(SYSTEM, "count_timers", count).await
    }

    fn timer_clock(&self) -> DateTime<Utc> {
        self.backend().now()
    }
}

#[async_trait]
impl TimerWork for SqliteWork {
    async fn fire(&mut self, held: &HeldTimer, keep_for: Duration) -> Result<bool, Error> {
        check_kept(keep_for)?;
        let now = self.time();
        let fire = async {
            let connection = self.enter().await?;
            let fired = timer::fire(connection, (held, keep_for), now).await;
            self.leave(fired).await
        };
        operation(SYSTEM, "fire_timer", fire).await
    }
}
