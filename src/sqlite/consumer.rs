//! Consumers as a whole, with all their partitions: paused, forgotten, split anew, moved.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{
    checkpoint::{self, bind_cursor, changes},
    statement::{
        DELETE_CHECKPOINTS, DELETE_PARKED_EVENTS, DROP_PARKED_EVENTS, PAUSE_CHECKPOINTS, RESUME_CHECKPOINTS,
        SPLIT_CHECKPOINT,
    },
};
use crate::store::{Consumer, Cursor, Error, Split, to_column};

pub(super) async fn set_paused(
    connection: &mut SqliteConnection,
    (name, is_paused): (&str, bool),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let statement = if is_paused {
        sqlx::query(PAUSE_CHECKPOINTS).bind(name).bind(now.timestamp_micros())
    } else {
        sqlx::query(RESUME_CHECKPOINTS).bind(name)
    };
    changes(connection, statement).await
}

/// Removes a consumer and what is built anew of it, within a transaction.
pub(super) async fn forget(connection: &mut SqliteConnection, name: &str) -> Result<bool, Error> {
    let rebuild = Consumer::stored(name, 0, 1).rebuild();
    let was_there = remove(connection, name).await?;
    Ok(remove(connection, rebuild.name()).await? || was_there)
}

/// Removes the checkpoints and parked events of one name, within a transaction.
pub(super) async fn remove(connection: &mut SqliteConnection, name: &str) -> Result<bool, Error> {
    let was_there = changes(connection, sqlx::query(DELETE_CHECKPOINTS).bind(name).bind(0)).await?;
    changes(connection, sqlx::query(DELETE_PARKED_EVENTS).bind(name)).await?;
    Ok(was_there)
}

/// Splits a subscription, within a transaction.
pub(super) async fn repartition(
    connection: &mut SqliteConnection,
    (name, of): (&str, u32),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let partitions = checkpoint::list(connection, Some(name)).await?;
    let Some(split) = Split::of(&partitions)? else {
        return Ok(false);
    };
    place(connection, (name, of), &split, now).await?;
    changes(connection, sqlx::query(DELETE_CHECKPOINTS).bind(name).bind(of)).await?;
    Ok(true)
}

/// Moves a subscription to another place, within a transaction.
pub(super) async fn reset(
    connection: &mut SqliteConnection,
    (name, to): (&str, &Cursor),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let partitions = checkpoint::list(connection, Some(name)).await?;
    let (Some(split), Some(first)) = (Split::reset(&partitions, to)?, partitions.first()) else {
        return Ok(false);
    };
    place(connection, (name, first.consumer.of()), &split, now).await?;
    let drop = sqlx::query(DROP_PARKED_EVENTS).bind(name).bind(to_column(to.position.get()));
    changes(connection, drop).await?;
    Ok(true)
}

/// Has all partitions stand at one place, and be nobody's.
async fn place(
    connection: &mut SqliteConnection,
    (name, of): (&str, u32),
    split: &Split,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let statement = sqlx::query(SPLIT_CHECKPOINT).bind(name).bind(of);
    let statement = bind_cursor(statement, &split.cursor)
        .bind(to_column(split.fence))
        .bind(split.paused_at.map(|time| time.timestamp_micros()))
        .bind(now.timestamp_micros());
    changes(connection, statement).await.map(drop)
}
