//! The port of checkpoints, on connections and transactions of PostgreSQL.

use std::error::Error as StdError;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    PostgresStore, PostgresWork, backend::SYSTEM, checkpoint, classify::is_passing, consumer, parked, read_model,
};
use crate::store::{
    COUNTED_EVENTS, Checkpoint, CheckpointStore, CheckpointWork, Claim, Claimed, Consumer, Cursor, Error, Lease,
    NewParkedEvent, ParkedChoice, ParkedEvent, ParkedQuery, Position, Renewal, Step, beneath, check_cursor, check_name,
    check_number, check_partitions, check_requested, check_table_name, telemetry::operation,
};

/// What became of a statement that is its own commit: where the connection ended, nobody knows.
pub(super) fn committed<T>(done: Result<T, Error>) -> Result<T, Error> {
    match done {
        Err(Error::Unavailable { source }) => Err(Error::OutcomeUnknown { source }),
        done => done,
    }
}

#[async_trait]
impl CheckpointStore for PostgresStore {
    async fn checkpoint(&self, consumer: &Consumer) -> Result<Option<Checkpoint>, Error> {
        let read = async {
            let mut taken = self.backend().readers.acquire().await?;
            let found = checkpoint::read(taken.connection(), consumer).await;
            taken.settle(found)
        };
        operation(SYSTEM, "checkpoint", read).await
    }

    async fn checkpoints(&self, name: Option<&str>) -> Result<Vec<Checkpoint>, Error> {
        name.map_or(Ok(()), check_name)?;
        let list = async {
            let mut taken = self.backend().readers.acquire().await?;
            let found = checkpoint::list(taken.connection(), name).await;
            taken.settle(found)
        };
        operation(SYSTEM, "checkpoints", list).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, Error> {
        claim.check()?;
        let take = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = checkpoint::claim(taken.connection(), claim, self.now()).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "claim", take).await
    }

