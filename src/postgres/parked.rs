//! Events that were set aside.

use sqlx::{PgConnection, postgres::PgRow};
use uuid::Uuid;

use super::{
    checkpoint::{changes, count as number_of, number, of_lease},
    classify::reply,
    row::{column, named, time},
    statement::{COUNT_PARKED_EVENTS, PARK_EVENT_AGAIN, READ_PARKED_AGGREGATE, READ_PARKED_EVENTS, UNPARK_EVENT},
};
use crate::store::{
    Error, Lease, NewParkedEvent, ParkedEvent, ParkedQuery, Position, from_column, storable_text, to_column,
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
) -> Result<(), Error> {
    let again = of_lease(PARK_EVENT_AGAIN, lease)
        .bind(event.aggregate_id)
        .bind(to_column(event.sequence))
        .bind(event.error.as_deref().map(storable_text))
        .bind(number(event.attempts));
    changes(connection, again).await.map(drop)
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
    })
}
