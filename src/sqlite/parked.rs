//! Events that were set aside.

use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    checkpoint::{changes, of_lease},
    classify::classify,
    row::{column, named, time},
    statement::{
        COUNT_PARKED_EVENTS, PARK_EVENT, PARK_EVENT_AGAIN, READ_PARKED_AGGREGATE, READ_PARKED_EVENTS, UNPARK_EVENT,
    },
};
use crate::store::{
    Error, Lease, NewParkedEvent, ParkedEvent, ParkedQuery, Position, from_column, storable_text, to_column,
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
) -> Result<(), Error> {
    let again = of_lease(PARK_EVENT_AGAIN, lease)
        .bind(event.aggregate_id)
        .bind(to_column(event.sequence))
        .bind(event.error.as_deref().map(storable_text))
        .bind(event.attempts);
    changes(connection, again).await.map(drop)
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
    })
}
