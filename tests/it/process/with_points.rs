//! A store with a point before and after each write: at any of them whoever uses it is stopped.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use annals::{
    Append, Appended, CheckpointStore, Consumer, Cursor, Error, EventStore, IdempotencyKey, LogQuery, LogRead,
    ParkedChoice, ParkedEvent, Position, Receipt, StepStore, StreamQuery, StreamRead,
    store::{
        Checkpoint, Claim, Claimed, Due, DueClaim, HeldTimer, Lease, LoadQuery, LoadVisitor, NewParkedEvent, NewTimer,
        ParkedQuery, Renewal, Settled, SnapshotRef, Step, StepRecord, StepRun, Timer, TimerCounts, TimerQuery,
        TimerState, TimerStore, Visit,
    },
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::place::Whole;
use crate::steps::points::Points;

/// Everything that a runner needs of a store, with points; loses some replies.
#[derive(Debug, Clone)]
pub struct WithPoints<S> {
    pub inner: S,
    pub points: Arc<Points>,
    /// Every so many-th reply to a write of a step or a timer is lost; 0: none.
    pub lost_reply_each: u32,
    pub writes: Arc<AtomicU32>,
    /// It is not there: nothing is sent, and how often that was.
    pub is_down: Arc<AtomicBool>,
    pub refused: Arc<AtomicU32>,
}

