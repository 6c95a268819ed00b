//! Timers, statement by statement.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    checkpoint::changes,
    classify::classify,
    row::{column, ends_at, named, time},
    statement::{
        CANCEL_TIMER, CLAIM_TIMERS, COUNT_TIMERS, DRAW_FENCES, DUE_TIMERS, FAIL_TIMER, FIND_TIMER, FIRE_TIMER,
        FORGET_TIMER, GIVE_BACK_TIMER, LIST_PARKED_TIMERS, LIST_TIMERS, MOVE_TIMER, NEXT_TIMER, PARK_TIMER,
        POSTPONE_TIMER, READ_TIMER_STATES, RENEW_TIMERS, RESUME_TIMER, SCHEDULE_TIMERS, WAKE_TIMERS,
    },
};
use crate::store::{
    COUNTED_TIMERS, Due, DueClaim, Error, Failure, HeldTimer, LeaseHolder, NewTimer, Settled, Timer, TimerCounts,
    TimerQuery, TimerState, due_in_micros, from_column, number, storable_text, to_column,
};

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement whose first binds are a timer's name.
fn of_timer<'q>(sql: &'static str, queue: &'q str, id: Uuid) -> Statement<'q> {
    sqlx::query(sql).bind(queue).bind(id)
}

/// A statement whose first binds are a timer's name and the fence it is held by.
fn of_held<'q>(sql: &'static str, held: &'q HeldTimer) -> Statement<'q> {
    of_timer(sql, &held.timer.queue, held.timer.id).bind(to_column(held.fence))
}

/// A time as its column holds it.
fn due(at: DateTime<Utc>) -> i64 {
    due_in_micros(at).timestamp_micros()
}

/// An id as it is given within JSON.
fn digits(id: Uuid) -> String {
    id.simple().to_string()
}

fn to_json(rows: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(rows).map_err(|error| Error::codec("timers cannot be given as JSON", error))
}

/// Sets timers whose ids differ, and tells how each stands.
pub(super) async fn schedule(
    connection: &mut SqliteConnection,
    (queue, timers): (&str, &[NewTimer]),
    now: DateTime<Utc>,
) -> Result<Vec<(Uuid, TimerState)>, Error> {
    let given: Vec<_> = timers.iter().map(|timer| (digits(timer.id), due(timer.due_at), &*timer.payload)).collect();
    let schedule = sqlx::query(SCHEDULE_TIMERS).bind(queue).bind(to_json(&given)?).bind(now.timestamp_micros());
    let set = schedule.fetch_all(&mut *connection).await.map_err(classify)?;
    if set.len() == timers.len() {
        return Ok(timers.iter().map(|timer| (timer.id, TimerState::Waiting)).collect());
    }
    let ids: Vec<_> = timers.iter().map(|timer| digits(timer.id)).collect();
    let read = sqlx::query(READ_TIMER_STATES).bind(queue).bind(to_json(&ids)?);
    let rows = read.fetch_all(connection).await.map_err(classify)?;
    rows.iter().map(|row| Ok((named(row, "timer_id")?, state(row)?))).collect()
}

/// Finds a timer whose time is not over.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    (queue, id): (&str, Uuid),
    now: DateTime<Utc>,
) -> Result<Option<Timer>, Error> {
    let find = of_timer(FIND_TIMER, queue, id).bind(now.timestamp_micros());
    let row = find.fetch_optional(connection).await.map_err(classify)?;
    row.map(|row| timer(&row)).transpose()
}

