//! The check of the whole log: one read transaction, in which everything is read page by page.

use std::{fmt, ops::ControlFlow};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{
    Connection as _, PgConnection, Postgres,
    error::DatabaseError,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    backend::PostgresBackend,
    classify::{classify, reply, within_reach},
    pool::not_acquired,
    row::{self, named, raw},
    statement::{
        AUDIT_CHECKPOINTS, AUDIT_EVENTS, AUDIT_PARKED_EVENTS, AUDIT_PLACES, AUDIT_RECEIPTS, AUDIT_SEQUENCE,
        AUDIT_SNAPSHOTS, READ_HEAD,
    },
    store::PostgresStore,
};
use crate::store::{
    Audit, Auditable, CheckpointKey, CheckpointRow, Error, EventKey, EventName, EventRow, Fault, HeldTransaction,
    ParkedKey, ParkedRow, Place, Position, PositionSource, ReceiptKey, ReceiptRow, SnapshotRow,
};

/// Holds a read transaction: a snapshot of the whole database, which takes no lock that a writer would meet.
///
/// Rows that were deleted or replaced since it began are kept by the server until it ends.
pub(super) struct PostgresAudit {
    transaction: HeldTransaction<Postgres>,
    page_rows: u32,
}

impl PostgresAudit {
    async fn begin(backend: &PostgresBackend, page_rows: u32) -> Result<Self, Error> {
        let runtime = Handle::try_current().map_err(Error::unavailable)?;
        let begun = backend.works.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
        let begun = begun.map_err(|error| not_acquired(&backend.works, error))?;
        let mut audit = Self { transaction: HeldTransaction::new(begun, runtime), page_rows: page_rows.max(1) };
        // The transaction sees what is there at its first read. What is not committed by then it never sees, whatever
        // its position: no horizon is needed, sequences have no holes in any snapshot.
        match audit.head().await {
            // The end of the log is damaged: that is for whoever reads it to say.
            Ok(_) | Err(Error::Backend { fault: Fault::Corrupt, .. }) => Ok(audit),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Auditable for PostgresStore {
    async fn audit(&self, page_rows: u32) -> Result<Box<dyn Audit>, Error> {
        Ok(Box::new(PostgresAudit::begin(self.backend(), page_rows).await?))
    }
}

#[async_trait]
impl Audit for PostgresAudit {
    fn has_dense_positions(&self) -> bool {
        false
    }

    async fn head(&mut self) -> Result<Position, Error> {
        let mut savepoint = reply(self.transaction.connection().begin()).await?;
        let read = reply(sqlx::query(READ_HEAD).bind(i64::MAX).fetch_one(&mut *savepoint)).await;
        reply(savepoint.rollback()).await?;
        let row = read?;
        Ok(row::position(named(&row, "position")?)?.unwrap_or(Position::START))
    }

    async fn events(
        &mut self,
        after: Option<&EventKey>,
        visit: &mut (dyn for<'r> FnMut(EventRow<'r>) -> ControlFlow<()> + Send),
    ) -> Result<(), Error> {
        let mut key = after.cloned().unwrap_or_else(EventKey::before_all);
        loop {
            let query = sqlx::query(AUDIT_EVENTS).bind(uuid(&key.aggregate_id)).bind(key.sequence);
            let next = self
                .page(query, &mut |row| {
                    let (aggregate_id, sequence): (&[u8], i64) = (bytes(row, "aggregate_id")?, named(row, "sequence")?);
                    key.set(aggregate_id, sequence);
                    let event = row::try_event(row).map_err(str::to_owned);
                    Ok(visit(EventRow { aggregate_id, sequence, position: named(row, "position")?, event }))
                })
                .await?;
            if next.is_break() {
                return Ok(());
            }
        }
    }

    async fn places(
        &mut self,
        after: Option<&Place>,
        visit: &mut (dyn FnMut(Place) -> ControlFlow<()> + Send),
    ) -> Result<(), Error> {
        let mut last = after.cloned().unwrap_or_else(|| Place { position: i64::MIN, event: EventKey::before_all() });
        loop {
            let query = sqlx::query(AUDIT_PLACES)
                .bind(last.position)
                .bind(uuid(&last.event.aggregate_id))
                .bind(last.event.sequence);
            let next = self
                .page(query, &mut |row| {
                    let (aggregate_id, sequence) = (bytes(row, "aggregate_id")?.to_owned(), named(row, "sequence")?);
                    last = Place { position: named(row, "position")?, event: EventKey { aggregate_id, sequence } };
                    Ok(visit(last.clone()))
                })
                .await?;
            if next.is_break() {
                return Ok(());
            }
        }
    }

    async fn receipts(
        &mut self,
        after: Option<&ReceiptKey>,
        visit: &mut (dyn for<'r> FnMut(ReceiptRow<'r>) -> ControlFlow<()> + Send),
    ) -> Result<(), Error> {
        let first = || ReceiptKey { aggregate_id: Vec::new(), idempotency_key: Vec::new() };
        let mut key = after.cloned().unwrap_or_else(first);
        loop {
            let query = sqlx::query(AUDIT_RECEIPTS)
                .bind(uuid(&key.aggregate_id))
                .bind(String::from_utf8_lossy(&key.idempotency_key).into_owned());
            let next = self
                .page(query, &mut |row| {
                    let shown = receipt(row)?;
                    key = ReceiptKey {
                        aggregate_id: shown.aggregate_id.to_owned(),
                        idempotency_key: shown.idempotency_key.to_owned(),
                    };
                    Ok(visit(shown))
                })
                .await?;
            if next.is_break() {
                return Ok(());
            }
        }
    }

    async fn snapshots(
        &mut self,
        after: Option<&[u8]>,
        visit: &mut (dyn for<'r> FnMut(SnapshotRow<'r>) -> ControlFlow<()> + Send),
    ) -> Result<(), Error> {
        let mut key = after.unwrap_or_default().to_owned();
        loop {
            let seen = if key.is_empty() { i64::MIN } else { i64::MAX };
            let query = sqlx::query(AUDIT_SNAPSHOTS).bind(uuid(&key)).bind(seen);
            let next = self
                .page(query, &mut |row| {
                    let shown = SnapshotRow {
                        aggregate_id: bytes(row, "aggregate_id")?,
                        snapshot_version: named::<i32>(row, "snapshot_version")?.into(),
                        sequence: named(row, "sequence")?,
                        event_checksum: named(row, "event_checksum")?,
                        state: bytes(row, "state")?,
                        checksum: named(row, "checksum")?,
                    };
                    key = shown.aggregate_id.to_owned();
                    Ok(visit(shown))
                })
                .await?;
            if next.is_break() {
                return Ok(());
            }
        }
    }

