//! The port of messages that were taken in, on connections and transactions of PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    PostgresStore, PostgresWork,
    backend::SYSTEM,
    classify::{reply, within_reach},
    response::{Met, Now},
    row::{micros, named, time},
    statement::{FIND_MESSAGE, RECEIVE_MESSAGE, WITHDRAW_MESSAGE},
    turn::in_turn,
};
use crate::store::{
    Error, InboxMessage, InboxStore, InboxWork, Received, check_message, from_column, telemetry::operation, to_column,
};

/// How often a message is looked at again that others were faster with: each time one of them has committed.
const LOOKS: u32 = 8;

#[async_trait]
impl InboxWork for PostgresWork {
    async fn receive(&mut self, message: &InboxMessage) -> Result<Received, Error> {
        message.check()?;
        let now = self.given_time();
        let receive = async {
            let connection = self.enter()?;
            let received = receive(connection, message, now).await;
            self.leave(received)
        };
        operation(SYSTEM, "receive_message", receive).await
    }
}

#[async_trait]
impl InboxStore for PostgresStore {
    async fn received_at(&self, consumer: &str, message_id: &str) -> Result<Option<DateTime<Utc>>, Error> {
        check_message(consumer, message_id)?;
        let find = in_turn!(self.backend().to_look(), connection, now => find(connection, (consumer, message_id), now));
        operation(SYSTEM, "find_message", find).await
    }
}

/// One statement, unless somebody is faster. It waits for whoever holds the message, or the last place of its source.
async fn receive(connection: &mut PgConnection, message: &InboxMessage, now: Now) -> Result<Received, Error> {
    for _ in 0..LOOKS {
        let place = message.place;
        let take = sqlx::query(RECEIVE_MESSAGE)
            .bind(&*message.consumer)
            .bind(&*message.message_id)
            .bind(&message.content.as_bytes()[..])
            .bind(message.keep_for.map(micros))
            .bind(place.map(|place| place.source))
            .bind(place.map(|place| to_column(place.sequence)))
            .bind(place.is_some_and(|place| place.is_dense))
            .bind(now);
        let row = reply(take.fetch_one(&mut *connection)).await?;
        match named(&row, "outcome")? {
            "new" => return Ok(Received::New),
            "known" => return known(&row, message),
            "passed" => return Ok(Received::Duplicate { received_at: None }),
            "early" => return Ok(Received::Early { expected: from_column(named(&row, "sequence")?)? + 1 }),
            "overtaken" => {
                let withdraw = sqlx::query(WITHDRAW_MESSAGE).bind(&*message.consumer).bind(&*message.message_id);
                reply(withdraw.execute(&mut *connection)).await?;
            }
            // What was committed while the statement waited is seen by the next one.
            _ => {}
        }
    }
    Err(Error::Contention { source: None })
}

fn known(row: &PgRow, message: &InboxMessage) -> Result<Received, Error> {
    let received_at = received_at(row)?;
    Ok(match named::<&[u8]>(row, "content")? == message.content.as_bytes() {
        true => Received::Duplicate { received_at: Some(received_at) },
        false => Received::Changed { received_at },
    })
}

async fn find(
    connection: &mut PgConnection,
    (consumer, message_id): (&str, &str),
    now: Now,
) -> Result<Option<DateTime<Utc>>, Met> {
    let find = sqlx::query(FIND_MESSAGE).bind(consumer).bind(message_id).bind(now);
    let row = within_reach(find.fetch_optional(connection)).await?;
    Ok(row.as_ref().map(received_at).transpose()?)
}

fn received_at(row: &PgRow) -> Result<DateTime<Utc>, Error> {
    time(row, "received_at")?.ok_or_else(|| Error::corrupt("a message that was taken in has no time"))
}
