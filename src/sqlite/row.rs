//! Rows of the tables, as values of the port.

use chrono::{DateTime, Utc};
use sqlx::{Row as _, sqlite::SqliteRow};
use uuid::Uuid;

use super::classify::classify;
use crate::store::{Error, EventRef, Fingerprint, Position, Receipt, ReceiptOutcome, from_column};

/// Shows an event of any statement that reads events: all name the same columns.
pub(super) fn event(row: &SqliteRow) -> Result<EventRef<'_>, Error> {
    columns(row).map_err(|error| match (error, column::<i64>(row, 2), column::<Uuid>(row, 1)) {
        (Error::Backend { fault, detail: None, source }, Ok(sequence), Ok(aggregate_id)) => {
            let detail = Some(format!("event {sequence} of aggregate {aggregate_id} cannot be read"));
            Error::Backend { fault, detail, source }
        }
        (error, ..) => error,
    })
}

fn columns(row: &SqliteRow) -> Result<EventRef<'_>, Error> {
    Ok(EventRef {
        position: Position::new(from_column(column(row, 0)?)?),
        aggregate_id: column(row, 1)?,
        sequence: from_column(column(row, 2)?)?,
        aggregate_type: column(row, 3)?,
        event_type: column(row, 4)?,
        schema_version: column(row, 5)?,
        command_id: column(row, 6)?,
        payload: column(row, 7)?,
        metadata: column(row, 8)?,
        checksum: column::<i64>(row, 9)?.cast_unsigned(),
        recorded_at: time(column(row, 10)?)?,
    })
}

/// Reads the receipt's columns, which bear the same names in every statement that has them.
pub(super) fn receipt(row: &SqliteRow) -> Result<Option<Receipt>, Error> {
    let Some(command_id) = named::<Option<Uuid>>(row, "command_id")? else {
        return Ok(None);
    };
    let fingerprint: &[u8] = named(row, "fingerprint")?;
    let fingerprint = fingerprint.try_into().map_err(|_| Error::corrupt("a stored fingerprint is not 32 bytes"))?;
    let outcome = match (named::<&str>(row, "outcome")?, named::<Option<&str>>(row, "rejection")?) {
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
        recorded_at: time(named(row, "recorded_at")?)?,
        expires_at: named::<Option<i64>>(row, "expires_at")?.map(time).transpose()?,
    }))
}

/// Reads a position that may be absent.
pub(super) fn position(column: Option<i64>) -> Result<Option<Position>, Error> {
    column.map(|number| from_column(number).map(Position::new)).transpose()
}

/// Reads microseconds since 1970.
pub(super) fn time(micros: i64) -> Result<DateTime<Utc>, Error> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Error::corrupt(format!("a stored time is out of range: {micros} µs")))
}

pub(super) fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(classify)
}

pub(super) fn named<'r, T>(row: &'r SqliteRow, name: &str) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(name).map_err(classify)
}
