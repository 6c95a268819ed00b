//! The check of the whole log: one read transaction, in which everything is read page by page.

use std::{fmt, ops::ControlFlow};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{
    Sqlite,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};
use tokio::runtime::Handle;

use super::{
    backend::SqliteBackend,
    classify::classify,
    read,
    row::{self, named},
    statement::{AUDIT_CHECKPOINTS, AUDIT_EVENTS, AUDIT_PARKED_EVENTS, AUDIT_PLACES, AUDIT_RECEIPTS, AUDIT_SNAPSHOTS},
    store::SqliteStore,
};
use crate::store::{
    Audit, Auditable, CheckpointKey, CheckpointRow, Error, EventKey, EventName, EventRow, Fault, HeldTransaction,
    ParkedKey, ParkedRow, Place, Position, PositionSource, ReceiptKey, ReceiptRow, SnapshotRow,
};

/// Holds a read transaction.
///
/// Writers go on meanwhile; the write-ahead log is not cut short until it ends, so the file grows for as long.
pub(super) struct SqliteAudit {
    transaction: HeldTransaction<Sqlite>,
    page_rows: u32,
}

impl SqliteAudit {
    async fn begin(backend: &SqliteBackend, page_rows: u32) -> Result<Self, Error> {
        let runtime = Handle::try_current().map_err(Error::unavailable)?;
        let transaction = backend.readers.begin().await.map_err(classify)?;
        let mut audit = Self { transaction: HeldTransaction::new(transaction, runtime), page_rows: page_rows.max(1) };
        // The transaction sees what is there at its first read.
        match audit.head().await {
            // The end of the log is damaged: that is for whoever reads it to say.
            Ok(_) | Err(Error::Backend { fault: Fault::Corrupt, .. }) => Ok(audit),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Auditable for SqliteStore {
    async fn audit(&self, page_rows: u32) -> Result<Box<dyn Audit>, Error> {
        Ok(Box::new(SqliteAudit::begin(self.backend(), page_rows).await?))
    }
}

#[async_trait]
impl Audit for SqliteAudit {
    fn has_dense_positions(&self) -> bool {
        true
    }

    async fn head(&mut self) -> Result<Position, Error> {
        read::head(self.transaction.connection()).await
    }

    async fn events(
        &mut self,
        after: Option<&EventKey>,
        visit: &mut (dyn for<'r> FnMut(EventRow<'r>) -> ControlFlow<()> + Send),
    ) -> Result<(), Error> {
        let mut key = after.cloned().unwrap_or_else(EventKey::before_all);
        loop {
            let query = sqlx::query(AUDIT_EVENTS).bind(key.aggregate_id.clone()).bind(key.sequence);
            let next = self
                .page(query, &mut |row| {
                    let (aggregate_id, sequence): (&[u8], i64) = (named(row, "aggregate_id")?, named(row, "sequence")?);
                    key.set(aggregate_id, sequence);
                    let event = row::try_event(row)?.map_err(str::to_owned);
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
                .bind(last.event.aggregate_id.clone())
                .bind(last.event.sequence);
            let next = self
                .page(query, &mut |row| {
                    let (aggregate_id, sequence) = (named(row, "aggregate_id")?, named(row, "sequence")?);
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
            let query = sqlx::query(AUDIT_RECEIPTS).bind(key.aggregate_id.clone()).bind(key.idempotency_key.clone());
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
            let query = sqlx::query(AUDIT_SNAPSHOTS).bind(key.clone());
            let next = self
                .page(query, &mut |row| {
                    let shown = SnapshotRow {
                        aggregate_id: named(row, "aggregate_id")?,
                        snapshot_version: named(row, "snapshot_version")?,
                        sequence: named(row, "sequence")?,
                        event_checksum: named(row, "event_checksum")?,
                        state: named(row, "state")?,
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
            let query = sqlx::query(AUDIT_CHECKPOINTS).bind(key.name.clone()).bind(key.partition);
            let next = self
                .page(query, &mut |row| {
                    key = CheckpointKey { name: named(row, "name")?, partition: named(row, "partition")? };
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
                .bind(key.event.aggregate_id.clone())
                .bind(key.event.sequence);
            let next = self
                .page(query, &mut |row| {
                    let event =
                        EventKey { aggregate_id: named(row, "aggregate_id")?, sequence: named(row, "sequence")? };
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
        Ok(PositionSource::Events)
    }
}

impl SqliteAudit {
    /// Visits one page of rows. [`ControlFlow::Continue`] where there may be another.
    async fn page(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
        visit: &mut (dyn FnMut(&SqliteRow) -> Result<ControlFlow<()>, Error> + Send),
    ) -> Result<ControlFlow<()>, Error> {
        let mut rows = query.bind(i64::from(self.page_rows)).fetch(self.transaction.connection());
        let mut visited = 0;
        while let Some(row) = rows.try_next().await.map_err(classify)? {
            visited += 1;
            if visit(&row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(if visited == self.page_rows { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }
}

fn receipt(row: &SqliteRow) -> Result<ReceiptRow<'_>, Error> {
    Ok(ReceiptRow {
        aggregate_id: named(row, "aggregate_id")?,
        idempotency_key: named(row, "idempotency_key")?,
        command_id: named(row, "command_id")?,
        fingerprint: named(row, "fingerprint")?,
        outcome: named(row, "outcome")?,
        first_sequence: named(row, "first_sequence")?,
        last_sequence: named(row, "last_sequence")?,
        rejection: named(row, "rejection")?,
        expires: named(row, "expires")?,
    })
}

/// Reads the columns that name an event, if they do.
fn event_name(row: &SqliteRow, [aggregate_id, sequence, command_id]: [&str; 3]) -> Result<Option<EventName>, Error> {
    let Some(aggregate_id) = named::<Option<Vec<u8>>>(row, aggregate_id)? else {
        return Ok(None);
    };
    let sequence = named::<Option<i64>>(row, sequence)?.unwrap_or(0);
    let command_id = named::<Option<Vec<u8>>>(row, command_id)?.unwrap_or_default();
    Ok(Some(EventName { event: EventKey { aggregate_id, sequence }, command_id }))
}

impl fmt::Debug for SqliteAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteAudit").finish_non_exhaustive()
    }
}
