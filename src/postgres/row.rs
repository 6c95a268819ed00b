//! Rows of the tables, as values of the port.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Row as _, ValueRef as _, postgres::PgRow};
use uuid::Uuid;

use super::classify::classify;
use crate::store::{Error, EventMark, EventRef, Fingerprint, Position, Receipt, ReceiptOutcome, from_column};

/// What is wrong with a column.
pub(super) type Broken = &'static str;

/// Shows an event of any statement that reads events: all give its columns first, and in this order.
///
/// Straight from the bytes the server sent, in its binary format.
pub(super) fn event(row: &PgRow) -> Result<EventRef<'_>, Error> {
    try_event(row).map_err(|broken| {
        let name = match (uuid(row, 0), int8::<u64>(row, 1)) {
            (Ok(aggregate_id), Ok(sequence)) => format!("event {sequence} of aggregate {aggregate_id}"),
            _ => "an event".to_owned(),
        };
        Error::corrupt(format!("{name} cannot be read: {broken}"))
    })
}

/// Shows an event, or says what is wrong with it, where a damaged one must not end the read.
pub(super) fn try_event(row: &PgRow) -> Result<EventRef<'_>, Broken> {
    Ok(EventRef {
        aggregate_id: uuid(row, 0)?,
        sequence: int8(row, 1)?,
        position: Position::new(int8(row, 2)?),
        command_id: uuid(row, 3)?,
        checksum: int8::<i64>(row, 4)?.cast_unsigned(),
        recorded_at: from_micros(int8(row, 5)?).ok_or("its time is out of range")?,
        schema_version: int4(row, 6)?,
        aggregate_type: text(row, 7)?,
        event_type: text(row, 8)?,
        payload: text(row, 9)?,
        metadata: text(row, 10)?,
    })
}

/// The bytes of a column that is not null.
fn bytes(row: &PgRow, index: usize) -> Result<&[u8], Broken> {
    let value = row.try_get_raw(index).map_err(|_| "a column is missing")?;
    value.as_bytes().map_err(|_| "a column is null")
}

fn uuid(row: &PgRow, index: usize) -> Result<Uuid, Broken> {
    bytes(row, index)?.try_into().map(Uuid::from_bytes).map_err(|_| "an id is not 16 bytes")
}

/// The bytes of a column; `None` where it is null.
pub(super) fn bytes_if_any(row: &PgRow, index: usize) -> Result<Option<&[u8]>, Broken> {
    let value = row.try_get_raw(index).map_err(|_| "a column is missing")?;
    if value.is_null() {
        return Ok(None);
    }
    value.as_bytes().map(Some).map_err(|_| "a column has no bytes")
}

pub(super) fn text(row: &PgRow, index: usize) -> Result<&str, Broken> {
    str::from_utf8(bytes(row, index)?).map_err(|_| "a text is not UTF-8")
}

pub(super) fn int8<T: TryFrom<i64>>(row: &PgRow, index: usize) -> Result<T, Broken> {
    let bytes = bytes(row, index)?.try_into().map_err(|_| "a number has another size")?;
    T::try_from(i64::from_be_bytes(bytes)).map_err(|_| "a number is out of range")
}

fn int4<T: TryFrom<i32>>(row: &PgRow, index: usize) -> Result<T, Broken> {
    let bytes = bytes(row, index)?.try_into().map_err(|_| "a number has another size")?;
    T::try_from(i32::from_be_bytes(bytes)).map_err(|_| "a number is out of range")
}

/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

pub(super) fn from_micros(since_2000: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(since_2000.checked_add(EPOCH_MICROS)?)
}

/// The first and the last time that PostgreSQL can hold, give or take some years: 4713 B. C. and 294,276.
const TIMES_MICROS: RangeInclusive<i64> = -210_800_000_000_000_000..=9_223_000_000_000_000_000;

/// The nearest time that PostgreSQL can hold.
pub(super) fn within_calendar(time: DateTime<Utc>) -> DateTime<Utc> {
    let micros = time.timestamp_micros().clamp(*TIMES_MICROS.start(), *TIMES_MICROS.end());
    DateTime::from_timestamp_micros(micros).unwrap_or(time)
}

