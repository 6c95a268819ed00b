//! The port of moves, on connections of PostgreSQL.
//!
//! What is to be written is looked at first, and then written with one statement, which is its own commit. Events are never
//! changed, so what was seen stays so; where another came first in between, the statement is taken back and it is looked
//! again.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{PgConnection, postgres::PgRow};
use uuid::Uuid;

use super::{
    PostgresStore,
    backend::SYSTEM,
    classify::{classify_commit, is_lost_race, reply, within_reach},
    row::{self, named},
    statement::{
        DELETE_RECEIPT, EXPORT_CHECKPOINTS, EXPORT_MESSAGE_PLACES, EXPORT_MESSAGES, EXPORT_PARKED_EVENTS,
        EXPORT_RECEIPTS, EXPORT_TIMERS, FIND_RECEIPTS, FIND_VERSIONS, FIND_WRITTEN_EVENTS, IMPORT_CHECKPOINTS,
        IMPORT_EVENTS, IMPORT_MESSAGE_PLACES, IMPORT_MESSAGES, IMPORT_PARKED_EVENTS, IMPORT_RECEIPTS, IMPORT_TIMERS,
    },
};
use crate::store::{
    Arrivals, Error, IdempotencyKey, Misfit, MovedReceipt, MovedRow, Position, ReceiptAction, ReceiptOutcome,
    ReceiptPlace, RecordedEvent, RowKind, TransferError, TransferStore, Written, from_column, telemetry::operation,
    to_column,
};

/// How often it is looked again because others came first.
const RUNS: u32 = 8;

