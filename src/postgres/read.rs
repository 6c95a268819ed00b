//! Streams and receipts, read row by row.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    classify::{next_row, reply},
    row::{self, column},
    statement::{READ_RECEIPT, READ_STREAM, READ_STREAM_BACKWARD, READ_VERSION, READ_VERSION_UNTIL},
};
use crate::store::{
    Direction, Error, IdempotencyKey, Receipt, StreamQuery, StreamRead, Trail, Visit, from_column, to_column,
};

pub(super) async fn stream(
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
    query: &StreamQuery,
    (version, to): (u64, u64),
    visit: Visit<'_>,
) -> Result<u64, Error> {
    let sql = match query.direction {
        Direction::Forward => READ_STREAM,
        Direction::Backward => READ_STREAM_BACKWARD,
    };
    let mut rows = sqlx::query(sql)
        .bind(query.aggregate_id)
        .bind(to_column(query.from))
        .bind(to_column(to))
        .bind(query.event_types.as_deref())
        .bind(query.limit.map(to_column))
        .fetch(connection);
    let unbroken = query.direction == Direction::Forward && query.event_types.is_none();
    let (mut trail, mut greatest, mut visited) = (Trail::from_sequence(query.from), 0, 0);
    while let Some(row) = next_row(&mut rows).await? {
        let event = row::event(&row)?;
        if unbroken {
            trail.follow(&event)?;
        }
        (greatest, visited) = (event.sequence.max(greatest), visited + 1);
        visit(event)?;
    }
    if unbroken && query.limit.is_none_or(|limit| visited < limit) {
        trail.reach(version.min(to), query.aggregate_id)?;
    }
    Ok(greatest)
}

pub(super) async fn receipt(
    connection: &mut PgConnection,
    aggregate_id: Uuid,
    key: &IdempotencyKey,
    now: DateTime<Utc>,
) -> Result<Option<Receipt>, Error> {
    let read = sqlx::query(READ_RECEIPT).bind(aggregate_id).bind(key.as_str()).bind(now);
    let row = reply(read.fetch_optional(connection)).await?;
    row.map_or(Ok(None), |row| row::receipt(&row))
}

pub(super) async fn version(connection: &mut PgConnection, aggregate_id: Uuid) -> Result<u64, Error> {
    let row = reply(sqlx::query(READ_VERSION).bind(aggregate_id).fetch_one(connection)).await?;
    from_column(column::<Option<i64>>(&row, 0)?.unwrap_or(0))
}

/// The version as of a time; `None` where no event was recorded later.
async fn version_until(
    connection: &mut PgConnection,
    aggregate_id: Uuid,
    until: DateTime<Utc>,
) -> Result<Option<u64>, Error> {
    let read = sqlx::query(READ_VERSION_UNTIL).bind(aggregate_id).bind(row::within_calendar(until));
    let row = reply(read.fetch_optional(connection)).await?;
    row.map(|row| from_column(column(&row, 0)?)).transpose()
}
