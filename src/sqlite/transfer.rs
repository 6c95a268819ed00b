//! The port of moves, on connections of SQLite.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    SqliteStore,
    backend::SYSTEM,
    classify::{classify, classify_commit},
    event_rows::{self, NewRow},
    read,
    row::{self, named},
    statement::{
        EXPORT_CHECKPOINTS, EXPORT_MESSAGE_PLACES, EXPORT_MESSAGES, EXPORT_PARKED_EVENTS, EXPORT_RECEIPTS,
        EXPORT_TIMERS, FIND_RECEIPTS, FIND_VERSIONS, FIND_WRITTEN_EVENTS, IMPORT_CHECKPOINTS, IMPORT_MESSAGE_PLACES,
        IMPORT_MESSAGES, IMPORT_PARKED_EVENTS, IMPORT_TIMERS, INSERT_EVENT, INSERT_RECEIPT, ManyRows,
    },
    transaction,
};
use crate::store::{
    Arrivals, Error, IdempotencyKey, Misfit, MovedReceipt, MovedRow, Position, ReceiptAction, ReceiptOutcome,
    ReceiptPlace, RecordedEvent, RowKind, TransferError, TransferStore, Written, from_column, telemetry::operation,
    to_column,
};

/// The statements with many rows, in their sizes.
struct Statements {
    versions: ManyRows,
    events: ManyRows,
    receipts: ManyRows,
    new_events: ManyRows,
    new_receipts: ManyRows,
}

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements {
    versions: ManyRows::to_cover(FIND_VERSIONS),
    events: ManyRows::to_cover(FIND_WRITTEN_EVENTS),
    receipts: ManyRows::to_cover(FIND_RECEIPTS),
    new_events: ManyRows::to_cover_hundreds(INSERT_EVENT),
    new_receipts: ManyRows::to_fill(INSERT_RECEIPT),
});

#[async_trait]
impl TransferStore for SqliteStore {
    async fn read_receipts(
        &self,
        after: Option<&MovedReceipt>,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<MovedReceipt>, Error> {
        let read = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            // No key is empty.
            let rows = sqlx::query(EXPORT_RECEIPTS)
                .bind(after.map_or(Uuid::nil(), |after| after.aggregate_id))
                .bind(after.map_or("", |after| after.key.as_str()))
                .bind(to_column(up_to.get()))
                .bind(limit)
                .fetch_all(&mut *connection)
                .await
                .map_err(classify)?;
            rows.iter().map(receipt).collect()
        };
        operation(SYSTEM, "read_receipts", read).await
    }

    async fn write_events(&self, events: &[RecordedEvent]) -> Result<Written, TransferError> {
        let mut transaction = transaction::begin(&self.backend().writer).await?;
        let heads = versions(&mut transaction, events).await?;
        let arrivals = Arrivals::of(events, &heads).map_err(TransferError::Misfit)?;
        let found = find_events(&mut transaction, events, &arrivals.taken).await?;
        arrivals.check(events, &found).map_err(TransferError::Misfit)?;
        if !arrivals.new.is_empty() {
            insert_events(&mut transaction, events, &arrivals.new).await?;
            commit(transaction).await?;
            self.committed();
        }
        Ok(Written { new: arrivals.new.len() as u64, present: arrivals.taken.len() as u64 })
    }

    async fn write_receipts(&self, receipts: &[MovedReceipt]) -> Result<Written, TransferError> {
        let mut transaction = transaction::begin(&self.backend().writer).await?;
        let (mut new, now) = (Vec::with_capacity(receipts.len()), self.backend().now());
        for (index, place) in places(&mut transaction, receipts).await?.iter().enumerate() {
            let moved = &receipts[index];
            let action = place.action(moved, now).map_err(|kind| TransferError::Misfit(Misfit { index, kind }))?;
            if action != ReceiptAction::PassOver {
                new.push(moved);
            }
        }
        if !new.is_empty() {
            insert_receipts(&mut transaction, &new).await?;
            commit(transaction).await?;
        }
        Ok(Written { new: new.len() as u64, present: (receipts.len() - new.len()) as u64 })
    }

    async fn read_rows(
        &self,
        kind: RowKind,
        after: Option<&MovedRow>,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<MovedRow>, Error> {
        let read = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            let key = MovedRow::key(kind, after);
            let mut query = key.into_iter().fold(sqlx::query(statements(kind).0), |query, part| query.bind(part));
            if kind.is_of_log() {
                query = query.bind(to_column(up_to.get()));
            }
            let rows = query.bind(limit).fetch_all(&mut *connection).await.map_err(classify)?;
            rows.iter().map(|row| MovedRow::of_column(kind, named(row, "row")?)).collect()
        };
        operation(SYSTEM, "read_rows", read).await
    }

    async fn write_rows(&self, kind: RowKind, rows: &[MovedRow]) -> Result<Written, TransferError> {
        let array = MovedRow::array(rows)?;
        let mut transaction = transaction::begin(&self.backend().writer).await?;
        let written = sqlx::query(statements(kind).1).bind(array).execute(&mut *transaction).await.map_err(classify)?;
        commit(transaction).await?;
        let new = written.rows_affected();
        Ok(Written { new, present: (rows.len() as u64).saturating_sub(new) })
    }
}

/// The statements that read and write a kind.
const fn statements(kind: RowKind) -> (&'static str, &'static str) {
    match kind {
        RowKind::Checkpoint => (EXPORT_CHECKPOINTS, IMPORT_CHECKPOINTS),
        RowKind::ParkedEvent => (EXPORT_PARKED_EVENTS, IMPORT_PARKED_EVENTS),
        RowKind::Timer => (EXPORT_TIMERS, IMPORT_TIMERS),
        RowKind::Message => (EXPORT_MESSAGES, IMPORT_MESSAGES),
        RowKind::MessagePlace => (EXPORT_MESSAGE_PLACES, IMPORT_MESSAGE_PLACES),
    }
}

