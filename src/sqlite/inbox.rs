//! The port of messages that were taken in, on connections and transactions of SQLite.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    SqliteStore, SqliteWork,
    backend::SYSTEM,
    classify::classify,
    row::{column, ends_at, named, time},
    statement::{FIND_MESSAGE, FIND_PLACE, RECEIVE_MESSAGE, SET_PLACE},
};
use crate::store::{
    Error, InboxMessage, InboxStore, InboxWork, MessagePlace, Received, check_message, from_column,
    telemetry::operation, to_column,
};

#[async_trait]
impl InboxWork for SqliteWork {
    async fn receive(&mut self, message: &InboxMessage) -> Result<Received, Error> {
        message.check()?;
        let now = self.time();
        let receive = async {
            let connection = self.enter().await?;
            let received = receive(connection, message, now).await;
            self.leave(received).await
        };
        operation(SYSTEM, "receive_message", receive).await
    }
}

#[async_trait]
impl InboxStore for SqliteStore {
    async fn received_at(&self, consumer: &str, message_id: &str) -> Result<Option<DateTime<Utc>>, Error> {
        check_message(consumer, message_id)?;
        let find = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            let found = find(&mut connection, (consumer, message_id), self.backend().now()).await?;
            found.as_ref().map(received_at).transpose()
        };
        operation(SYSTEM, "find_message", find).await
    }
}

/// Nobody else writes meanwhile: what was looked at stays so until the transaction ends.
async fn receive(
    connection: &mut SqliteConnection,
    message: &InboxMessage,
    now: DateTime<Utc>,
) -> Result<Received, Error> {
    if let Some(row) = find(connection, (&message.consumer, &message.message_id), now).await? {
        let (content, received_at) = (named::<&[u8]>(&row, "content")?, received_at(&row)?);
        return Ok(match content == message.content.as_bytes() {
            true => Received::Duplicate { received_at: Some(received_at) },
            false => Received::Changed { received_at },
        });
    }
    if let Some(place) = &message.place {
        let last = last_of(connection, &message.consumer, place).await?;
        if let Some(known) = place.against(last) {
            return Ok(known);
        }
        let set = sqlx::query(SET_PLACE).bind(&*message.consumer).bind(place.source).bind(to_column(place.sequence));
        set.execute(&mut *connection).await.map_err(classify)?;
    }
    let take = sqlx::query(RECEIVE_MESSAGE)
        .bind(&*message.consumer)
        .bind(&*message.message_id)
        .bind(&message.content.as_bytes()[..])
        .bind(now.timestamp_micros())
        .bind(message.keep_for.map(|keep_for| ends_at(now, keep_for)));
    take.execute(connection).await.map_err(classify)?;
    Ok(Received::New)
}

async fn find(
    connection: &mut SqliteConnection,
    (consumer, message_id): (&str, &str),
    now: DateTime<Utc>,
) -> Result<Option<SqliteRow>, Error> {
    let find = sqlx::query(FIND_MESSAGE).bind(consumer).bind(message_id).bind(now.timestamp_micros());
    find.fetch_optional(connection).await.map_err(classify)
}

fn received_at(row: &SqliteRow) -> Result<DateTime<Utc>, Error> {
    time(named(row, "received_at")?)
}

/// The place of the last message of a source; 0: there was none.
async fn last_of(connection: &mut SqliteConnection, consumer: &str, place: &MessagePlace) -> Result<u64, Error> {
    let find = sqlx::query(FIND_PLACE).bind(consumer).bind(place.source);
    let row = find.fetch_optional(connection).await.map_err(classify)?;
    row.map_or(Ok(0), |row| from_column(column(&row, 0)?))
}
