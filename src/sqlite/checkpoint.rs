//! Checkpoints and leases, row by row.

use chrono::{DateTime, Utc};
use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments, sqlite::SqliteRow};

use super::{
    classify::classify,
    parked,
    row::{ends_at, named, time},
    statement::{
        ADVANCE_CHECKPOINT, BEGIN_ATTEMPT, BEGIN_CHECKPOINT, CLAIM_CHECKPOINT, FIND_LEASE, LIST_CHECKPOINTS,
        NOTE_FAILURE, READ_CHECKPOINT, RELEASE_LEASE, RENEW_LEASE,
    },
};
use crate::store::{
    ANSWER_CHECKPOINTS, Checkpoint, Claim, Claimed, Consumer, ConsumerKind, Cursor, Error, EventMark, Failure, Lease,
    LeaseHolder, Position, Renewal, Step, from_column, storable_text, to_column,
};

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement whose first binds are a lease.
pub(super) fn of_lease<'q>(sql: &'static str, lease: &'q Lease) -> Statement<'q> {
    of_consumer(sql, &lease.consumer).bind(to_column(lease.fence))
}

/// A statement whose first binds are a consumer.
pub(super) fn of_consumer<'q>(sql: &'static str, consumer: &'q Consumer) -> Statement<'q> {
    sqlx::query(sql).bind(consumer.name()).bind(consumer.partition())
}

/// Binds a place in the log: position, aggregate, sequence, command id, time.
pub(super) fn bind_cursor<'q>(statement: Statement<'q>, cursor: &Cursor) -> Statement<'q> {
    let event = cursor.event;
    statement
        .bind(to_column(cursor.position.get()))
        .bind(event.map(|event| event.aggregate_id))
        .bind(event.map(|event| to_column(event.sequence)))
        .bind(event.map(|event| event.command_id))
        .bind(event.map(|event| event.recorded_at.timestamp_micros()))
}

/// Runs a statement, and tells whether it changed anything.
pub(super) async fn changes(connection: &mut SqliteConnection, statement: Statement<'_>) -> Result<bool, Error> {
    statement.execute(connection).await.map(|done| done.rows_affected() > 0).map_err(classify)
}

pub(super) async fn read(connection: &mut SqliteConnection, consumer: &Consumer) -> Result<Option<Checkpoint>, Error> {
    let row = of_consumer(READ_CHECKPOINT, consumer).fetch_optional(connection).await.map_err(classify)?;
    row.map(|row| checkpoint(&row)).transpose()
}

/// What stands before and behind every name.
const NAMES: (&str, &str) = ("", "\x7f");

pub(super) async fn list(connection: &mut SqliteConnection, name: Option<&str>) -> Result<Vec<Checkpoint>, Error> {
    let (first, last) = name.map_or(NAMES, |name| (name, name));
    let list = sqlx::query(LIST_CHECKPOINTS).bind(first).bind(last).bind(ANSWER_CHECKPOINTS);
    list.fetch_all(connection).await.map_err(classify)?.iter().map(checkpoint).collect()
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    claim: &Claim,
    now: DateTime<Utc>,
) -> Result<Claimed, Error> {
    let consumer = &claim.consumer;
    let of_claim = |sql| {
        of_consumer(sql, consumer)
            .bind(consumer.of())
            .bind(claim.kind.as_str())
            .bind(claim.version)
            .bind(&*claim.owner)
            .bind(ends_at(now, claim.length))
            .bind(now.timestamp_micros())
    };
    if let Some(start) = &claim.start {
        // Of a name that was forgotten and is used anew, earlier holders must not be taken for the new one.
        let begin = bind_cursor(of_claim(BEGIN_CHECKPOINT).bind(now.timestamp_micros().max(1)), start);
        if let Some(row) = begin.fetch_optional(&mut *connection).await.map_err(classify)? {
            return Ok(Claimed::Taken(checkpoint(&row)?));
        }
    }
    let take = of_claim(CLAIM_CHECKPOINT).bind(claim.by_force);
    if let Some(row) = take.fetch_optional(&mut *connection).await.map_err(classify)? {
        return Ok(Claimed::Taken(checkpoint(&row)?));
    }
    // Where the name is split otherwise, the consumer itself may never have run.
    let found = match read(connection, consumer).await? {
        Some(found) => Some(found),
        None => list(connection, Some(consumer.name())).await?.into_iter().next(),
    };
    found.map(Claimed::Refused).ok_or(Error::Contention { source: None })
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    lease: &Lease,
    now: DateTime<Utc>,
) -> Result<Renewal, Error> {
    let renew = of_lease(RENEW_LEASE, lease).bind(ends_at(now, lease.length)).bind(now.timestamp_micros());
    // Never busy: who holds a checkpoint has the writer, and is waited for there.
    Ok(if changes(connection, renew).await? { Renewal::Renewed } else { Renewal::Lost })
}