pub(super) async fn move_to(
    connection: &mut SqliteConnection,
    (queue, id, due_at): (&str, Uuid, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<Option<Timer>, Error> {
    changes(connection, of_timer(MOVE_TIMER, queue, id).bind(due(due_at))).await?;
    find(connection, (queue, id), now).await
}

pub(super) async fn cancel(
    connection: &mut SqliteConnection,
    (queue, id, keep_for): (&str, Uuid, Duration),
    now: DateTime<Utc>,
) -> Result<Option<Timer>, Error> {
    let before = find(connection, (queue, id), now).await?;
    let cancel = of_timer(CANCEL_TIMER, queue, id).bind(ends_at(now, keep_for)).bind(now.timestamp_micros());
    changes(connection, cancel).await?;
    Ok(before)
}

pub(super) async fn wake(
    connection: &mut SqliteConnection,
    (queue, ids, at): (&str, &[Uuid], DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let ids: Vec<_> = ids.iter().copied().map(digits).collect();
    let wake = sqlx::query(WAKE_TIMERS).bind(queue).bind(to_json(&ids)?).bind(due(at)).bind(now.timestamp_micros());
    changes(connection, wake).await.map(drop)
}

/// How long it is until the next timer may be looked at.
pub(super) async fn next(
    connection: &mut SqliteConnection,
    queue: &str,
    now: DateTime<Utc>,
) -> Result<Option<Duration>, Error> {
    let next = sqlx::query(NEXT_TIMER).bind(queue).fetch_optional(connection).await.map_err(classify)?;
    let next_at: Option<i64> = next.map(|row| named(&row, "next_at")).transpose()?;
    Ok(next_at.map(|next_at| left(next_at.saturating_sub(now.timestamp_micros()))))
}

/// A time that is left; nothing where it is over.
fn left(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    claim: &DueClaim,
    now: DateTime<Utc>,
) -> Result<Due, Error> {
    let due = sqlx::query(DUE_TIMERS).bind(&*claim.queue).bind(now.timestamp_micros()).bind(claim.limit);
    let due = due.fetch_all(&mut *connection).await.map_err(classify)?;
    let due = due.iter().map(|row| named(row, "timer_id").map(digits)).collect::<Result<Vec<_>, _>>()?;
    if due.is_empty() {
        return Ok(Due { timers: Vec::new(), next: next(connection, &claim.queue, now).await? });
    }
    let fences = i64::try_from(due.len()).unwrap_or(i64::MAX);
    let draw = sqlx::query(DRAW_FENCES).bind(fences).fetch_one(&mut *connection).await.map_err(classify)?;
    let last: i64 = column(&draw, 0)?;
    let claimed = sqlx::query(CLAIM_TIMERS)
        .bind(&*claim.queue)
        .bind(&*claim.owner)
        .bind(ends_at(now, claim.lease))
        .bind(to_json(&due)?)
        .bind(now.timestamp_micros())
        .bind(last - fences + 1);
    let rows = claimed.fetch_all(&mut *connection).await.map_err(classify)?;
    let mut timers = rows.iter().map(held).collect::<Result<Vec<_>, _>>()?;
    // Fences were given in the order in which they became due.
    timers.sort_by_key(|held| held.fence);
    Ok(Due { timers, next: next(connection, &claim.queue, now).await? })
}

/// Gives signs of life, and tells the fences of the timers that are still held.
pub(super) async fn renew(
    connection: &mut SqliteConnection,
    (held, lease): (&[HeldTimer], Duration),
    now: DateTime<Utc>,
) -> Result<Vec<u64>, Error> {
    let given: Vec<_> =
        held.iter().map(|held| (&*held.timer.queue, digits(held.timer.id), to_column(held.fence))).collect();
    let renew = sqlx::query(RENEW_TIMERS).bind(to_json(&given)?).bind(ends_at(now, lease));
    let rows = renew.bind(now.timestamp_micros()).fetch_all(connection).await.map_err(classify)?;
    rows.iter().map(|row| from_column(named(row, "fence")?)).collect()
}

pub(super) async fn fire(
    connection: &mut SqliteConnection,
    (held, keep_for): (&HeldTimer, Duration),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    changes(connection, of_held(FIRE_TIMER, held).bind(ends_at(now, keep_for))).await
}

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    (held, settled): (&HeldTimer, &Settled),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let revision = to_column(held.timer.revision);
    let micros = now.timestamp_micros();
    let settle = match settled {
        Settled::Fired { keep_for } => return fire(connection, (held, *keep_for), now).await,
        Settled::Idle => {
            if changes(connection, of_held(FORGET_TIMER, held).bind(revision)).await? {
                return Ok(true);
            }
            of_held(POSTPONE_TIMER, held).bind(revision).bind(None::<i64>).bind(micros)
        }
        Settled::Later { at } => of_held(POSTPONE_TIMER, held).bind(revision).bind(Some(due(*at))).bind(micros),
        Settled::Failed { pause, failure } => of_held(FAIL_TIMER, held)
            .bind(ends_at(now, *pause))
            .bind(storable_text(failure))
            .bind(micros)
            .bind(revision),
        Settled::Parked { failure } => of_held(PARK_TIMER, held).bind(storable_text(failure)).bind(micros),
        Settled::GivenBack => of_held(GIVE_BACK_TIMER, held).bind(micros),
    };
    changes(connection, settle).await
}

pub(super) async fn resume(
    connection: &mut SqliteConnection,
    (queue, id): (&str, Uuid),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    changes(connection, of_timer(RESUME_TIMER, queue, id).bind(now.timestamp_micros())).await
}

pub(super) async fn list(
    connection: &mut SqliteConnection,
    (query, first): (&TimerQuery, Uuid),
    now: DateTime<Utc>,
) -> Result<Vec<Timer>, Error> {
    let list = match query.state {
        Some(TimerState::Parked) => of_timer(LIST_PARKED_TIMERS, &query.queue, first).bind(query.limit),
        state => of_timer(LIST_TIMERS, &query.queue, first)
            .bind(state.map(TimerState::number))
            .bind(query.limit)
            .bind(now.timestamp_micros()),
    };
    list.fetch_all(connection).await.map_err(classify)?.iter().map(timer).collect()
}

pub(super) async fn count(
    connection: &mut SqliteConnection,
    queue: &str,
    now: DateTime<Utc>,
) -> Result<TimerCounts, Error> {
    let count = sqlx::query(COUNT_TIMERS).bind(queue).bind(now.timestamp_micros()).bind(COUNTED_TIMERS);
    let row = count.fetch_one(connection).await.map_err(classify)?;
    Ok(TimerCounts {
        waiting: from_column(named(&row, "waiting")?)?,
        due: from_column(named(&row, "due")?)?,
        held: from_column(named(&row, "held")?)?,
        parked: from_column(named(&row, "parked")?)?,
        lag: left(named::<Option<i64>>(&row, "lag")?.unwrap_or(0)),
    })
}

fn held(row: &SqliteRow) -> Result<HeldTimer, Error> {
    Ok(HeldTimer { timer: timer(row)?, fence: from_column(named(row, "fence")?)? })
}

fn state(row: &SqliteRow) -> Result<TimerState, Error> {
    let state: i16 = named(row, "state")?;
    TimerState::from_number(state)
        .ok_or_else(|| Error::corrupt(format!("a stored timer is in state {state}, which there is not")))
}

fn timer(row: &SqliteRow) -> Result<Timer, Error> {
    let lease = match named::<Option<String>>(row, "owner")? {
        Some(owner) => Some(LeaseHolder {
            owner,
            expires_at: time(named(row, "lease_expires_at")?)?,
            renewed_at: time(named(row, "renewed_at")?)?,
        }),
        None => None,
    };
    let failure = match named::<Option<String>>(row, "failure")? {
        Some(message) => Some(Failure { message, at: time(named(row, "failed_at")?)? }),
        None => None,
    };
    Ok(Timer {
        queue: named::<String>(row, "queue")?.into(),
        id: named(row, "timer_id")?,
        state: state(row)?,
        due_at: time(named(row, "due_at")?)?,
        next_at: time(named(row, "next_at")?)?,
        payload: named::<Option<String>>(row, "payload")?.map(Into::into),
        revision: from_column(named(row, "revision")?)?,
        attempts: number(named(row, "attempts")?)?,
        lease,
        failure,
        scheduled_at: time(named(row, "scheduled_at")?)?,
    })
}
