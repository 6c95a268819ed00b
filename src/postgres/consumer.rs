//! Consumers as a whole, with all their partitions: paused, forgotten, split anew.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};

use super::{
    checkpoint::{self, bind_cursor, changes, number},
    classify::reply,
    statement::{DELETE_CHECKPOINTS, DELETE_PARKED_EVENTS, PAUSE_CHECKPOINTS, RESUME_CHECKPOINTS, SPLIT_CHECKPOINT},
};
use crate::store::{Consumer, Error, Split, to_column};

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
    let statement = sqlx::query(SPLIT_CHECKPOINT).bind(name).bind(number(of));
    let statement = bind_cursor(statement, &split.cursor).bind(to_column(split.fence)).bind(split.paused_at).bind(now);
    changes(&mut transaction, statement).await?;
    changes(&mut transaction, sqlx::query(DELETE_CHECKPOINTS).bind(name).bind(number(of))).await?;
    reply(transaction.commit()).await?;
    Ok(true)
}