pub(super) async fn release(connection: &mut SqliteConnection, lease: &Lease) -> Result<(), Error> {
    changes(connection, of_lease(RELEASE_LEASE, lease)).await.map(drop)
}

/// Tells whether a lease is held.
pub(super) async fn hold(connection: &mut SqliteConnection, lease: &Lease) -> Result<bool, Error> {
    let found = of_lease(FIND_LEASE, lease).fetch_optional(connection).await.map_err(classify)?;
    Ok(found.is_some())
}

/// Moves a checkpoint and parks events, within a transaction.
pub(super) async fn advance(
    connection: &mut SqliteConnection,
    (lease, step): (&Lease, &Step<'_>),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let advance = of_lease(ADVANCE_CHECKPOINT, lease).bind(to_column(step.from.get()));
    let advance = bind_cursor(advance, &step.to).bind(ends_at(now, lease.length)).bind(now.timestamp_micros());
    let has_moved = changes(connection, advance).await?;
    if has_moved {
        for event in step.parked {
            parked::park(connection, lease.consumer.name(), event, now).await?;
        }
    }
    Ok(has_moved)
}

/// Notes that an event is begun; how often it was, or `None` where the lease is lost.
pub(super) async fn begin_attempt(
    connection: &mut SqliteConnection,
    lease: &Lease,
    position: Position,
) -> Result<Option<u32>, Error> {
    let begin = of_lease(BEGIN_ATTEMPT, lease).bind(to_column(position.get()));
    let row = begin.fetch_optional(connection).await.map_err(classify)?;
    row.map(|row| named(&row, "beginnings")).transpose()
}

pub(super) async fn note_failure(
    connection: &mut SqliteConnection,
    (lease, message): (&Lease, &str),
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let note = of_lease(NOTE_FAILURE, lease).bind(storable_text(message)).bind(now.timestamp_micros());
    changes(connection, note).await.map(drop)
}

/// Reads the columns of a checkpoint, which bear the same names in every statement that has them.
fn checkpoint(row: &SqliteRow) -> Result<Checkpoint, Error> {
    let event = match named(row, "aggregate_id")? {
        Some(aggregate_id) => Some(EventMark {
            aggregate_id,
            sequence: from_column(named(row, "sequence")?)?,
            command_id: named(row, "command_id")?,
            recorded_at: time(named(row, "recorded_at")?)?,
        }),
        None => None,
    };
    let updated_at = time(named(row, "updated_at")?)?;
    let lease = match named(row, "lease_owner")? {
        Some(owner) => Some(LeaseHolder {
            owner,
            expires_at: time(named(row, "lease_expires_at")?)?,
            renewed_at: optional_time(row, "renewed_at")?.unwrap_or(updated_at),
        }),
        None => None,
    };
    let failure = match named(row, "failure")? {
        Some(message) => Some(Failure { message, at: time(named(row, "failed_at")?)? }),
        None => None,
    };
    Ok(Checkpoint {
        consumer: Consumer::stored(named(row, "name")?, named(row, "partition")?, named(row, "partitions")?),
        kind: kind(named(row, "kind")?)?,
        cursor: Cursor { position: Position::new(from_column(named(row, "position")?)?), event },
        fence: from_column(named(row, "fence")?)?,
        lease,
        updated_at,
        build: named(row, "build")?,
        version: named(row, "version")?,
        crashes: named(row, "crashes")?,
        failure,
        paused_at: optional_time(row, "paused_at")?,
    })
}

fn optional_time(row: &SqliteRow, name: &str) -> Result<Option<DateTime<Utc>>, Error> {
    named::<Option<i64>>(row, name)?.map(time).transpose()
}

fn kind(word: &str) -> Result<ConsumerKind, Error> {
    [ConsumerKind::Subscription, ConsumerKind::Projection]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| Error::corrupt(format!("a checkpoint is of the kind {word:?}, which there is not")))
}
