//! Checkpoints and leases, row by row.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, postgres::PgRow, query::Query};

use super::{
    classify::reply,
    row::{self, named, time},
    statement::{
        ADVANCE_CHECKPOINT, BEGIN_ATTEMPT, BEGIN_CHECKPOINT, CLAIM_CHECKPOINT, FIND_LEASE, HOLD_LEASE,
        LIST_CHECKPOINTS, LOCK_CHECKPOINT, LOCK_CHECKPOINTS, NOTE_FAILURE, READ_CHECKPOINT, RELEASE_LEASE, RENEW_LEASE,
    },
};
use crate::store::{
    ANSWER_CHECKPOINTS, Checkpoint, Claim, Claimed, Consumer, ConsumerKind, Cursor, Error, EventMark, Failure, Lease,
    LeaseHolder, Position, Renewal, Step, from_column, storable_text, to_column,
};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A statement whose first binds are a lease.
pub(super) fn of_lease<'q>(sql: &'static str, lease: &'q Lease) -> Statement<'q> {
    of_consumer(sql, &lease.consumer).bind(to_column(lease.fence))
}

/// A statement whose first binds are a consumer.
pub(super) fn of_consumer<'q>(sql: &'static str, consumer: &'q Consumer) -> Statement<'q> {
    sqlx::query(sql).bind(consumer.name()).bind(number(consumer.partition()))
}

/// Binds a place in the log: position, aggregate, sequence, command id, time.
pub(super) fn bind_cursor<'q>(statement: Statement<'q>, cursor: &Cursor) -> Statement<'q> {
    let event = cursor.event;
    statement
        .bind(to_column(cursor.position.get()))
        .bind(event.map(|event| event.aggregate_id))
        .bind(event.map(|event| to_column(event.sequence)))
        .bind(event.map(|event| event.command_id))
        .bind(event.map(|event| row::within_calendar(event.recorded_at)))
}

/// Runs a statement, and tells whether it changed anything.
pub(super) async fn changes(connection: &mut PgConnection, statement: Statement<'_>) -> Result<bool, Error> {
    let done = reply(statement.execute(connection)).await?;
    Ok(done.rows_affected() > 0)
}

/// A number as its column holds it; greater ones were refused before.
pub(super) fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// When a lease lapses that is taken or renewed now.
fn lapses_at(now: DateTime<Utc>, length: Duration) -> DateTime<Utc> {
    row::later(now, length).unwrap_or(now)
}

pub(super) async fn read(connection: &mut PgConnection, consumer: &Consumer) -> Result<Option<Checkpoint>, Error> {
    let row = reply(of_consumer(READ_CHECKPOINT, consumer).fetch_optional(connection)).await?;
    row.map(|row| checkpoint(&row)).transpose()
}

/// What stands before and behind every name.
const NAMES: (&str, &str) = ("", "\x7f");

pub(super) async fn list(connection: &mut PgConnection, name: Option<&str>) -> Result<Vec<Checkpoint>, Error> {
    let (first, last) = name.map_or(NAMES, |name| (name, name));
    let list = sqlx::query(LIST_CHECKPOINTS).bind(first).bind(last).bind(ANSWER_CHECKPOINTS);
    reply(list.fetch_all(connection)).await?.iter().map(checkpoint).collect()
}

pub(super) async fn claim(connection: &mut PgConnection, claim: &Claim, now: DateTime<Utc>) -> Result<Claimed, Error> {
    let consumer = &claim.consumer;
    let of_claim = |sql| {
        of_consumer(sql, consumer)
            .bind(number(consumer.of()))
            .bind(claim.kind.as_str())
            .bind(number(claim.version))
            .bind(&*claim.owner)
            .bind(lapses_at(now, claim.length))
            .bind(now)
    };
    if let Some(start) = &claim.start {
        // Of a name that was forgotten and is used anew, earlier holders must not be taken for the new one.
        let begin = bind_cursor(of_claim(BEGIN_CHECKPOINT).bind(now.timestamp_micros().max(1)), start);
        if let Some(row) = reply(begin.fetch_optional(&mut *connection)).await? {
            return Ok(Claimed::Taken(checkpoint(&row)?));
        }
    }
    let take = of_claim(CLAIM_CHECKPOINT).bind(claim.by_force);
    if let Some(row) = reply(take.fetch_optional(&mut *connection)).await? {
        return Ok(Claimed::Taken(checkpoint(&row)?));
    }
    // Where the name is split otherwise, the consumer itself may never have run.
    let found = match read(connection, consumer).await? {
        Some(found) => Some(found),
        None => list(connection, Some(consumer.name())).await?.into_iter().next(),
    };
    // Where there is none any more, it was forgotten in between.
    found.map(Claimed::Refused).ok_or(Error::Contention { source: None })
}

/// Reads a checkpoint and locks it, within a transaction.
pub(super) async fn lock(connection: &mut PgConnection, consumer: &Consumer) -> Result<Option<Checkpoint>, Error> {
    let row = reply(of_consumer(LOCK_CHECKPOINT, consumer).fetch_optional(connection)).await?;
    row.map(|row| checkpoint(&row)).transpose()
}

/// Reads the checkpoints of a name and locks them, within a transaction.
pub(super) async fn lock_all(connection: &mut PgConnection, name: &str) -> Result<Vec<Checkpoint>, Error> {
    let lock = sqlx::query(LOCK_CHECKPOINTS).bind(name);
    reply(lock.fetch_all(connection)).await?.iter().map(checkpoint).collect()
}