impl<S: Whole> WithPoints<S> {
    pub fn new(inner: &S, points: &Arc<Points>) -> Self {
        Self {
            inner: inner.clone(),
            points: Arc::clone(points),
            lost_reply_each: 0,
            writes: Arc::default(),
            is_down: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// Fails while it is down.
    fn reach(&self) -> Result<&S, Error> {
        if !self.is_down.load(Ordering::SeqCst) {
            return Ok(&self.inner);
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(Error::unavailable(std::io::Error::other("it is down")))
    }

    async fn written<T>(&self, write: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        self.points.pass().await;
        self.reach()?;
        let written = write.await;
        self.points.pass().await;
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        if written.is_ok() && self.lost_reply_each > 0 && number.is_multiple_of(self.lost_reply_each) {
            return Err(Error::outcome_unknown(std::io::Error::other("the reply was lost")));
        }
        written
    }
}

#[async_trait]
impl<S: Whole> EventStore for WithPoints<S> {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        self.points.pass().await;
        if let Err(error) = self.reach() {
            return batch.iter().map(|_| Err(error.clone())).collect();
        }
        let appended = self.inner.append(batch).await;
        self.points.pass().await;
        appended
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        self.reach()?.read_stream(query, visit).await
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        self.inner.load(query, visitor).await
    }

    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error> {
        self.inner.save_snapshot(snapshot).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        self.reach()?.read_log(query, visit).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        self.inner.receipt(aggregate_id, key).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.reach()?.head().await
    }

    async fn wait_for(&self, after: Position) -> Result<Position, Error> {
        self.inner.wait_for(after).await
    }
}

#[async_trait]
impl<S: Whole> CheckpointStore for WithPoints<S> {
    async fn checkpoint(&self, consumer: &Consumer) -> Result<Option<Checkpoint>, Error> {
        self.inner.checkpoint(consumer).await
    }

    async fn checkpoints(&self, name: Option<&str>) -> Result<Vec<Checkpoint>, Error> {
        self.inner.checkpoints(name).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, Error> {
        self.points.pass().await;
        let claimed = self.reach()?.claim(claim).await;
        self.points.pass().await;
        claimed
    }

    async fn renew(&self, lease: &Lease) -> Result<Renewal, Error> {
        self.reach()?.renew(lease).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        self.points.pass().await;
        self.inner.release(lease).await
    }

    async fn advance(&self, lease: &Lease, step: &Step<'_>) -> Result<bool, Error> {
        self.points.pass().await;
        let advanced = self.reach()?.advance(lease, step).await;
        self.points.pass().await;
        advanced
    }

    async fn begin_attempt(&self, lease: &Lease, position: Position) -> Result<Option<u32>, Error> {
        self.inner.begin_attempt(lease, position).await
    }

    async fn note_failure(&self, lease: &Lease, message: &str) -> Result<(), Error> {
        self.inner.note_failure(lease, message).await
    }

    async fn parked(&self, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, Error> {
        self.inner.parked(query).await
    }

    async fn count_parked(&self, name: &str) -> Result<u64, Error> {
        self.inner.count_parked(name).await
    }

    async fn unpark(&self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<bool, Error> {
        self.inner.unpark(lease, aggregate_id, sequence).await
    }

    async fn park_again(
        &self,
        lease: &Lease,
        event: &NewParkedEvent,
        requested_at: Option<DateTime<Utc>>,
    ) -> Result<bool, Error> {
        self.inner.park_again(lease, event, requested_at).await
    }

    async fn request_replay(&self, name: &str, choice: ParkedChoice) -> Result<u64, Error> {
        self.inner.request_replay(name, choice).await
    }

    async fn requested_replays(&self, name: &str, after: Position, limit: u32) -> Result<Vec<ParkedEvent>, Error> {
        self.inner.requested_replays(name, after, limit).await
    }

    async fn begin_replay(&self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<Option<u32>, Error> {
        self.inner.begin_replay(lease, aggregate_id, sequence).await
    }

    async fn set_paused(&self, name: &str, is_paused: bool) -> Result<bool, Error> {
        self.inner.set_paused(name, is_paused).await
    }

    async fn forget(&self, name: &str) -> Result<bool, Error> {
        self.inner.forget(name).await
    }

    async fn repartition(&self, name: &str, of: u32) -> Result<bool, Error> {
        self.inner.repartition(name, of).await
    }

    async fn reset(&self, name: &str, to: &Cursor) -> Result<bool, Error> {
        self.inner.reset(name, to).await
    }

    async fn count_after(&self, position: Position) -> Result<u64, Error> {
        self.inner.count_after(position).await
    }

    fn now(&self) -> DateTime<Utc> {
        self.inner.now()
    }

    async fn moved(&self, seen: &mut u64) {
        self.inner.moved(seen).await;
    }
}

#[async_trait]
impl<S: Whole> StepStore for WithPoints<S> {
    async fn open_steps(&self, run: &StepRun) -> Result<Option<Vec<StepRecord>>, Error> {
        self.written(self.inner.open_steps(run)).await
    }

    async fn write_step(&self, run: &StepRun, step: &StepRecord) -> Result<Option<StepRecord>, Error> {
        self.written(self.inner.write_step(run, step)).await
    }
}

#[async_trait]
impl<S: Whole> TimerStore for WithPoints<S> {
    async fn schedule_timers(&self, queue: &str, timers: &[NewTimer]) -> Result<Vec<TimerState>, Error> {
        self.inner.schedule_timers(queue, timers).await
    }

    async fn move_timer(&self, queue: &str, id: Uuid, due_at: DateTime<Utc>) -> Result<Option<Timer>, Error> {
        self.inner.move_timer(queue, id, due_at).await
    }

    async fn cancel_timer(&self, queue: &str, id: Uuid, keep_for: std::time::Duration) -> Result<Option<Timer>, Error> {
        self.inner.cancel_timer(queue, id, keep_for).await
    }

    async fn wake_timers(&self, queue: &str, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), Error> {
        self.written(self.inner.wake_timers(queue, ids, at)).await
    }

    async fn claim_due(&self, claim: &DueClaim) -> Result<Due, Error> {
        self.points.pass().await;
        let claimed = self.reach()?.claim_due(claim).await;
        self.points.pass().await;
        claimed
    }

    async fn renew_timers(&self, held: &[HeldTimer], lease: std::time::Duration) -> Result<Vec<Uuid>, Error> {
        self.inner.renew_timers(held, lease).await
    }

    async fn settle_timer(&self, held: &HeldTimer, settled: &Settled) -> Result<bool, Error> {
        self.points.pass().await;
        let was_settled = self.reach()?.settle_timer(held, settled).await;
        self.points.pass().await;
        was_settled
    }

    async fn resume_timer(&self, queue: &str, id: Uuid) -> Result<bool, Error> {
        self.inner.resume_timer(queue, id).await
    }

    async fn timer(&self, queue: &str, id: Uuid) -> Result<Option<Timer>, Error> {
        self.inner.timer(queue, id).await
    }

    async fn list_timers(&self, query: &TimerQuery) -> Result<Vec<Timer>, Error> {
        self.inner.list_timers(query).await
    }

    async fn count_timers(&self, queue: &str) -> Result<TimerCounts, Error> {
        self.inner.count_timers(queue).await
    }

    fn timer_clock(&self) -> DateTime<Utc> {
        self.inner.timer_clock()
    }
}
