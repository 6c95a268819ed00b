//! The port of timers, on connections and transactions of PostgreSQL.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{PostgresStore, PostgresWork, backend::SYSTEM, classify::classify, timer, turn::in_turn};
use crate::store::{
    Due, DueClaim, Error, HeldTimer, NewTimer, Settled, Timer, TimerCounts, TimerQuery, TimerState, TimerStore,
    TimerWork, check_due, check_kept, check_new_timers, check_queue, check_renewed, check_woken, telemetry::operation,
};

#[async_trait]
impl TimerStore for PostgresStore {
    async fn schedule_timers(&self, queue: &str, timers: &[NewTimer]) -> Result<Vec<TimerState>, Error> {
        let distinct = check_new_timers(queue, timers)?;
        if distinct.is_empty() {
            return Ok(Vec::new());
        }
        let schedule = in_turn!(self.backend().to_claim(), connection, now => timer::schedule(connection, (queue, &distinct), now));
        let states: HashMap<_, _> = operation(SYSTEM, "schedule_timers", schedule).await?.into_iter().collect();
        let state = |timer: &NewTimer| states.get(&timer.id).copied();
        let states: Option<Vec<_>> = timers.iter().map(state).collect();
        states.ok_or_else(|| Error::corrupt("a timer that is set is not there"))
    }

    async fn move_timer(&self, queue: &str, id: Uuid, due_at: DateTime<Utc>) -> Result<Option<Timer>, Error> {
        check_queue(queue)?;
        check_due(due_at)?;
        let change = in_turn!(self.backend().to_claim(), connection, now => timer::move_to(connection, (queue, id, due_at), now));
        operation(SYSTEM, "move_timer", change).await
    }

    async fn cancel_timer(&self, queue: &str, id: Uuid, keep_for: Duration) -> Result<Option<Timer>, Error> {
        check_queue(queue)?;
        check_kept(keep_for)?;
        let change = in_turn!(self.backend().to_claim(), connection, now => timer::cancel(connection, (queue, id, keep_for), now));
        operation(SYSTEM, "cancel_timer", change).await
    }

    async fn wake_timers(&self, queue: &str, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), Error> {
        let ids = check_woken(queue, ids, at)?;
        if ids.is_empty() {
            return Ok(());
        }
        // "Now" is told by whoever tells the time of claims: the machine's clock may be ahead of the server's.
        let at = (at > self.backend().now()).then_some(at);
        let wake =
            in_turn!(self.backend().to_claim(), connection, now => timer::wake(connection, (queue, &ids, at), now));
        operation(SYSTEM, "wake_timers", wake).await
    }

    async fn claim_due(&self, claim: &DueClaim) -> Result<Due, Error> {
        claim.check()?;
        let take = in_turn!(self.backend().to_claim(), connection, now => timer::claim(connection, claim, now));
        operation(SYSTEM, "claim_due", take).await
    }

    async fn renew_timers(&self, held: &[HeldTimer], lease: Duration) -> Result<Vec<Uuid>, Error> {
        check_renewed(held, lease)?;
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let renew = in_turn!(self.backend().to_keep(), connection, now => timer::renew(connection, (held, lease), now));
        let kept: HashSet<_> = operation(SYSTEM, "renew_timers", renew).await?.into_iter().collect();
        Ok(held.iter().filter(|held| !kept.contains(&held.fence)).map(|held| held.timer.id).collect())
    }

    async fn settle_timer(&self, held: &HeldTimer, settled: &Settled) -> Result<bool, Error> {
        settled.check()?;
        let settle =
            in_turn!(self.backend().to_keep(), connection, now => timer::settle(connection, (held, settled), now));
        operation(SYSTEM, "settle_timer", settle).await
    }

    async fn resume_timer(&self, queue: &str, id: Uuid) -> Result<bool, Error> {
        check_queue(queue)?;
        let resume = in_turn!(self.backend().to_keep(), connection, now => timer::resume(connection, (queue, id), now));
        operation(SYSTEM, "resume_timer", resume).await
    }

    async fn timer(&self, queue: &str, id: Uuid) -> Result<Option<Timer>, Error> {
        check_queue(queue)?;
        let find = in_turn!(self.backend().to_look(), connection, now => timer::find(connection, (queue, id), now));
        operation(SYSTEM, "timer", find).await
    }

    async fn list_timers(&self, query: &TimerQuery) -> Result<Vec<Timer>, Error> {
        let Some(first) = query.check()? else { return Ok(Vec::new()) };
        let list = in_turn!(self.backend().to_look(), connection, now => timer::list(connection, (query, first), now));
        operation(SYSTEM, "list_timers", list).await
    }

    async fn count_timers(&self, queue: &str) -> Result<TimerCounts, Error> {
        check_queue(queue)?;
        let count = in_turn!(self.backend().to_look(), connection, now => timer::count(connection, queue, now));
        operation(SYSTEM, "count_timers", count).await
    }

    fn timer_clock(&self) -> DateTime<Utc> {
        self.backend().now()
    }
}

#[async_trait]
impl TimerWork for PostgresWork {
    async fn fire(&mut self, held: &HeldTimer, keep_for: Duration) -> Result<bool, Error> {
        check_kept(keep_for)?;
        let now = self.given_time();
        let fire = async {
            let fired = timer::fire(self.enter()?, (held, keep_for), now).await.map_err(|met| met.told(classify));
            self.leave(fired)
        };
        operation(SYSTEM, "fire_timer", fire).await
    }
}