/// Adds a time to another; `None` is never, where no calendar can hold the sum.
pub(super) fn later(now: DateTime<Utc>, by: std::time::Duration) -> Option<DateTime<Utc>> {
    let time = now.checked_add_signed(TimeDelta::from_std(by).ok()?)?;
    TIMES_MICROS.contains(&time.timestamp_micros()).then_some(time)
}

/// A length of time in microseconds, as it is bound. Greater ones were refused before.
pub(super) fn micros(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Reads the receipt's columns, which bear the same names in every statement that has them.
pub(super) fn receipt(row: &PgRow) -> Result<Option<Receipt>, Error> {
    let Some(command_id) = named::<Option<Uuid>>(row, "command_id")? else {
        return Ok(None);
    };
    let fingerprint: &[u8] = named(row, "fingerprint")?;
    let fingerprint = fingerprint.try_into().map_err(|_| Error::corrupt("a stored fingerprint is not 32 bytes"))?;
    let outcome = match (named::<&str>(row, "outcome")?, json(row, "rejection")?) {
        ("accepted", None) => ReceiptOutcome::Accepted,
        ("rejected", Some(rejection)) => ReceiptOutcome::Rejected { rejection: rejection.into() },
        (outcome, _) => {
            return Err(Error::corrupt(format!("a receipt is {outcome:?}, but its rejection does not fit")));
        }
    };
    Ok(Some(Receipt {
        command_id,
        fingerprint: Fingerprint::from_bytes(fingerprint),
        outcome,
        first_sequence: from_column(named(row, "first_sequence")?)?,
        last_sequence: from_column(named(row, "last_sequence")?)?,
        position: position(named(row, "position")?)?,
        recorded_at: time(row, "recorded_at")?.ok_or_else(|| Error::corrupt("a receipt has no time"))?,
        expires_at: time(row, "expires_at")?,
    }))
}

/// Reads JSON as it stands, which the driver gives to none but its own parser.
pub(super) fn json<'r>(row: &'r PgRow, name: &str) -> Result<Option<&'r str>, Error> {
    let value = row.try_get_raw(name).map_err(classify)?;
    if value.is_null() {
        return Ok(None);
    }
    value.as_str().map(Some).map_err(|source| Error::codec(format!("the column {name} is not text"), Unread(source)))
}

/// Reads a time that may be absent.
pub(super) fn time(row: &PgRow, name: &str) -> Result<Option<DateTime<Utc>>, Error> {
    let value = row.try_get_raw(name).map_err(classify)?;
    if value.is_null() {
        return Ok(None);
    }
    let since_2000 = value.as_bytes().ok().and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
    let time = since_2000.and_then(from_micros);
    time.map(Some).ok_or_else(|| Error::corrupt(format!("the stored time {name} is out of range")))
}

/// The bytes of a column as the server sent them, whatever its type.
pub(super) fn raw<'r>(row: &'r PgRow, name: &str) -> Result<Option<&'r [u8]>, Error> {
    let value = row.try_get_raw(name).map_err(classify)?;
    if value.is_null() {
        return Ok(None);
    }
    value.as_bytes().map(Some).map_err(|source| Error::codec(format!("the column {name} has no bytes"), Unread(source)))
}

/// What the driver said of a column.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Unread(sqlx::error::BoxDynError);

/// Reads by what an event is known.
pub(super) fn mark(row: &PgRow) -> Result<EventMark, Error> {
    Ok(EventMark {
        aggregate_id: named(row, "aggregate_id")?,
        sequence: from_column(named(row, "sequence")?)?,
        command_id: named(row, "command_id")?,
        recorded_at: time(row, "recorded_at")?.ok_or_else(|| Error::corrupt("an event has no time"))?,
    })
}

/// Reads a position that may be absent.
pub(super) fn position(column: Option<i64>) -> Result<Option<Position>, Error> {
    column.map(|number| from_column(number).map(Position::new)).transpose()
}

pub(super) fn column<'r, T>(row: &'r PgRow, index: usize) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(index).map_err(classify)
}

pub(super) fn named<'r, T>(row: &'r PgRow, name: &str) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(name).map_err(classify)
}
