//! Streams, the log and receipts, read row by row.

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt as _};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    classify::classify,
    groups::{self, GROUP_EVENTS},
    row::{self, column},
    statement::{
        READ_HEAD, READ_LOG, READ_MARK, READ_RECEIPT, READ_STREAM, READ_STREAM_BACKWARD, READ_VERSION,
        READ_VERSION_UNTIL,
    },
};
use crate::store::{
    Cursor, Direction, Error, EventMark, EventRef, IdempotencyKey, LogQuery, LogRead, Position, Receipt, Selection,
    StreamQuery, StreamRead, Trail, Visit, from_column, to_column,
};

/// What LIMIT takes for "all".
const NO_LIMIT: i64 = -1;

pub(super) async fn stream(
    connection: &mut SqliteConnection,
    query: &StreamQuery,
    now: DateTime<Utc>,
    visit: Visit<'_>,
) -> Result<StreamRead, Error> {
    if let Some(key) = &query.receipt_of
        && let Some(receipt) = receipt(connection, query.aggregate_id, key, now).await?
    {
        return Ok(StreamRead { version: version(connection, query.aggregate_id).await?, receipt: Some(receipt) });
    }
    // The version comes first where rows alone cannot tell it, so that it is never newer than what was visited.
    let known = if query.is_whole() { 0 } else { version(connection, query.aggregate_id).await? };
    let to = match query.recorded_until {
        // Not by a look at the rows: the clock can have gone back, and a query can leave out the event that was later.
        Some(until) => version_until(connection, query.aggregate_id, until).await?.unwrap_or(known).min(query.to),
        None => query.to,
    };
    let greatest = stream_rows(connection, query, (known, to), visit).await?;
    Ok(StreamRead { version: known.max(greatest), receipt: None })
}

/// Visits the rows up to a sequence and returns the greatest among them, 0 where there was none.
async fn stream_rows(
    connection: &mut SqliteConnection,
    query: &StreamQuery,
    (version, to): (u64, u64),
    visit: Visit<'_>,
) -> Result<u64, Error> {
    let unbroken = query.direction == Direction::Forward && query.event_types.is_none();
    let (mut trail, mut greatest, mut visited) = (Trail::from_sequence(query.from), 0, 0);
    let mut see = |event: EventRef<'_>| {
        if unbroken {
            trail.follow(&event)?;
        }
        (greatest, visited) = (event.sequence.max(greatest), visited + 1);
        visit(event)
    };
    if unbroken {
        stream_forward(connection, query, to, &mut see).await?;
    } else {
        stream_by_rows(connection, query, (query.from, to), query.limit, &mut see).await?;
    }
    if unbroken && query.limit.is_none_or(|limit| visited < limit) {
        trail.reach(version.min(to), query.aggregate_id)?;
    }
    Ok(greatest)
}

/// Reads a few events row by row, then as many as come in groups, and so on: most streams are short, and what comes in no
/// group comes as a row.
///
/// Each event follows the one before, or is refused where it is seen: so what is read next can be counted.
async fn stream_forward(
    connection: &mut SqliteConnection,
    query: &StreamQuery,
    to: u64,
    see: Visit<'_>,
) -> Result<(), Error> {
    let mut next = query.from.max(1);
    let last = query.limit.map_or(to, |limit| to.min((next - 1).saturating_add(limit)));
    while next <= last {
        let few = GROUP_EVENTS.min(last - next + 1);
        let rows = stream_by_rows(connection, query, (next, last), Some(few), see).await?;
        next += rows;
        if rows < few {
            break;
        }
        next = groups::stream(connection, query.aggregate_id, (next, last), see).await?;
    }
    Ok(())
}

/// Returns how many there were.
async fn stream_by_rows(
    connection: &mut SqliteConnection,
    query: &StreamQuery,
    (from, to): (u64, u64),
    limit: Option<u64>,
    see: Visit<'_>,
) -> Result<u64, Error> {
    let sql = match query.direction {
        Direction::Forward => READ_STREAM,
        Direction::Backward => READ_STREAM_BACKWARD,
    };
    let rows = sqlx::query(sql)
        .bind(query.aggregate_id)
        .bind(to_column(from))
        .bind(to_column(to))
        .bind(query.event_types.as_deref().map(json_array))
        .bind(limit.map_or(NO_LIMIT, to_column))
        .fetch(connection);
    see_rows(rows, see).await
}

async fn see_rows(
    mut rows: impl Stream<Item = Result<SqliteRow, sqlx::Error>> + Unpin,
    see: Visit<'_>,
) -> Result<u64, Error> {
    let mut seen = 0;
    while let Some(row) = rows.try_next().await.map_err(classify)? {
        see(row::event(&row)?)?;
        seen += 1;
    }
    Ok(seen)
}

