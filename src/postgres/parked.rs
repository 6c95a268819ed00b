//! Events that were set aside.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::PgRow};
use uuid::Uuid;

use super::{
    checkpoint::{changes, count as number_of, number, of_lease},
    classify::reply,
    row::{column, named, time},
    statement::{
        BEGIN_PARKED_EVENT, COUNT_PARKED_EVENTS, PARK_EVENT_AGAIN, READ_PARKED_AGGREGATE, READ_PARKED_EVENTS,
        READ_REQUESTED_PARKED_EVENTS, REQUEST_PARKED_EVENTS, UNPARK_EVENT,
    },
};
use crate::store::{
    Error, Lease, NewParkedEvent, ParkedChoice, ParkedEvent, ParkedQuery, Position, from_column, storable_text,
    to_column,
};

pub(super) async fn read(connection: &mut PgConnection, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, Error> {
    let sql = if query.aggregate_id.is_some() { READ_PARKED_AGGREGATE } else { READ_PARKED_EVENTS };
    let mut read = sqlx::query(sql).bind(&query.name).bind(to_column(query.after.get())).bind(i64::from(query.limit));
    if let Some(aggregate_id) = query.aggregate_id {
        read = read.bind(aggregate_id);
    }
    reply(read.fetch_all(connection)).await?.iter().map(parked_event).collect()
}

pub(super) async fn count(connection: &mut PgConnection, name: &str) -> Result<u64, Error> {
    let row = reply(sqlx::query(COUNT_PARKED_EVENTS).bind(name).fetch_one(connection)).await?;
    from_column(column(&row, 0)?)
}

pub(super) async fn unpark(
    connection: &mut PgConnection,
    lease: &Lease,
    (aggregate_id, sequence): (Uuid, u64),
) -> Result<bool, Error> {
    changes(connection, of_lease(UNPARK_EVENT, lease).bind(aggregate_id).bind(to_column(sequence))).await
}

pub(super) async fn park_again(
    connection: &mut PgConnection,
    lease: &Lease,
    event: &NewParkedEvent,
    requested_at: Option<DateTime<Utc>>,
) -> Result<bool, Error> {
    let again = of_lease(PARK_EVENT_AGAIN, lease)
        .bind(event.aggregate_id)
        .bind(to_column(event.sequence))
        .bind(event.error.as_deref().map(storable_text))
        .bind(number(event.attempts))
        .bind(requested_at);
    let sequences = reply(again.fetch_all(connection)).await?;
    let is_it = |row| Ok::<_, Error>(column::<i64>(row, 0)? == to_column(event.sequence));
    sequences.iter().try_fold(false, |found, row| Ok(found | is_it(row)?))
}

/// Asks for parked events to be told again, and says how many.
pub(super) async fn request(
    connection: &mut PgConnection,
    (name, choice): (&str, ParkedChoice),
    now: DateTime<Utc>,
) -> Result<u64, Error> {
    let (aggregate_id, last) = choice.bounds();
    let request = sqlx::query(REQUEST_PARKED_EVENTS).bind(name).bind(now).bind(aggregate_id).bind(to_column(last));
    reply(request.execute(connection)).await.map(|done| done.rows_affected())
}

pub(super) async fn requested(
    connection: &mut PgConnection,
    (name, after): (&str, Position),
    limit: u32,
) -> Result<Vec<ParkedEvent>, Error> {
    let read = sqlx::query(READ_REQUESTED_PARKED_EVENTS).bind(name).bind(to_column(after.get())).bind(i64::from(limit));
    reply(read.fetch_all(connection)).await?.iter().map(parked_event).collect()
}

/// Notes that a parked event is begun again; how often it was, or `None` where the lease is lost or it is not parked.
pub(super) async fn begin(
    connection: &mut PgConnection,
    lease: &Lease,
    (aggregate_id, sequence): (Uuid, u64),
) -> Result<Option<u32>, Error> {
    let begin = of_lease(BEGIN_PARKED_EVENT, lease).bind(aggregate_id).bind(to_column(sequence));
    let row = reply(begin.fetch_optional(connection)).await?;
    row.map(|row| number_of(&row, "replays_begun")).transpose()
}

fn parked_event(row: &PgRow) -> Result<ParkedEvent, Error> {
    Ok(ParkedEvent {
        name: named(row, "name")?,
        position: Position::new(from_column(named(row, "position")?)?),
        aggregate_id: named(row, "aggregate_id")?,
        sequence: from_column(named(row, "sequence")?)?,
        error: named(row, "error")?,
        attempts: number_of(row, "attempts")?,
        parked_at: time(row, "parked_at")?.ok_or_else(|| Error::corrupt("a parked event has no time"))?,
        replay_requested_at: time(row, "replay_requested_at")?,
    })
}
