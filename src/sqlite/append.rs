//! The append: where each stands is read for a whole batch at once, then all that holds is written at once.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::SqliteConnection;

use super::{
    classify::classify,
    event_rows::{self, NewRow},
    read,
    row::{self, column},
    standing::{Granted, Progress, Standing},
    statement::{INSERT_EVENT, INSERT_RECEIPT, ManyRows, READ_ATTEMPT, READ_STANDING},
};
use crate::store::{Append, Appended, Error, NewReceipt, Position, ReceiptOutcome, Request, to_column};

/// The statements that a batch goes through, in their sizes.
#[derive(Debug)]
pub(super) struct Statements {
    standing: ManyRows,
    events: ManyRows,
    receipts: ManyRows,
}

impl Statements {
    pub(super) fn new() -> Self {
        Self {
            standing: ManyRows::to_cover(READ_STANDING),
            events: ManyRows::to_cover_hundreds(INSERT_EVENT),
            receipts: ManyRows::to_fill(INSERT_RECEIPT),
        }
    }
}

/// Writes appends into an open transaction, all with one time.
pub(super) struct Writer {
    statements: Arc<Statements>,
    now: DateTime<Utc>,
}

impl Writer {
    pub(super) const fn new(statements: Arc<Statements>, now: DateTime<Utc>) -> Self {
        Self { statements, now }
    }

    /// The time that everything is written with.
    pub(super) const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Writes a batch. An error means that the transaction has to be given up.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        let requests: Vec<_> = batch.iter().map(Request::new).collect::<Result<_, _>>()?;
        let (log_head, standings) = self.standings(connection, &requests).await?;
        let mut progress = Progress::after(log_head, self.now);
        let mut answers = Vec::with_capacity(batch.len());
        for (request, standing) in requests.iter().zip(standings) {
            answers.push(answer((&mut *connection, self.now), &mut progress, request, standing).await?);
        }
        let rows: Vec<_> = progress.granted.iter().flat_map(Granted::events).collect();
        event_rows::insert(connection, &self.statements.events, &rows).await?;
        self.insert_receipts(connection, &progress.granted).await?;
        Ok(answers)
    }

    /// Where the log ends, and where each request stands.
    async fn standings(
        &self,
        connection: &mut SqliteConnection,
        requests: &[Request<'_>],
    ) -> Result<(Position, Vec<Standing>), Error> {
        let mut log_head = Position::START;
        let mut standings: Vec<Standing> = requests.iter().map(|_| Standing::default()).collect();
        for (sql, chunk) in self.statements.standing.covers(&requests.iter().enumerate().collect::<Vec<_>>()) {
            let mut query = sqlx::query(sql);
            for (number, request) in chunk {
                query = query
                    .bind(to_column(*number as u64))
                    .bind(request.append.aggregate_id)
                    .bind(request.receipt.as_ref().map(|receipt| receipt.key.as_str()))
                    .bind(request.begins_at().map(to_column));
            }
            for row in query.fetch_all(&mut *connection).await.map_err(classify)? {
                let (number, standing) = Standing::of(&row)?;
                log_head = row::position(column(&row, 1)?)?.unwrap_or(log_head);
                let place = usize::try_from(number).ok().and_then(|number| standings.get_mut(number));
                *place.ok_or_else(|| Error::corrupt("an append's standing was not asked for"))? = standing;
            }
        }
        Ok((log_head, standings))
    }

    async fn insert_receipts(&self, connection: &mut SqliteConnection, granted: &[Granted<'_>]) -> Result<(), Error> {
        let rows: Vec<_> =
            granted.iter().filter_map(|place| place.request.receipt.as_ref().map(|receipt| (place, receipt))).collect();
        for (sql, chunk) in self.statements.receipts.chunks(&rows) {
            let mut query = sqlx::query(sql);
            for (place, receipt) in chunk {
                let (outcome, rejection) = match &receipt.outcome {
                    ReceiptOutcome::Accepted => ("accepted", None),
                    ReceiptOutcome::Rejected { rejection } => ("rejected", Some(rejection.as_ref())),
                };
                query = query
                    .bind(place.request.append.aggregate_id)
                    .bind(receipt.key.as_str())
                    .bind(place.request.append.command_id)
                    .bind(receipt.fingerprint.as_bytes().as_slice())
                    .bind(outcome)
                    .bind(to_column(place.appended.first_sequence))
                    .bind(to_column(place.appended.version))
                    .bind(rejection)
                    .bind(self.now.timestamp_micros())
                    .bind(self.expiry(receipt));
            }
            query.execute(&mut *connection).await.map_err(classify)?;
        }
        Ok(())
    }

    /// When a receipt ends. A time no calendar can hold is never.
    fn expiry(&self, receipt: &NewReceipt) -> Option<i64> {
        let keep_for = TimeDelta::from_std(receipt.keep_for?).ok()?;
        Some(self.now.checked_add_signed(keep_for)?.timestamp_micros())
    }
}

/// Answers an append. What comes first wins: the receipt of its key, its own events from an earlier attempt, each in
/// the database or in the batch, and then the version.
async fn answer<'a>(
    (connection, now): (&mut SqliteConnection, DateTime<Utc>),
    progress: &mut Progress<'a>,
    request: &'a Request<'a>,
    standing: Standing,
) -> Result<Result<Appended, Error>, Error> {
    let append = request.append;
    if let Some(new) = request.receipt.as_ref().filter(|_| standing.has_receipt)
        && let Some(receipt) = read::receipt(connection, append.aggregate_id, &new.key, now).await?
    {
        return Ok(Appended::replay(receipt, &new.fingerprint, append.aggregate()));
    }
    if let Some(answer) = progress.answer_by_receipt(request) {
        return Ok(answer);
    }
    if standing.earlier_command_id == Some(append.command_id) && !append.events.is_empty() {
        return compare_attempt(connection, request).await;
    }
    Ok(progress.answer_by_events(request).unwrap_or_else(|| progress.grant(request, standing.head)))
}

/// Compares an append with what its command id has written: the same events, or another request.
async fn compare_attempt(
    connection: &mut SqliteConnection,
    request: &Request<'_>,
) -> Result<Result<Appended, Error>, Error> {
    let rows = sqlx::query(READ_ATTEMPT)
        .bind(request.append.aggregate_id)
        .bind(request.begins_at().map(to_column))
        .bind(to_column(request.ends_before()))
        .fetch_all(connection)
        .await
        .map_err(classify)?;
    let stored: Vec<_> = rows.iter().map(row::event).collect::<Result<_, _>>()?;
    Ok(request.answer_by_attempt(&stored))
}

impl Granted<'_> {
    fn events(&self) -> impl Iterator<Item = NewRow<'_>> {
        let append = self.request.append;
        let checksums = append.checksums(&self.request.metadata);
        (0_u64..).zip(append.events.iter()).zip(checksums).map(|((offset, event), checksum)| NewRow {
            position: self.first_position + offset,
            aggregate_id: append.aggregate_id,
            sequence: self.appended.first_sequence + offset,
            aggregate_type: &append.aggregate_type,
            event_type: event.event_type(),
            schema_version: event.schema_version(),
            command_id: append.command_id,
            payload: event.shared_payload(),
            metadata: &self.request.metadata,
            checksum,
            recorded_at: self.appended.recorded_at,
        })
    }
}