async fn commit(transaction: Transaction<'_, Sqlite>) -> Result<(), Error> {
    let commit = async { transaction.commit().await.map_err(classify_commit) };
    operation(SYSTEM, "import", commit).await
}

fn receipt(row: &SqliteRow) -> Result<MovedReceipt, Error> {
    Ok(MovedReceipt {
        aggregate_id: named(row, "aggregate_id")?,
        key: IdempotencyKey::from_stored(named(row, "idempotency_key")?),
        receipt: row::receipt(row)?.ok_or_else(|| Error::corrupt("a receipt has no command id"))?,
    })
}

/// The version and the type of each aggregate that has events.
async fn versions(
    connection: &mut SqliteConnection,
    events: &[RecordedEvent],
) -> Result<HashMap<Uuid, (u64, String)>, Error> {
    let ids: HashSet<Uuid> = events.iter().map(RecordedEvent::aggregate_id).collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let mut heads = HashMap::with_capacity(ids.len());
    for (sql, chunk) in STATEMENTS.versions.covers(&ids) {
        let query = chunk.iter().fold(sqlx::query(sql), |query, id| query.bind(*id));
        for row in query.fetch_all(&mut *connection).await.map_err(classify)? {
            let version = from_column(named(&row, "version")?)?;
            heads.insert(named(&row, "aggregate_id")?, (version, named(&row, "aggregate_type")?));
        }
    }
    Ok(heads)
}

/// The events that stand in the places of some of these.
async fn find_events(
    connection: &mut SqliteConnection,
    events: &[RecordedEvent],
    taken: &[usize],
) -> Result<Vec<RecordedEvent>, Error> {
    let mut found = Vec::with_capacity(taken.len());
    for (sql, chunk) in STATEMENTS.events.covers(taken) {
        let mut query = sqlx::query(sql);
        for event in chunk.iter().map(|index| &events[*index]) {
            query = query.bind(event.aggregate_id()).bind(to_column(event.sequence()));
        }
        for row in query.fetch_all(&mut *connection).await.map_err(classify)? {
            found.push(row::event(&row)?.to_recorded());
        }
    }
    Ok(found)
}

async fn insert_events(
    connection: &mut SqliteConnection,
    events: &[RecordedEvent],
    new: &[usize],
) -> Result<(), Error> {
    let mut position = read::head(connection).await?.get();
    let rows: Vec<_> = new
        .iter()
        .map(|index| {
            let event = events[*index].as_ref();
            position += 1;
            NewRow {
                position,
                aggregate_id: event.aggregate_id,
                sequence: event.sequence,
                aggregate_type: event.aggregate_type,
                event_type: event.event_type,
                schema_version: event.schema_version,
                command_id: event.command_id,
                payload: event.payload.into(),
                metadata: event.metadata,
                checksum: event.checksum,
                recorded_at: event.recorded_at,
            }
        })
        .collect();
    event_rows::insert(connection, &STATEMENTS.new_events, &rows).await
}

/// What stands where each of these receipts is to be written.
async fn places(connection: &mut SqliteConnection, receipts: &[MovedReceipt]) -> Result<Vec<ReceiptPlace>, Error> {
    let mut places: Vec<_> = receipts.iter().map(|_| ReceiptPlace { found: None, last_command_id: None }).collect();
    for (sql, chunk) in STATEMENTS.receipts.covers(&receipts.iter().enumerate().collect::<Vec<_>>()) {
        let mut query = sqlx::query(sql);
        for (number, moved) in chunk {
            query = query
                .bind(to_column(*number as u64))
                .bind(moved.aggregate_id)
                .bind(moved.key.as_str())
                .bind(to_column(moved.receipt.last_sequence));
        }
        for row in query.fetch_all(&mut *connection).await.map_err(classify)? {
            let number = usize::try_from(named::<i64>(&row, "number")?).ok();
            let place = number.and_then(|number| places.get_mut(number));
            *place.ok_or_else(|| Error::corrupt("a receipt's place was not asked for"))? =
                ReceiptPlace { found: row::receipt(&row)?, last_command_id: named(&row, "last_command_id")? };
        }
    }
    Ok(places)
}

async fn insert_receipts(connection: &mut SqliteConnection, receipts: &[&MovedReceipt]) -> Result<(), Error> {
    for (sql, chunk) in STATEMENTS.new_receipts.chunks(receipts) {
        let mut query = sqlx::query(sql);
        for moved in chunk {
            let receipt = &moved.receipt;
            let (outcome, rejection) = match &receipt.outcome {
                ReceiptOutcome::Accepted => ("accepted", None),
                ReceiptOutcome::Rejected { rejection } => ("rejected", Some(rejection.as_ref())),
            };
            query = query
                .bind(moved.aggregate_id)
                .bind(moved.key.as_str())
                .bind(receipt.command_id)
                .bind(receipt.fingerprint.as_bytes().as_slice())
                .bind(outcome)
                .bind(to_column(receipt.first_sequence))
                .bind(to_column(receipt.last_sequence))
                .bind(rejection)
                .bind(receipt.recorded_at.timestamp_micros())
                .bind(receipt.expires_at.map(|at| at.timestamp_micros()));
        }
        query.execute(&mut *connection).await.map_err(classify)?;
    }
    Ok(())
}
