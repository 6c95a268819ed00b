//! Events that come many to a row: over the long middle of a stream, or of the log.

use futures_util::TryStreamExt as _;
use sqlx::{
    Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

use super::{
    classify::classify,
    row,
    statement::{READ_LOG_GROUPS, READ_STREAM_GROUPS},
};
use crate::store::{Error, EventRef, Visit, to_column};

/// How many events a row has. The driver's price of a row is then hardly seen.
pub(super) const GROUP_EVENTS: u64 = 64;

/// The most bytes of a payload and its metadata, together, that come in a group. The driver reads 50 rows ahead: 13 MB.
const TEXT_BYTES: i64 = 4 << 10;

/// Reads a stream from one sequence to another, as far as its events come in groups. Returns which comes next.
pub(super) async fn stream(
    connection: &mut SqliteConnection,
    aggregate_id: Uuid,
    (from, to): (u64, u64),
    see: Visit<'_>,
) -> Result<u64, Error> {
    let query = sqlx::query(READ_STREAM_GROUPS).bind(aggregate_id);
    read(connection, query, (from, to), |event| event.sequence, see).await
}

/// Reads the log from one position to another, as far as its events come in groups. Returns which comes next.
pub(super) async fn log(
    connection: &mut SqliteConnection,
    (from, to): (u64, u64),
    see: Visit<'_>,
) -> Result<u64, Error> {
    read(connection, sqlx::query(READ_LOG_GROUPS), (from, to), |event| event.position.get(), see).await
}

async fn read<'q>(
    connection: &mut SqliteConnection,
    query: Query<'q, Sqlite, SqliteArguments>,
    (from, to): (u64, u64),
    number: fn(&EventRef<'_>) -> u64,
    see: Visit<'_>,
) -> Result<u64, Error> {
    if from > to {
        return Ok(from);
    }
    let query = query.bind(to_column(from)).bind(to_column(to)).bind(to_column(GROUP_EVENTS)).bind(TEXT_BYTES);
    let (mut rows, mut next) = (query.fetch(connection), from);
    while let Some(row) = rows.try_next().await.map_err(classify)? {
        let Some(events) = group(&row, next, number)? else { break };
        next += events.len() as u64;
        events.into_iter().try_for_each(&mut *see)?;
    }
    Ok(next)
}

/// The events of a row; `None` where there are none, where it does not come apart, or where they are not those that follow:
/// then reading row by row tells what there is.
fn group<'r>(
    row: &'r SqliteRow,
    next: u64,
    number: fn(&EventRef<'_>) -> u64,
) -> Result<Option<Vec<EventRef<'r>>>, Error> {
    let Some(columns) = row::column::<Option<&[u8]>>(row, 0)? else { return Ok(None) };
    let events = row::events(columns);
    Ok(events.filter(|events| (next..).zip(events).all(|(next, event)| number(event) == next)))
}