pub(super) async fn renew(connection: &mut PgConnection, lease: &Lease, now: DateTime<Utc>) -> Result<Renewal, Error> {
    let renew = of_lease(RENEW_LEASE, lease).bind(lapses_at(now, lease.length)).bind(now);
    if changes(connection, renew).await? {
        return Ok(Renewal::Renewed);
    }
    // It was passed over because somebody holds it, or is no longer ours.
    let found = reply(of_lease(FIND_LEASE, lease).fetch_optional(connection)).await?;
    Ok(if found.is_some() { Renewal::Busy } else { Renewal::Lost })
}

pub(super) async fn release(connection: &mut PgConnection, lease: &Lease) -> Result<(), Error> {
    changes(connection, of_lease(RELEASE_LEASE, lease)).await.map(drop)
}

/// Tells whether a lease is held, and bounds how long the transaction may keep others waiting for its end.
pub(super) async fn hold(connection: &mut PgConnection, lease: &Lease, lock_timeout: Duration) -> Result<bool, Error> {
    let hold = of_lease(HOLD_LEASE, lease).bind(millis(lease.length)).bind(millis(lease.length.min(lock_timeout)));
    let found = reply(hold.fetch_optional(connection)).await?;
    Ok(found.is_some())
}

/// A time as a setting has it; 0 would be without end, and the greatest are beyond what it takes.
fn millis(time: Duration) -> String {
    time.as_millis().clamp(1, i32::MAX.unsigned_abs().into()).to_string()
}

/// Moves a checkpoint and parks events.
pub(super) async fn advance(
    connection: &mut PgConnection,
    (lease, step): (&Lease, &Step<'_>),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let parked = step.parked;
    let advance = of_lease(ADVANCE_CHECKPOINT, lease).bind(to_column(step.from.get()));
    let advance = bind_cursor(advance, &step.to)
        .bind(lapses_at(now, lease.length))
        .bind(now)
        .bind(parked.iter().map(|event| event.aggregate_id).collect::<Vec<_>>())
        .bind(parked.iter().map(|event| to_column(event.sequence)).collect::<Vec<_>>())
        .bind(parked.iter().map(|event| to_column(event.position.get())).collect::<Vec<_>>())
        .bind(parked.iter().map(|event| event.error.as_deref().map(storable_text)).collect::<Vec<_>>())
        .bind(parked.iter().map(|event| number(event.attempts)).collect::<Vec<_>>());
    let moved = reply(advance.fetch_optional(connection)).await?;
    Ok(moved.is_some())
}

/// Notes that an event is begun; how often it was, or `None` where the lease is lost.
pub(super) async fn begin_attempt(
    connection: &mut PgConnection,
    lease: &Lease,
    position: Position,
) -> Result<Option<u32>, Error> {
    let begin = of_lease(BEGIN_ATTEMPT, lease).bind(to_column(position.get()));
    let row = reply(begin.fetch_optional(connection)).await?;
    row.map(|row| named::<i32>(&row, "beginnings").map(i32::unsigned_abs)).transpose()
}

pub(super) async fn note_failure(
    connection: &mut PgConnection,
    (lease, message): (&Lease, &str),
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let note = of_lease(NOTE_FAILURE, lease).bind(storable_text(message)).bind(now);
    changes(connection, note).await.map(drop)
}

/// Reads the columns of a checkpoint, which bear the same names in every statement that has them.
fn checkpoint(row: &PgRow) -> Result<Checkpoint, Error> {
    let event = match named(row, "aggregate_id")? {
        Some(aggregate_id) => Some(EventMark {
            aggregate_id,
            sequence: from_column(named(row, "sequence")?)?,
            command_id: named(row, "command_id")?,
            recorded_at: there(row, "recorded_at")?,
        }),
        None => None,
    };
    let updated_at = there(row, "updated_at")?;
    let lease = match named(row, "lease_owner")? {
        Some(owner) => Some(LeaseHolder {
            owner,
            expires_at: there(row, "lease_expires_at")?,
            renewed_at: time(row, "renewed_at")?.unwrap_or(updated_at),
        }),
        None => None,
    };
    let failure = match named(row, "failure")? {
        Some(message) => Some(Failure { message, at: there(row, "failed_at")? }),
        None => None,
    };
    Ok(Checkpoint {
        consumer: Consumer::stored(named(row, "name")?, count(row, "partition")?, count(row, "partitions")?),
        kind: kind(named(row, "kind")?)?,
        cursor: Cursor { position: Position::new(from_column(named(row, "position")?)?), event },
        fence: from_column(named(row, "fence")?)?,
        lease,
        updated_at,
        build: count(row, "build")?,
        version: count(row, "version")?,
        crashes: count(row, "crashes")?,
        failure,
        paused_at: time(row, "paused_at")?,
    })
}

/// A time that is there.
fn there(row: &PgRow, name: &str) -> Result<DateTime<Utc>, Error> {
    time(row, name)?.ok_or_else(|| Error::corrupt(format!("a checkpoint has no time {name}")))
}

/// A number that is not negative.
pub(super) fn count(row: &PgRow, name: &str) -> Result<u32, Error> {
    let number: i32 = named(row, name)?;
    u32::try_from(number).map_err(|_| Error::corrupt(format!("a stored {name} is negative: {number}")))
}

fn kind(word: &str) -> Result<ConsumerKind, Error> {
    [ConsumerKind::Subscription, ConsumerKind::Projection]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| Error::corrupt(format!("a checkpoint is of the kind {word:?}, which there is not")))
}