    async fn renew(&self, lease: &Lease) -> Result<Renewal, Error> {
        let renew = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = checkpoint::renew(taken.connection(), lease, self.now()).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "renew", renew).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let release = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = checkpoint::release(taken.connection(), lease).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "release", release).await
    }

    async fn advance(&self, lease: &Lease, step: &Step<'_>) -> Result<bool, Error> {
        step.check()?;
        let advance = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = checkpoint::advance(taken.connection(), (lease, step), self.now()).await;
            taken.settle(committed(done))
        };
        let moved = operation(SYSTEM, "advance", advance).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn begin_attempt(&self, lease: &Lease, position: Position) -> Result<Option<u32>, Error> {
        let begin = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = checkpoint::begin_attempt(taken.connection(), lease, position).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "begin_attempt", begin).await
    }

    async fn note_failure(&self, lease: &Lease, message: &str) -> Result<(), Error> {
        let note = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = checkpoint::note_failure(taken.connection(), (lease, message), self.now()).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "note_failure", note).await
    }

    async fn parked(&self, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, Error> {
        query.check()?;
        let read = async {
            let mut taken = self.backend().readers.acquire().await?;
            let found = parked::read(taken.connection(), query).await;
            taken.settle(found)
        };
        operation(SYSTEM, "parked", read).await
    }

    async fn count_parked(&self, name: &str) -> Result<u64, Error> {
        check_name(name)?;
        let count = async {
            let mut taken = self.backend().readers.acquire().await?;
            let counted = parked::count(taken.connection(), name).await;
            taken.settle(counted)
        };
        operation(SYSTEM, "count_parked", count).await
    }

    async fn unpark(&self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<bool, Error> {
        let unpark = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = parked::unpark(taken.connection(), lease, (aggregate_id, sequence)).await;
            taken.settle(committed(done))
        };
        let moved = operation(SYSTEM, "unpark", unpark).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn park_again(
        &self,
        lease: &Lease,
        event: &NewParkedEvent,
        requested_at: Option<DateTime<Utc>>,
    ) -> Result<bool, Error> {
        event.check()?;
        let again = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = parked::park_again(taken.connection(), lease, event, requested_at).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "park_again", again).await
    }

    async fn request_replay(&self, name: &str, choice: ParkedChoice) -> Result<u64, Error> {
        check_name(name)?;
        let request = async {
            self.backend().check_writable()?;
            let mut taken = self.backend().keepers.acquire().await?;
            let done = consumer::request_replay(taken.connection(), (name, choice), self.now()).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "request_replay", request).await
    }

    async fn requested_replays(&self, name: &str, after: Position, limit: u32) -> Result<Vec<ParkedEvent>, Error> {
        check_requested(name, limit)?;
        let read = async {
            let mut taken = self.backend().readers.acquire().await?;
            let found = parked::requested(taken.connection(), (name, after), limit).await;
            taken.settle(found)
        };
        operation(SYSTEM, "requested_replays", read).await
    }

    async fn begin_replay(&self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<Option<u32>, Error> {
        let begin = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = parked::begin(taken.connection(), lease, (aggregate_id, sequence)).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "begin_replay", begin).await
    }

    async fn set_paused(&self, name: &str, is_paused: bool) -> Result<bool, Error> {
        check_name(name)?;
        let pause = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = consumer::set_paused(taken.connection(), (name, is_paused), self.now()).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "set_paused", pause).await
    }

    async fn forget(&self, name: &str) -> Result<bool, Error> {
        check_name(name)?;
        let forget = async {
            self.backend().check_writable()?;
            let mut taken = self.backend().keepers.acquire().await?;
            let done = consumer::forget(taken.connection(), name).await;
            taken.settle(committed(done))
        };
        let moved = operation(SYSTEM, "forget", forget).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn repartition(&self, name: &str, of: u32) -> Result<bool, Error> {
        check_name(name)?;
        check_partitions(of)?;
        let split = async {
            self.backend().check_writable()?;
            let mut taken = self.backend().keepers.acquire().await?;
            let done = consumer::repartition(taken.connection(), (name, of), self.now()).await;
            taken.settle(committed(done))
        };
        let moved = operation(SYSTEM, "repartition", split).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn reset(&self, name: &str, to: &Cursor) -> Result<bool, Error> {
        check_name(name)?;
        check_cursor(to)?;
        let reset = async {
            self.backend().check_writable()?;
            let mut taken = self.backend().keepers.acquire().await?;
            let done = consumer::reset(taken.connection(), (name, to), self.now()).await;
            taken.settle(committed(done))
        };
        let moved = operation(SYSTEM, "reset", reset).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn count_after(&self, position: Position) -> Result<u64, Error> {
        let count = async {
            let mut taken = self.backend().readers.acquire().await?;
            let counted = self.backend().sight.count_after(taken.connection(), position, COUNTED_EVENTS).await;
            taken.settle(counted)
        };
        operation(SYSTEM, "count_after", count).await
    }

    fn now(&self) -> DateTime<Utc> {
        self.backend().now()
    }

    async fn moved(&self, seen: &mut u64) {
        self.backend().moves.others_than(seen).await;
    }
}

#[async_trait]
impl CheckpointWork for PostgresWork {
    async fn hold(&mut self, lease: &Lease) -> Result<bool, Error> {
        let lock_timeout = self.lock_timeout();
        let hold = async {
            let connection = self.enter()?;
            let held = checkpoint::hold(connection, lease, lock_timeout).await;
            self.leave(held)
        };
        operation(SYSTEM, "hold", hold).await
    }

    async fn advance(&mut self, lease: &Lease, step: &Step<'_>) -> Result<bool, Error> {
        step.check()?;
        let now = self.time();
        let advance = async {
            let connection = self.enter()?;
            let has_moved = checkpoint::advance(connection, (lease, step), now).await;
            self.leave(has_moved)
        };
        let has_moved = operation(SYSTEM, "advance", advance).await?;
        self.moves(has_moved);
        Ok(has_moved)
    }

    async fn unpark(&mut self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<bool, Error> {
        let unpark = async {
            let connection = self.enter()?;
            let was_parked = parked::unpark(connection, lease, (aggregate_id, sequence)).await;
            self.leave(was_parked)
        };
        let was_parked = operation(SYSTEM, "unpark", unpark).await?;
        self.moves(was_parked);
        Ok(was_parked)
    }

    async fn lock_checkpoint(&mut self, consumer: &Consumer) -> Result<Option<Checkpoint>, Error> {
        let lock = async {
            let connection = self.enter()?;
            let found = checkpoint::lock(connection, consumer).await;
            self.leave(found)
        };
        operation(SYSTEM, "lock_checkpoint", lock).await
    }

    async fn remove_checkpoint(&mut self, consumer: &Consumer) -> Result<(), Error> {
        let remove = async {
            let connection = self.enter()?;
            let done = consumer::remove(connection, consumer.name()).await;
            self.leave(done)
        };
        operation(SYSTEM, "remove_checkpoint", remove).await.map(drop)
    }

    async fn run_script(&mut self, script: &str) -> Result<(), Error> {
        let run = async {
            let connection = self.enter()?;
            let done = read_model::run_script(connection, script).await;
            self.leave(done)
        };
        operation(SYSTEM, "run_script", run).await
    }

    async fn show_table(&mut self, view: &str, table: &str) -> Result<(), Error> {
        check_table_name(view)?;
        check_table_name(table)?;
        let show = async {
            let connection = self.enter()?;
            let done = read_model::show_table(connection, view, table).await;
            self.leave(done)
        };
        operation(SYSTEM, "show_table", show).await
    }

    fn is_passing(&self, error: &(dyn StdError + 'static)) -> bool {
        beneath(error).any(|error| error.downcast_ref::<sqlx::Error>().is_some_and(is_passing))
    }

    async fn set_build(&mut self, lease: &Lease, build: u32, version: u32) -> Result<bool, Error> {
        check_number("a build", build)?;
        check_number("the version of a projection", version)?;
        let set = async {
            let connection = self.enter()?;
            let is_set = read_model::set_build(connection, lease, (build, version)).await;
            self.leave(is_set)
        };
        operation(SYSTEM, "set_build", set).await
    }

    async fn swap_build(&mut self, rebuild: &Lease, shown: &Consumer) -> Result<bool, Error> {
        let swap = async {
            let connection = self.enter()?;
            let has_swapped = read_model::swap_build(connection, rebuild, shown).await;
            self.leave(has_swapped)
        };
        let has_swapped = operation(SYSTEM, "swap_build", swap).await?;
        self.moves(has_swapped);
        Ok(has_swapped)
    }
}
