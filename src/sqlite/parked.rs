//! Events that were set aside.

use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    checkpoint::{changes, of_lease},
    classify::classify,
    row::{column, named, time},
    statement::{
        BEGIN_PARKED_EVENT, COUNT_PARKED_EVENTS, PARK_EVENT, PARK_EVENT_AGAIN, READ_PARKED_AGGREGATE,
        READ_PARKED_EVENTS, READ_REQUESTED_PARKED_EVENTS, REQUEST_PARKED_EVENTS, UNPARK_EVENT,
    },
};
use crate::store::{
    Error, Lease, NewParkedEvent, ParkedChoice, ParkedEvent, ParkedQuery, Position, from_column, storable_text,
    to_column,
};

/// Parks an event beside the checkpoint that passes it.
pub(super) async fn park(
    connection: &mut SqliteConnection,
    name: &str,
    event: &NewParkedEvent,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let park = sqlx::query(PARK_EVENT)
        .bind(name)
        .bind(event.aggregate_id)
        .bind(to_column(event.sequence))
        .bind(to_column(event.position.get()))
        .bind(event.error.as_deref().map(storable_text))
        .bind(event.attempts)
        .bind(now.timestamp_micros());
    changes(connection, park).await.map(drop)
}

pub(super) async fn read(connection: &mut SqliteConnection, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, Error> {
    let sql = if query.aggregate_id.is_some() { READ_PARKED_AGGREGATE } else { READ_PARKED_EVENTS };
    let mut read = sqlx::query(sql).bind(&query.name).bind(to_column(query.after.get())).bind(query.limit);
    if let Some(aggregate_id) = query.aggregate_id {
        read = read.bind(aggregate_id);
    }
    read.fetch_all(connection).await.map_err(classify)?.iter().map(parked_event).collect()
}

pub(super) async fn count(connection: &mut SqliteConnection, name: &str) -> Result<u64, Error> {
    let row = sqlx::query(COUNT_PARKED_EVENTS).bind(name).fetch_one(connection).await.map_err(classify)?;
    from_column(column(&row, 0)?)
}

pub(super) async fn unpark(
    connection: &mut SqliteConnection,
    lease: &Lease,
    (aggregate_id, sequence): (Uuid, u64),
) -> Result<bool, Error> {
    changes(connection, of_lease(UNPARK_EVENT, lease).bind(aggregate_id).bind(to_column(sequence))).await
}

pub(super) async fn park_again(
    connection: &mut SqliteConnection,
    lease: &Lease,
    event: &NewParkedEvent,
    requested_at: Option<DateTime<Utc>>,
) -> Result<bool, Error> {
    let again = of_lease(PARK_EVENT_AGAIN, lease)
        .bind(event.aggregate_id)
        .bind(to_column(event.sequence))
        .bind(event.error.as_deref().map(storable_text))
        .bind(event.attempts)
        .bind(requested_at.map(|time| time.timestamp_micros()));
    let sequences = again.fetch_all(connection).await.map_err(classify)?;
    let is_it = |row| Ok::<_, Error>(column::<i64>(row, 0)? == to_column(event.sequence));
    sequences.iter().try_fold(false, |found, row| Ok(found | is_it(row)?))
}

/// Asks for parked events to be told again, and says how many.
pub(super) async fn request(
    connection: &mut SqliteConnection,
    (name, choice): (&str, ParkedChoice),
    now: DateTime<Utc>,
) -> Result<u64, Error> {
    let (aggregate_id, last) = choice.bounds();
    let request = sqlx::query(REQUEST_PARKED_EVENTS)
        .bind(name)
        .bind(now.timestamp_micros())
        .bind(aggregate_id)
        .bind(to_column(last));
    request.execute(connection).await.map(|done| done.rows_affected()).map_err(classify)
}

pub(super) async fn requested(
    connection: &mut SqliteConnection,
    (name, after): (&str, Position),
    limit: u32,
) -> Result<Vec<ParkedEvent>, Error> {
    let read = sqlx::query(READ_REQUESTED_PARKED_EVENTS).bind(name).bind(to_column(after.get())).bind(limit);
    read.fetch_all(connection).await.map_err(classify)?.iter().map(parked_event).collect()
}

/// Notes that a parked event is begun again; how often it was, or `None` where the lease is lost or it is not parked.
pub(super) async fn begin(
    connection: &mut SqliteConnection,
    lease: &Lease,
    (aggregate_id, sequence): (Uuid, u64),
) -> Result<Option<u32>, Error> {
    let begin = of_lease(BEGIN_PARKED_EVENT, lease).bind(aggregate_id).bind(to_column(sequence));
    let row = begin.fetch_optional(connection).await.map_err(classify)?;
    row.map(|row| named(&row, "replays_begun")).transpose()
}

fn parked_event(row: &SqliteRow) -> Result<ParkedEvent, Error> {
    Ok(ParkedEvent {
        name: named(row, "name")?,
        position: Position::new(from_column(named(row, "position")?)?),
        aggregate_id: named(row, "aggregate_id")?,
        sequence: from_column(named(row, "sequence")?)?,
        error: named(row, "error")?,
        attempts: named(row, "attempts")?,
        parked_at: time(named(row, "parked_at")?)?,
        replay_requested_at: named::<Option<i64>>(row, "replay_requested_at")?.map(time).transpose()?,
    })
}