pub(super) async fn log(
    connection: &mut SqliteConnection,
    query: &LogQuery,
    visit: Visit<'_>,
) -> Result<LogRead, Error> {
    if let Some(event) = &query.after_event {
        event.stands_at(query.after, mark(connection, query.after).await?)?;
    }
    let head = head(connection).await?;
    let is_whole = query.selection == Selection::all();
    let (mut trail, mut visited) = (Trail::default(), 0_u64);
    let mut last = Cursor { position: query.after, event: None };
    let mut see = |event: EventRef<'_>| {
        if is_whole {
            follow_positions(last.position, event.position)?;
        }
        // With some types left out an append's events no longer stand side by side.
        if query.selection.event_types.is_none() {
            trail.follow_log(&event)?;
        }
        (visited, last) = (visited + 1, Cursor::from(&event));
        visit(event)
    };
    if is_whole {
        log_forward(connection, query, head, &mut see).await?;
    } else {
        log_by_rows(connection, query, query.after.get(), query.limit, &mut see).await?;
    }
    let is_full = query.limit.is_some_and(|limit| visited >= limit);
    if !is_full && last.position < head {
        if is_whole {
            follow_positions(last.position, head)?;
        }
        last = Cursor { position: head, event: mark(connection, head).await? };
    }
    Ok(LogRead { position: last.position, event: last.event })
}

/// As [`stream_forward`]; by rows up to the end, since a damaged page can have made the head too small.
async fn log_forward(
    connection: &mut SqliteConnection,
    query: &LogQuery,
    head: Position,
    see: Visit<'_>,
) -> Result<(), Error> {
    let mut after = query.after.get();
    let last = query.limit.map_or(u64::MAX, |limit| after.saturating_add(limit));
    while after < last {
        // Behind the head one statement reads on, and sees no more than there is: else a writer could be run after for ever.
        let few = if after < head.get() { GROUP_EVENTS.min(last - after) } else { last - after };
        let rows = log_by_rows(connection, query, after, Some(few), see).await?;
        after += rows;
        if rows < few {
            break;
        }
        after = groups::log(connection, (after + 1, last.min(head.get())), see).await? - 1;
    }
    Ok(())
}

/// Returns how many there were.
async fn log_by_rows(
    connection: &mut SqliteConnection,
    query: &LogQuery,
    after: u64,
    limit: Option<u64>,
    see: Visit<'_>,
) -> Result<u64, Error> {
    let rows = sqlx::query(READ_LOG)
        .bind(to_column(after))
        .bind(query.selection.aggregate_types.as_deref().map(json_array))
        .bind(query.selection.event_types.as_deref().map(json_array))
        .bind(limit.map_or(NO_LIMIT, to_column))
        .fetch(connection);
    see_rows(rows, see).await
}

/// By what the event at a position is known; `None` where there is none.
async fn mark(connection: &mut SqliteConnection, position: Position) -> Result<Option<EventMark>, Error> {
    let row = sqlx::query(READ_MARK).bind(to_column(position.get())).fetch_optional(connection).await;
    row.map_err(classify)?.map(|row| row::mark(&row)).transpose()
}

/// One writer, and rows are never deleted: so positions have no holes.
fn follow_positions(last: Position, next: Position) -> Result<(), Error> {
    if next.get() != last.get() + 1 {
        return Err(Error::corrupt(format!("the event at position {} is missing", last.get() + 1)));
    }
    Ok(())
}

pub(super) async fn receipt(
    connection: &mut SqliteConnection,
    aggregate_id: Uuid,
    key: &IdempotencyKey,
    now: DateTime<Utc>,
) -> Result<Option<Receipt>, Error> {
    let row = sqlx::query(READ_RECEIPT)
        .bind(aggregate_id)
        .bind(key.as_str())
        .bind(now.timestamp_micros())
        .fetch_optional(connection)
        .await
        .map_err(classify)?;
    row.map_or(Ok(None), |row| row::receipt(&row))
}

pub(super) async fn head(connection: &mut SqliteConnection) -> Result<Position, Error> {
    let row = sqlx::query(READ_HEAD).fetch_one(connection).await.map_err(classify)?;
    Ok(row::position(column(&row, 0)?)?.unwrap_or(Position::START))
}

pub(super) async fn version(connection: &mut SqliteConnection, aggregate_id: Uuid) -> Result<u64, Error> {
    let row = sqlx::query(READ_VERSION).bind(aggregate_id).fetch_one(connection).await.map_err(classify)?;
    from_column(column::<Option<i64>>(&row, 0)?.unwrap_or(0))
}

/// The version as of a time; `None` where no event was recorded later.
async fn version_until(
    connection: &mut SqliteConnection,
    aggregate_id: Uuid,
    until: DateTime<Utc>,
) -> Result<Option<u64>, Error> {
    let row = sqlx::query(READ_VERSION_UNTIL)
        .bind(aggregate_id)
        .bind(until.timestamp_micros())
        .fetch_optional(connection)
        .await
        .map_err(classify)?;
    row.map(|row| from_column(column(&row, 0)?)).transpose()
}

pub(super) fn json_array(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}