#[async_trait]
impl TransferStore for PostgresStore {
    async fn read_receipts(
        &self,
        after: Option<&MovedReceipt>,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<MovedReceipt>, Error> {
        let read = async {
            let mut taken = self.backend().readers.acquire().await?;
            // No key is empty.
            let query = sqlx::query(EXPORT_RECEIPTS)
                .bind(after.map_or(Uuid::nil(), |after| after.aggregate_id))
                .bind(after.map_or("", |after| after.key.as_str()))
                .bind(to_column(up_to.get()))
                .bind(i64::from(limit));
            let rows = reply(query.fetch_all(taken.connection())).await;
            taken.settle(rows)?.iter().map(receipt).collect()
        };
        operation(SYSTEM, "read_receipts", read).await
    }

    async fn write_events(&self, events: &[RecordedEvent]) -> Result<Written, TransferError> {
        for run in 0..RUNS {
            let mut taken = self.backend().writers.acquire().await?;
            let heads = versions(taken.connection(), events).await?;
            let arrivals = Arrivals::of(events, &heads).map_err(TransferError::Misfit)?;
            let found = find_events(taken.connection(), events, &arrivals.taken).await?;
            arrivals.check(events, &found).map_err(TransferError::Misfit)?;
            let new: Vec<_> = arrivals.new.iter().map(|index| &events[*index]).collect();
            if !new.is_empty() {
                let inserted = insert_events(taken.connection(), &new).await;
                if !self.is_written(inserted, run).await? {
                    continue;
                }
                self.committed();
            }
            taken.keep();
            return Ok(Written { new: new.len() as u64, present: arrivals.taken.len() as u64 });
        }
        Err(Error::Contention { source: None }.into())
    }

    async fn write_receipts(&self, receipts: &[MovedReceipt]) -> Result<Written, TransferError> {
        for run in 0..RUNS {
            let mut taken = self.backend().writers.acquire().await?;
            let (mut new, now) = (Vec::with_capacity(receipts.len()), self.backend().now());
            let mut expired = Vec::new();
            for (index, place) in places(taken.connection(), receipts).await?.iter().enumerate() {
                let moved = &receipts[index];
                let action = place.action(moved, now).map_err(|kind| TransferError::Misfit(Misfit { index, kind }))?;
                if action != ReceiptAction::PassOver {
                    new.push(moved);
                }
                if action == ReceiptAction::Replace {
                    expired.push(moved);
                }
            }
            for moved in expired {
                // It changes nothing that it is gone before the other is there.
                let delete = sqlx::query(DELETE_RECEIPT).bind(moved.aggregate_id).bind(moved.key.as_str()).bind(now);
                reply(delete.execute(taken.connection())).await?;
            }
            if !new.is_empty() {
                let inserted = insert_receipts(taken.connection(), &new).await;
                if !self.is_written(inserted, run).await? {
                    continue;
                }
            }
            taken.keep();
            return Ok(Written { new: new.len() as u64, present: (receipts.len() - new.len()) as u64 });
        }
        Err(Error::Contention { source: None }.into())
    }

    async fn read_rows(
        &self,
        kind: RowKind,
        after: Option<&MovedRow>,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<MovedRow>, Error> {
        let read = async {
            let mut taken = self.backend().readers.acquire().await?;
            let key = MovedRow::key(kind, after);
            let mut query = key.into_iter().fold(sqlx::query(statements(kind).0), |query, part| query.bind(part));
            if kind.is_of_log() {
                query = query.bind(to_column(up_to.get()));
            }
            let rows = reply(query.bind(i64::from(limit)).fetch_all(taken.connection())).await;
            taken.settle(rows)?.iter().map(|row| MovedRow::of_column(kind, named(row, "row")?)).collect()
        };
        operation(SYSTEM, "read_rows", read).await
    }

    async fn write_rows(&self, kind: RowKind, rows: &[MovedRow]) -> Result<Written, TransferError> {
        let array = MovedRow::array(rows)?;
        let mut taken = self.backend().keepers.acquire().await?;
        let write = async {
            let write = sqlx::query(statements(kind).1).bind(array).execute(taken.connection());
            Ok(within_reach(write).await.map_err(classify_commit)?.rows_affected())
        };
        let new = operation(SYSTEM, "import", write).await?;
        taken.keep();
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

impl PostgresStore {
    /// Whether a statement has written; `false`: others came first, look again.
    async fn is_written(&self, written: Result<(), sqlx::Error>, run: u32) -> Result<bool, Error> {
        let settled = async {
            match written {
                Ok(()) => Ok(true),
                Err(error) if is_lost_race(&error) => {
                    // So that those who met do not meet again at once.
                    tokio::time::sleep(Duration::from_micros(fastrand::u64(0..500 << run))).await;
                    Ok(false)
                }
                Err(error) => Err(classify_commit(error)),
            }
        };
        operation(SYSTEM, "import", settled).await
    }
}

fn receipt(row: &PgRow) -> Result<MovedReceipt, Error> {
    Ok(MovedReceipt {
        aggregate_id: named(row, "aggregate_id")?,
        key: IdempotencyKey::from_stored(named(row, "idempotency_key")?),
        receipt: row::receipt(row)?.ok_or_else(|| Error::corrupt("a receipt has no command id"))?,
    })
}

/// The version and the type of each aggregate that has events.
async fn versions(
    connection: &mut PgConnection,
    events: &[RecordedEvent],
) -> Result<HashMap<Uuid, (u64, String)>, Error> {
    let ids: HashSet<Uuid> = events.iter().map(RecordedEvent::aggregate_id).collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let rows = reply(sqlx::query(FIND_VERSIONS).bind(&ids).fetch_all(connection)).await?;
    let head = |row: &PgRow| {
        let version = from_column(named(row, "version")?)?;
        Ok((named(row, "aggregate_id")?, (version, named(row, "aggregate_type")?)))
    };
    rows.iter().map(head).collect()
}

/// The events that stand in the places of some of these.
async fn find_events(
    connection: &mut PgConnection,
    events: &[RecordedEvent],
    taken: &[usize],
) -> Result<Vec<RecordedEvent>, Error> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let asked = || taken.iter().map(|index| &events[*index]);
    let query = sqlx::query(FIND_WRITTEN_EVENTS)
        .bind(asked().map(RecordedEvent::aggregate_id).collect::<Vec<_>>())
        .bind(asked().map(|event| to_column(event.sequence())).collect::<Vec<_>>());
    let rows = reply(query.fetch_all(connection)).await?;
    rows.iter().map(|row| Ok(row::event(row)?.to_recorded())).collect()
}

async fn insert_events(connection: &mut PgConnection, new: &[&RecordedEvent]) -> Result<(), sqlx::Error> {
    let schema_version = |event: &&RecordedEvent| i32::try_from(event.schema_version()).unwrap_or(i32::MAX);
    let insert = sqlx::query(IMPORT_EVENTS)
        .bind(new.iter().map(|event| event.aggregate_id()).collect::<Vec<_>>())
        .bind(new.iter().map(|event| to_column(event.sequence())).collect::<Vec<_>>())
        .bind(new.iter().map(|event| event.command_id()).collect::<Vec<_>>())
        .bind(new.iter().map(|event| event.checksum().cast_signed()).collect::<Vec<_>>())
        .bind(new.iter().map(|event| event.recorded_at()).collect::<Vec<_>>())
        .bind(new.iter().map(schema_version).collect::<Vec<_>>())
        .bind(new.iter().map(|event| event.aggregate_type()).collect::<Vec<_>>())
        .bind(new.iter().map(|event| event.event_type()).collect::<Vec<_>>())
        .bind(new.iter().map(|event| event.payload()).collect::<Vec<_>>())
        .bind(new.iter().map(|event| event.as_ref().metadata).collect::<Vec<_>>());
    within_reach(insert.execute(connection)).await.map(drop)
}

/// What stands where each of these receipts is to be written.
async fn places(connection: &mut PgConnection, receipts: &[MovedReceipt]) -> Result<Vec<ReceiptPlace>, Error> {
    let query = sqlx::query(FIND_RECEIPTS)
        .bind(receipts.iter().map(|moved| moved.aggregate_id).collect::<Vec<_>>())
        .bind(receipts.iter().map(|moved| moved.key.as_str()).collect::<Vec<_>>())
        .bind(receipts.iter().map(|moved| to_column(moved.receipt.last_sequence)).collect::<Vec<_>>());
    let mut places: Vec<_> = receipts.iter().map(|_| ReceiptPlace { found: None, last_command_id: None }).collect();
    for row in reply(query.fetch_all(connection)).await? {
        let number = usize::try_from(named::<i64>(&row, "number")? - 1).ok();
        let place = number.and_then(|number| places.get_mut(number));
        *place.ok_or_else(|| Error::corrupt("a receipt's place was not asked for"))? =
            ReceiptPlace { found: row::receipt(&row)?, last_command_id: named(&row, "last_command_id")? };
    }
    Ok(places)
}

async fn insert_receipts(connection: &mut PgConnection, new: &[&MovedReceipt]) -> Result<(), sqlx::Error> {
    let receipts = || new.iter().map(|moved| &moved.receipt);
    let rejection = |outcome: &ReceiptOutcome| match outcome {
        ReceiptOutcome::Accepted => None,
        ReceiptOutcome::Rejected { rejection } => Some(rejection.to_string()),
    };
    let rejections: Vec<_> = receipts().map(|receipt| rejection(&receipt.outcome)).collect();
    let outcome = |rejection: &Option<String>| if rejection.is_some() { "rejected" } else { "accepted" };
    let insert = sqlx::query(IMPORT_RECEIPTS)
        .bind(new.iter().map(|moved| moved.aggregate_id).collect::<Vec<_>>())
        .bind(new.iter().map(|moved| moved.key.as_str()).collect::<Vec<_>>())
        .bind(receipts().map(|receipt| receipt.command_id).collect::<Vec<_>>())
        .bind(receipts().map(|receipt| receipt.fingerprint.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(rejections.iter().map(outcome).collect::<Vec<_>>())
        .bind(receipts().map(|receipt| to_column(receipt.first_sequence)).collect::<Vec<_>>())
        .bind(receipts().map(|receipt| to_column(receipt.last_sequence)).collect::<Vec<_>>())
        .bind(&rejections)
        .bind(receipts().map(|receipt| receipt.recorded_at).collect::<Vec<_>>())
        .bind(receipts().map(|receipt| receipt.expires_at).collect::<Vec<_>>());
    within_reach(insert.execute(connection)).await.map(drop)
}
