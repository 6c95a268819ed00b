//! The port of checkpoints, on connections and transactions of SQLite.

use std::error::Error as StdError;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::{
    SqliteStore, SqliteWork,
    backend::SYSTEM,
    checkpoint,
    classify::{classify, classify_commit, is_passing},
    consumer, parked, read, read_model, transaction,
};
use crate::store::{
    COUNTED_EVENTS, Checkpoint, CheckpointStore, CheckpointWork, Claim, Claimed, Consumer, Cursor, Error, Lease,
    NewParkedEvent, ParkedChoice, ParkedEvent, ParkedQuery, Position, Renewal, Step, beneath, check_cursor, check_name,
    check_number, check_partitions, check_requested, check_table_name, telemetry::operation,
};

/// Commits, where nothing but the store's own statements were run.
async fn commit<T>(transaction: Transaction<'_, Sqlite>, done: T) -> Result<T, Error> {
    transaction.commit().await.map_err(classify_commit)?;
    Ok(done)
}

#[async_trait]
impl CheckpointStore for SqliteStore {
    async fn checkpoint(&self, consumer: &Consumer) -> Result<Option<Checkpoint>, Error> {
        let read = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            checkpoint::read(&mut connection, consumer).await
        };
        operation(SYSTEM, "checkpoint", read).await
    }

    async fn checkpoints(&self, name: Option<&str>) -> Result<Vec<Checkpoint>, Error> {
        name.map_or(Ok(()), check_name)?;
        let list = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            checkpoint::list(&mut connection, name).await
        };
        operation(SYSTEM, "checkpoints", list).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, Error> {
        claim.check()?;
        let take = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let claimed = checkpoint::claim(&mut transaction, claim, self.now()).await?;
            // Also where it was refused: a commit after one whose reply was lost tells what became of that.
            commit(transaction, claimed).await
        };
        operation(SYSTEM, "claim", take).await
    }

    async fn renew(&self, lease: &Lease) -> Result<Renewal, Error> {
        let renew = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let renewal = checkpoint::renew(&mut transaction, lease, self.now()).await?;
            commit(transaction, renewal).await
        };
        operation(SYSTEM, "renew", renew).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let release = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            checkpoint::release(&mut transaction, lease).await?;
            commit(transaction, ()).await
        };
        operation(SYSTEM, "release", release).await
    }

    async fn advance(&self, lease: &Lease, step: &Step<'_>) -> Result<bool, Error> {
        step.check()?;
        let advance = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let has_moved = checkpoint::advance(&mut transaction, (lease, step), self.now()).await?;
            commit(transaction, has_moved).await
        };
        let moved = operation(SYSTEM, "advance", advance).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn begin_attempt(&self, lease: &Lease, position: Position) -> Result<Option<u32>, Error> {
        let begin = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let beginnings = checkpoint::begin_attempt(&mut transaction, lease, position).await?;
            commit(transaction, beginnings).await
        };
        operation(SYSTEM, "begin_attempt", begin).await
    }

    async fn note_failure(&self, lease: &Lease, message: &str) -> Result<(), Error> {
        let note = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            checkpoint::note_failure(&mut transaction, (lease, message), self.now()).await?;
            commit(transaction, ()).await
        };
        operation(SYSTEM, "note_failure", note).await
    }

    async fn parked(&self, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, Error> {
        query.check()?;
        let read = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            parked::read(&mut connection, query).await
        };
        operation(SYSTEM, "parked", read).await
    }

    async fn count_parked(&self, name: &str) -> Result<u64, Error> {
        check_name(name)?;
        let count = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            parked::count(&mut connection, name).await
        };
        operation(SYSTEM, "count_parked", count).await
    }

    async fn unpark(&self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<bool, Error> {
        let unpark = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let was_parked = parked::unpark(&mut transaction, lease, (aggregate_id, sequence)).await?;
            commit(transaction, was_parked).await
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
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let was_parked = parked::park_again(&mut transaction, lease, event, requested_at).await?;
            commit(transaction, was_parked).await
        };
        operation(SYSTEM, "park_again", again).await
    }

    async fn request_replay(&self, name: &str, choice: ParkedChoice) -> Result<u64, Error> {
        check_name(name)?;
        let request = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let requested = parked::request(&mut transaction, (name, choice), self.now()).await?;
            commit(transaction, requested).await
        };
        operation(SYSTEM, "request_replay", request).await
    }

    async fn requested_replays(&self, name: &str, after: Position, limit: u32) -> Result<Vec<ParkedEvent>, Error> {
        check_requested(name, limit)?;
        let read = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            parked::requested(&mut connection, (name, after), limit).await
        };
        operation(SYSTEM, "requested_replays", read).await
    }

    async fn begin_replay(&self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<Option<u32>, Error> {
        let begin = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let begun = parked::begin(&mut transaction, lease, (aggregate_id, sequence)).await?;
            commit(transaction, begun).await
        };
        operation(SYSTEM, "begin_replay", begin).await
    }

    async fn set_paused(&self, name: &str, is_paused: bool) -> Result<bool, Error> {
        check_name(name)?;
        let pause = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let was_there = consumer::set_paused(&mut transaction, (name, is_paused), self.now()).await?;
            commit(transaction, was_there).await
        };
        operation(SYSTEM, "set_paused", pause).await
    }

    async fn forget(&self, name: &str) -> Result<bool, Error> {
        check_name(name)?;
        let forget = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let was_there = consumer::forget(&mut transaction, name).await?;
            commit(transaction, was_there).await
        };
        let moved = operation(SYSTEM, "forget", forget).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn repartition(&self, name: &str, of: u32) -> Result<bool, Error> {
        check_name(name)?;
        check_partitions(of)?;
        let split = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let was_there = consumer::repartition(&mut transaction, (name, of), self.now()).await?;
            commit(transaction, was_there).await
        };
        let moved = operation(SYSTEM, "repartition", split).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn reset(&self, name: &str, to: &Cursor) -> Result<bool, Error> {
        check_name(name)?;
        check_cursor(to)?;
        let reset = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let was_there = consumer::reset(&mut transaction, (name, to), self.now()).await?;
            commit(transaction, was_there).await
        };
        let moved = operation(SYSTEM, "reset", reset).await;
        self.backend().moves.note_if(&moved);
        moved
    }

    async fn count_after(&self, position: Position) -> Result<u64, Error> {
        let count = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            let head = read::head(&mut connection).await?;
            // Positions may be taken from each other here, and here alone: one writer gives them out without a hole.
            Ok(head.get().saturating_sub(position.get()).min(COUNTED_EVENTS))
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
impl CheckpointWork for SqliteWork {
    async fn hold(&mut self, lease: &Lease) -> Result<bool, Error> {
        let hold = async {
            let connection = self.enter().await?;
            let held = checkpoint::hold(connection, lease).await;
            self.leave(held).await
        };
        operation(SYSTEM, "hold", hold).await
    }

    async fn advance(&mut self, lease: &Lease, step: &Step<'_>) -> Result<bool, Error> {
        step.check()?;
        let now = self.time();
        let advance = async {
            let connection = self.enter().await?;
            let has_moved = checkpoint::advance(connection, (lease, step), now).await;
            self.leave(has_moved).await
        };
        let has_moved = operation(SYSTEM, "advance", advance).await?;
        self.moves(has_moved);
        Ok(has_moved)
    }

    async fn unpark(&mut self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<bool, Error> {
        let unpark = async {
            let connection = self.enter().await?;
            let was_parked = parked::unpark(connection, lease, (aggregate_id, sequence)).await;
            self.leave(was_parked).await
        };
        let was_parked = operation(SYSTEM, "unpark", unpark).await?;
        self.moves(was_parked);
        Ok(was_parked)
    }

    async fn lock_checkpoint(&mut self, consumer: &Consumer) -> Result<Option<Checkpoint>, Error> {
        let lock = async {
            let connection = self.enter().await?;
            // The transaction has the one writer: nobody else moves anything.
            let found = checkpoint::read(connection, consumer).await;
            self.leave(found).await
        };
        operation(SYSTEM, "lock_checkpoint", lock).await
    }

    async fn remove_checkpoint(&mut self, consumer: &Consumer) -> Result<(), Error> {
        let remove = async {
            let connection = self.enter().await?;
            let done = consumer::remove(connection, consumer.name()).await;
            self.leave(done).await
        };
        operation(SYSTEM, "remove_checkpoint", remove).await.map(drop)
    }

    async fn run_script(&mut self, script: &str) -> Result<(), Error> {
        let run = async {
            let connection = self.enter().await?;
            let done = read_model::run_script(connection, script).await;
            self.leave(done).await
        };
        operation(SYSTEM, "run_script", run).await
    }

    async fn show_table(&mut self, view: &str, table: &str) -> Result<(), Error> {
        check_table_name(view)?;
        check_table_name(table)?;
        let show = async {
            let connection = self.enter().await?;
            let done = read_model::show_table(connection, view, table).await;
            self.leave(done).await
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
            let connection = self.enter().await?;
            let is_set = read_model::set_build(connection, lease, (build, version)).await;
            self.leave(is_set).await
        };
        operation(SYSTEM, "set_build", set).await
    }

    async fn swap_build(&mut self, rebuild: &Lease, shown: &Consumer) -> Result<bool, Error> {
        let swap = async {
            let connection = self.enter().await?;
            let has_swapped = read_model::swap_build(connection, rebuild, shown).await;
            self.leave(has_swapped).await
        };
        let has_swapped = operation(SYSTEM, "swap_build", swap).await?;
        self.moves(has_swapped);
        Ok(has_swapped)
    }
}
