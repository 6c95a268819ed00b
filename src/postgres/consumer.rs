//! Consumers as a whole, with all their partitions: paused, forgotten, split anew, moved.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};

use super::{
    checkpoint::{self, bind_cursor, changes, number},
    classify::reply,
    parked,
    statement::{
        DELETE_CHECKPOINTS, DELETE_PARKED_EVENTS, DROP_PARKED_EVENTS, PAUSE_CHECKPOINTS, RESUME_CHECKPOINTS,
        SPLIT_CHECKPOINT,
    },
};
use crate::store::{Consumer, Cursor, Error, ParkedChoice, Split, to_column};

pub(super) async fn set_paused(
    connection: &mut PgConnection,
    (name, is_paused): (&str, bool),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let statement = if is_paused {
        sqlx::query(PAUSE_CHECKPOINTS).bind(name).bind(now)
    } else {
        sqlx::query(RESUME_CHECKPOINTS).bind(name)
    };
    changes(connection, statement).await
}

/// What a transaction of several statements begins with: each sees what was committed while it waited.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// Removes a consumer and what is built anew of it, in a transaction of its own.
pub(super) async fn forget(connection: &mut PgConnection, name: &str) -> Result<bool, Error> {
    let mut transaction = reply(connection.begin_with(BEGIN)).await?;
    let rebuild = Consumer::stored(name, 0, 1).rebuild();
    let was_there = remove(&mut transaction, name).await?;
    let was_there = remove(&mut transaction, rebuild.name()).await? || was_there;
    reply(transaction.commit()).await?;
    Ok(was_there)
}

/// Removes the checkpoints and parked events of one name, within a transaction.
pub(super) async fn remove(connection: &mut PgConnection, name: &str) -> Result<bool, Error> {
    let was_there = changes(connection, sqlx::query(DELETE_CHECKPOINTS).bind(name).bind(0)).await?;
    changes(connection, sqlx::query(DELETE_PARKED_EVENTS).bind(name)).await?;
    Ok(was_there)
}

/// Splits a subscription, in a transaction of its own.
pub(super) async fn repartition(
    connection: &mut PgConnection,
    (name, of): (&str, u32),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let mut transaction = reply(connection.begin_with(BEGIN)).await?;
    let partitions = checkpoint::lock_all(&mut transaction, name).await?;
    let Some(split) = Split::of(&partitions)? else {
        reply(transaction.rollback()).await?;
        return Ok(false);
    };
    place(&mut transaction, (name, of), &split, now).await?;
    changes(&mut transaction, sqlx::query(DELETE_CHECKPOINTS).bind(name).bind(number(of))).await?;
    reply(transaction.commit()).await?;
    Ok(true)
}

/// Moves a subscription to another place, in a transaction of its own.
pub(super) async fn reset(
    connection: &mut PgConnection,
    (name, to): (&str, &Cursor),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let mut transaction = reply(connection.begin_with(BEGIN)).await?;
    let partitions = checkpoint::lock_all(&mut transaction, name).await?;
    let (Some(split), Some(first)) = (Split::reset(&partitions, to)?, partitions.first()) else {
        reply(transaction.rollback()).await?;
        return Ok(false);
    };
    place(&mut transaction, (name, first.consumer.of()), &split, now).await?;
    let drop = sqlx::query(DROP_PARKED_EVENTS).bind(name).bind(to_column(to.position.get()));
    changes(&mut transaction, drop).await?;
    reply(transaction.commit()).await?;
    Ok(true)
}

/// Has all partitions stand at one place, and be nobody's.
async fn place(
    connection: &mut PgConnection,
    (name, of): (&str, u32),
    split: &Split,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let statement = sqlx::query(SPLIT_CHECKPOINT).bind(name).bind(number(of));
    let statement = bind_cursor(statement, &split.cursor).bind(to_column(split.fence)).bind(split.paused_at).bind(now);
    changes(connection, statement).await.map(drop)
}

/// Asks for parked events to be told again, in a transaction of its own; says how many.
///
/// Behind whoever runs the consumer, whose statements hold its checkpoint: of two that change several rows neither waits for
/// the other in a circle.
pub(super) async fn request_replay(
    connection: &mut PgConnection,
    (name, choice): (&str, ParkedChoice),
    now: DateTime<Utc>,
) -> Result<u64, Error> {
    let mut transaction = reply(connection.begin_with(BEGIN)).await?;
    checkpoint::lock_all(&mut transaction, name).await?;
    let requested = parked::request(&mut transaction, (name, choice), now).await?;
    reply(transaction.commit()).await?;
    Ok(requested)
}