    async fn checkpoints(
        &mut self,
        after: Option<&CheckpointKey>,
        visit: &mut (dyn FnMut(CheckpointRow) -> ControlFlow<()> + Send),
    ) -> Result<(), Error> {
        let mut key = after.cloned().unwrap_or(CheckpointKey { name: String::new(), partition: i64::MIN });
        loop {
            let query = sqlx::query(AUDIT_CHECKPOINTS)
                .bind(key.name.clone())
                .bind(i32::try_from(key.partition).unwrap_or(i32::MIN));
            let next = self
                .page(query, &mut |row| {
                    key =
                        CheckpointKey { name: named(row, "name")?, partition: named::<i32>(row, "partition")?.into() };
                    Ok(visit(CheckpointRow {
                        key: key.clone(),
                        position: named(row, "position")?,
                        remembered: event_name(row, ["aggregate_id", "sequence", "command_id"])?,
                        found: event_name(row, ["found_aggregate_id", "found_sequence", "found_command_id"])?,
                    }))
                })
                .await?;
            if next.is_break() {
                return Ok(());
            }
        }
    }

    async fn parked_events(
        &mut self,
        after: Option<&ParkedKey>,
        visit: &mut (dyn FnMut(ParkedRow) -> ControlFlow<()> + Send),
    ) -> Result<(), Error> {
        let first = || ParkedKey { name: String::new(), event: EventKey::before_all() };
        let mut key = after.cloned().unwrap_or_else(first);
        loop {
            let query = sqlx::query(AUDIT_PARKED_EVENTS)
                .bind(key.name.clone())
                .bind(uuid(&key.event.aggregate_id))
                .bind(key.event.sequence);
            let next = self
                .page(query, &mut |row| {
                    let event = EventKey {
                        aggregate_id: bytes(row, "aggregate_id")?.to_owned(),
                        sequence: named(row, "sequence")?,
                    };
                    key = ParkedKey { name: named(row, "name")?, event };
                    Ok(visit(ParkedRow {
                        key: key.clone(),
                        position: named(row, "position")?,
                        found_position: named(row, "found_position")?,
                        has_checkpoint: named(row, "has_checkpoint")?,
                    }))
                })
                .await?;
            if next.is_break() {
                return Ok(());
            }
        }
    }

