//! The append: where each stands is read for a whole batch at once, then all that holds is written at once.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    backend::Inserts,
    classify::classify,
    row::{self, column, named},
    statement::{READ_ATTEMPT, READ_HEAD, READ_STANDING},
};
use crate::store::{Append, Appended, Error, NewReceipt, Position, Receipt, ReceiptOutcome, from_column, to_column};

/// Writes appends into an open transaction, all with one time.
pub(super) struct Writer {
    inserts: Arc<Inserts>,
    now: DateTime<Utc>,
}

/// An append with what is derived from it once.
struct Request<'a> {
    append: &'a Append,
    metadata: String,
    receipt: Option<NewReceipt>,
}

/// Where an append stands in the database before it is written.
struct Standing {
    version: u64,
    aggregate_type: Option<String>,
    /// The command id of the event where an earlier attempt would have begun.
    earlier_command_id: Option<Uuid>,
    receipt: Option<Receipt>,
}

/// What a granted append is written with.
struct Granted<'a> {
    request: &'a Request<'a>,
    first_sequence: u64,
    first_position: u64,
}

impl Writer {
    pub(super) const fn new(inserts: Arc<Inserts>, now: DateTime<Utc>) -> Self {
        Self { inserts, now }
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
        let mut answers: Vec<Option<Result<Appended, Error>>> = Vec::new();
        let mut requests = Vec::with_capacity(batch.len());
        for append in batch {
            let metadata = append.metadata.to_json()?;
            requests.push(Request { append, receipt: append.receipt(&metadata), metadata });
            answers.push(None);
        }
        // One append per aggregate and round: the next one of the same aggregate has to see what this one wrote.
        let mut waiting: Vec<usize> = (0..requests.len()).collect();
        while !waiting.is_empty() {
            let mut seen = HashSet::new();
            let (round, later) = waiting.iter().partition(|at| seen.insert(requests[**at].append.aggregate_id));
            self.write_round(connection, &requests, round, &mut answers).await?;
            waiting = later;
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Writes appends of as many different aggregates.
    async fn write_round(
        &self,
        connection: &mut SqliteConnection,
        requests: &[Request<'_>],
        round: Vec<usize>,
        answers: &mut [Option<Result<Appended, Error>>],
    ) -> Result<(), Error> {
        let standings = self.standings(connection, requests, &round).await?;
        let head = sqlx::query(READ_HEAD).fetch_one(&mut *connection).await.map_err(classify)?;
        let mut next_position = row::position(column(&head, 0)?)?.unwrap_or(Position::START).get() + 1;
        let mut granted = Vec::with_capacity(round.len());
        for (at, standing) in round.into_iter().zip(standings) {
            let request = &requests[at];
            let version = standing.version;
            answers[at] = Some(match earlier_answer(connection, request, standing).await? {
                Some(answer) => answer,
                None => {
                    let place = Granted { request, first_sequence: version + 1, first_position: next_position };
                    let appended = place.answer(self.now);
                    next_position = appended.position.map_or(next_position, |last| last.get() + 1);
                    granted.push(place);
                    Ok(appended)
                }
            });
        }
        self.insert_events(connection, &granted).await?;
        self.insert_receipts(connection, &granted).await
    }

    async fn standings(
        &self,
        connection: &mut SqliteConnection,
        requests: &[Request<'_>],
        round: &[usize],
    ) -> Result<Vec<Standing>, Error> {
        let input: Vec<Value> = round.iter().map(|at| requests[*at].to_input()).collect();
        let rows = sqlx::query(READ_STANDING)
            .bind(Value::from(input).to_string())
            .bind(self.now.timestamp_micros())
            .fetch_all(connection)
            .await
            .map_err(classify)?;
        rows.iter().map(Standing::of).collect()
    }

    async fn insert_events(&self, connection: &mut SqliteConnection, granted: &[Granted<'_>]) -> Result<(), Error> {
        let rows: Vec<_> = granted.iter().flat_map(Granted::events).collect();
        for (sql, chunk) in self.inserts.events.chunks(&rows) {
            let mut query = sqlx::query(sql);
            for row in chunk {
                let request = row.granted.request;
                let event = &request.append.events[row.index];
                let offset = row.index as u64;
                query = query
                    .bind(to_column(row.granted.first_position + offset))
                    .bind(request.append.aggregate_id)
                    .bind(to_column(row.granted.first_sequence + offset))
                    .bind(request.append.aggregate_type.as_ref())
                    .bind(event.event_type())
                    .bind(event.schema_version())
                    .bind(request.append.command_id)
                    .bind(event.payload())
                    .bind(request.metadata.as_str())
                    .bind(row.checksum.cast_signed())
                    .bind(self.now.timestamp_micros());
            }
            query.execute(&mut *connection).await.map_err(classify)?;
        }
        Ok(())
    }

    async fn insert_receipts(&self, connection: &mut SqliteConnection, granted: &[Granted<'_>]) -> Result<(), Error> {
        let rows: Vec<_> =
            granted.iter().filter_map(|place| place.request.receipt.as_ref().map(|receipt| (place, receipt))).collect();
        for (sql, chunk) in self.inserts.receipts.chunks(&rows) {
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
                    .bind(to_column(place.first_sequence))
                    .bind(to_column(place.first_sequence - 1 + place.request.append.events.len() as u64))
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

/// Answers an append that is not to be written: it was before, it was something else, or its expectation is wrong.
async fn earlier_answer(
    connection: &mut SqliteConnection,
    request: &Request<'_>,
    standing: Standing,
) -> Result<Option<Result<Appended, Error>>, Error> {
    let append = request.append;
    if let (Some(receipt), Some(new)) = (standing.receipt, &request.receipt) {
        return Ok(Some(Appended::replay(receipt, &new.fingerprint, append.aggregate())));
    }
    if standing.earlier_command_id == Some(append.command_id) && !append.events.is_empty() {
        return compare_attempt(connection, request).await.map(Some);
    }
    if let Some(found) = standing.aggregate_type.filter(|found| *found != append.aggregate_type) {
        let aggregate = append.aggregate();
        return Ok(Some(Err(Error::invalid(format!(
            "{aggregate} has events already, as an aggregate of type {found}"
        )))));
    }
    if !append.expected.holds_at(standing.version) {
        let (aggregate, expected, actual) = (append.aggregate(), append.expected, standing.version);
        return Ok(Some(Err(Error::Conflict { aggregate, expected, actual })));
    }
    Ok(None)
}

/// Compares an append with what its command id has written: the same events, or another request.
async fn compare_attempt(
    connection: &mut SqliteConnection,
    request: &Request<'_>,
) -> Result<Result<Appended, Error>, Error> {
    let append = request.append;
    let first_sequence = append.expected.named().unwrap_or(0).saturating_add(1);
    let after = first_sequence.saturating_add(append.events.len() as u64);
    let rows = sqlx::query(READ_ATTEMPT)
        .bind(append.aggregate_id)
        .bind(to_column(first_sequence))
        .bind(to_column(after))
        .fetch_all(connection)
        .await
        .map_err(classify)?;
    let mut stored = Vec::with_capacity(rows.len());
    for row in &rows {
        if column::<Uuid>(row, 0)? == append.command_id {
            stored.push(column::<i64>(row, 2)?.cast_unsigned());
        }
    }
    if !append.checksums(&request.metadata).eq(stored.iter().copied()) {
        return Ok(Err(Error::KeyReused { aggregate: append.aggregate() }));
    }
    let Some(last) = rows.get(append.events.len() - 1) else {
        return Ok(Err(Error::KeyReused { aggregate: append.aggregate() }));
    };
    Ok(Ok(Appended {
        first_sequence,
        version: after - 1,
        position: row::position(column(last, 1)?)?,
        recorded_at: row::time(column(last, 3)?)?,
        outcome: ReceiptOutcome::Accepted,
        replayed: true,
    }))
}

impl Request<'_> {
    /// One item of the array that `read_standing.sql` takes.
    fn to_input(&self) -> Value {
        let append = self.append;
        let key = self.receipt.as_ref().map(|receipt| receipt.key.as_str());
        let begins_at = append.expected.named().map(|version| to_column(version.saturating_add(1)));
        json!([append.aggregate_id.simple().to_string(), key, begins_at])
    }
}

impl Standing {
    fn of(row: &SqliteRow) -> Result<Self, Error> {
        Ok(Self {
            version: from_column(named::<Option<i64>>(row, "version")?.unwrap_or(0))?,
            aggregate_type: named(row, "aggregate_type")?,
            earlier_command_id: named(row, "earlier_command_id")?,
            receipt: row::receipt(row)?,
        })
    }
}

/// One event of a granted append.
struct EventRow<'a> {
    granted: &'a Granted<'a>,
    index: usize,
    checksum: u64,
}

impl Granted<'_> {
    fn events(&self) -> impl Iterator<Item = EventRow<'_>> {
        let checksums = self.request.append.checksums(&self.request.metadata).enumerate();
        checksums.map(|(index, checksum)| EventRow { granted: self, index, checksum })
    }

    fn answer(&self, recorded_at: DateTime<Utc>) -> Appended {
        let events = self.request.append.events.len() as u64;
        Appended {
            first_sequence: self.first_sequence,
            version: self.first_sequence - 1 + events,
            position: (events > 0).then(|| Position::new(self.first_position - 1 + events)),
            recorded_at,
            outcome: self.request.append.outcome.clone(),
            replayed: false,
        }
    }
}
