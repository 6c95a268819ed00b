//! Rows of the tables, as values of the port.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Row as _, sqlite::SqliteRow};
use uuid::Uuid;

use super::classify::classify;
use crate::store::{Error, EventMark, EventRef, Fingerprint, Position, Receipt, ReceiptOutcome, from_column};

/// Stands between the columns of an event. In JSON and in names there is no such character.
const SEPARATOR: u8 = 0x1f;

/// Stands between events that come in one row.
const EVENT_SEPARATOR: u8 = 0x1e;

/// Shows an event of any statement that reads events: all give its columns as one, the row's first.
///
/// The driver copies each column by itself: eleven of them cost more than decoding the event. What has a length of its
/// own comes first, the payload last; so wherever a damaged one is cut, the checksum tells.
pub(super) fn event(row: &SqliteRow) -> Result<EventRef<'_>, Error> {
    let columns: &[u8] = column(row, 0)?;
    try_event(row)?.map_err(|broken| {
        let at = Columns(columns).place();
        let name = at.map_or_else(
            |_| "an event".to_owned(),
            |(aggregate_id, sequence)| format!("event {sequence} of aggregate {aggregate_id}"),
        );
        Error::corrupt(format!("{name} cannot be read: {broken}"))
    })
}

/// Shows an event, or says what is wrong with it, where a damaged one must not end the read.
pub(super) fn try_event(row: &SqliteRow) -> Result<Result<EventRef<'_>, Broken>, Error> {
    Ok(Columns(column(row, 0)?).event())
}

/// Shows the events of a row that has many; `None` where it does not come apart.
pub(super) fn events(columns: &[u8]) -> Option<Vec<EventRef<'_>>> {
    let (mut left, mut events) = (Columns(columns), Vec::with_capacity(64));
    loop {
        let event = left.all_but_payload().ok()?;
        let end = left.0.iter().position(|byte| *byte == EVENT_SEPARATOR);
        let payload = text(&left.0[..end.unwrap_or(left.0.len())]).ok()?;
        events.push(EventRef { payload, ..event });
        match end {
            Some(end) => left.0 = &left.0[end + 1..],
            None => return Some(events),
        }
    }
}

/// What is left of an event's columns.
struct Columns<'r>(&'r [u8]);

/// What is wrong with them.
pub(super) type Broken = &'static str;

impl<'r> Columns<'r> {
    fn event(mut self) -> Result<EventRef<'r>, Broken> {
        let event = self.all_but_payload()?;
        Ok(EventRef { payload: text(self.0)?, ..event })
    }

    /// Takes the columns before the payload.
    fn all_but_payload(&mut self) -> Result<EventRef<'r>, Broken> {
        let (aggregate_id, command_id) = (self.id()?, self.id()?);
        let (position, sequence, schema_version) = (self.number()?, self.number()?, self.number()?);
        let (checksum, recorded_at) = (self.number::<i64>()?, self.number()?);
        Ok(EventRef {
            position: Position::new(position),
            aggregate_id,
            sequence,
            schema_version,
            command_id,
            checksum: checksum.cast_unsigned(),
            recorded_at: DateTime::from_timestamp_micros(recorded_at).ok_or("its time is out of range")?,
            aggregate_type: self.text()?,
            event_type: self.text()?,
            metadata: self.text()?,
            payload: "",
        })
    }

    /// Which event it is, as far as that can be read.
    fn place(mut self) -> Result<(Uuid, u64), Broken> {
        let (aggregate_id, _, _) = (self.id()?, self.id()?, self.number::<u64>()?);
        Ok((aggregate_id, self.number()?))
    }

    fn id(&mut self) -> Result<Uuid, Broken> {
        let (id, rest) = self.0.split_first_chunk::<16>().ok_or("an id is cut short")?;
        self.0 = rest.strip_prefix(&[SEPARATOR]).ok_or("an id is not 16 bytes")?;
        Ok(Uuid::from_bytes(*id))
    }

    /// A whole number in decimal digits, as SQLite writes it.
    fn number<T: TryFrom<i64>>(&mut self) -> Result<T, Broken> {
        let (is_negative, mut rest) = self.0.strip_prefix(b"-").map_or((false, self.0), |rest| (true, rest));
        let mut number = 0_i64;
        while let Some((digit @ b'0'..=b'9', behind)) = rest.split_first() {
            // Below zero there is one number more.
            let next = number.checked_mul(10).and_then(|tens| tens.checked_sub(i64::from(digit - b'0')));
            (number, rest) = (next.ok_or("a number is out of range")?, behind);
        }
        self.0 = rest.strip_prefix(&[SEPARATOR]).ok_or("a number is none")?;
        let signed = if is_negative { Some(number) } else { number.checked_neg() };
        signed.and_then(|number| T::try_from(number).ok()).ok_or("a number is out of range")
    }

    fn text(&mut self) -> Result<&'r str, Broken> {
        let end = self.0.iter().position(|byte| *byte == SEPARATOR).ok_or("a column is missing")?;
        let (column, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        text(column)
    }
}

fn text(column: &[u8]) -> Result<&str, Broken> {
    str::from_utf8(column).map_err(|_| "a text is not UTF-8")
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

/// Reads by what an event is known.
pub(super) fn mark(row: &SqliteRow) -> Result<EventMark, Error> {
    Ok(EventMark {
        aggregate_id: named(row, "aggregate_id")?,
        sequence: from_column(named(row, "sequence")?)?,
        command_id: named(row, "command_id")?,
        recorded_at: time(named(row, "recorded_at")?)?,
    })
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

/// When something ends that lasts so long from now.
pub(super) fn ends_at(now: DateTime<Utc>, length: Duration) -> i64 {
    let end = TimeDelta::from_std(length).ok().and_then(|length| now.checked_add_signed(length));
    end.unwrap_or(DateTime::<Utc>::MAX_UTC).timestamp_micros()
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