    async fn position_source(&mut self) -> Result<PositionSource, Error> {
        let mut savepoint = reply(self.transaction.connection().begin()).await?;
        let read = within_reach(sqlx::query(AUDIT_SEQUENCE).fetch_one(&mut *savepoint)).await;
        reply(savepoint.rollback()).await?;
        match read {
            Ok(row) => Ok(PositionSource::Sequence {
                last_drawn: named(&row, "last_drawn")?,
                cache: named(&row, "cache")?,
                increment: named(&row, "increment")?,
            }),
            Err(error) if is_missing(&error) => Ok(PositionSource::Missing),
            Err(error) => Err(classify(error)),
        }
    }
}

/// SQLSTATE undefined_table: also of a sequence.
const UNDEFINED_TABLE: &str = "42P01";

/// The statement names something that is not there.
fn is_missing(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == UNDEFINED_TABLE)
}

impl PostgresAudit {
    /// Visits one page of rows. [`ControlFlow::Continue`] where there may be another.
    async fn page(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        visit: &mut (dyn FnMut(&PgRow) -> Result<ControlFlow<()>, Error> + Send),
    ) -> Result<ControlFlow<()>, Error> {
        // A page that cannot be read must not end the transaction, and with it the check.
        let mut savepoint = reply(self.transaction.connection().begin()).await?;
        let read = rows(&mut savepoint, query.bind(i64::from(self.page_rows)), visit).await;
        let ended = if read.is_ok() { savepoint.commit().await } else { savepoint.rollback().await };
        let (visited, is_broken_off) = read?;
        ended.map_err(classify)?;
        let is_last = is_broken_off || visited < self.page_rows;
        Ok(if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

/// Visits rows; how many there were, and whether the visitor broke off.
async fn rows(
    connection: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
    visit: &mut (dyn FnMut(&PgRow) -> Result<ControlFlow<()>, Error> + Send),
) -> Result<(u32, bool), Error> {
    let mut rows = query.fetch(connection);
    let mut visited = 0;
    while let Some(row) = reply(rows.try_next()).await? {
        visited += 1;
        if visit(&row)?.is_break() {
            return Ok((visited, true));
        }
    }
    Ok((visited, false))
}

/// The id to go on after; none is before the first, so what comes beside it has to tell.
fn uuid(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).unwrap_or_default()
}

fn bytes<'r>(row: &'r PgRow, name: &str) -> Result<&'r [u8], Error> {
    raw(row, name)?.ok_or_else(|| Error::corrupt(format!("the column {name} is null")))
}

fn receipt(row: &PgRow) -> Result<ReceiptRow<'_>, Error> {
    Ok(ReceiptRow {
        aggregate_id: bytes(row, "aggregate_id")?,
        idempotency_key: bytes(row, "idempotency_key")?,
        command_id: bytes(row, "command_id")?,
        fingerprint: bytes(row, "fingerprint")?,
        outcome: bytes(row, "outcome")?,
        first_sequence: named(row, "first_sequence")?,
        last_sequence: named(row, "last_sequence")?,
        rejection: raw(row, "rejection")?,
        expires: named(row, "expires")?,
    })
}

/// Reads the columns that name an event, if they do.
fn event_name(row: &PgRow, [aggregate_id, sequence, command_id]: [&str; 3]) -> Result<Option<EventName>, Error> {
    let Some(aggregate_id) = raw(row, aggregate_id)? else {
        return Ok(None);
    };
    let sequence = named::<Option<i64>>(row, sequence)?.unwrap_or(0);
    let command_id = raw(row, command_id)?.unwrap_or_default().to_owned();
    Ok(Some(EventName { event: EventKey { aggregate_id: aggregate_id.to_owned(), sequence }, command_id }))
}

impl fmt::Debug for PostgresAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresAudit").finish_non_exhaustive()
    }
}
