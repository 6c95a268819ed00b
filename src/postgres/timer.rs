//! Timers, statement by statement.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, postgres::PgRow, query::Query};
use uuid::Uuid;

use super::{
    classify::within_reach,
    response::{Met, Now},
    row::{json, micros, named, time},
    statement::{
        CANCEL_TIMER, CLAIM_TIMERS, COUNT_TIMERS, FAIL_TIMER, FIND_TIMER, FIRE_TIMER, FORGET_TIMER, GIVE_BACK_TIMER,
        LIST_PARKED_TIMERS, LIST_TIMERS, MOVE_TIMER, PARK_TIMER, POSTPONE_TIMER, READ_TIMER_STATES, RENEW_TIMERS,
        RESUME_TIMER, SCHEDULE_TIMERS, WAKE_TIMERS,
    },
};
use crate::store::{
    COUNTED_TIMERS, Due, DueClaim, Error, Failure, HeldTimer, LeaseHolder, NewTimer, Settled, Timer, TimerCounts,
    TimerQuery, TimerState, due_in_micros, from_column, number, storable_text, to_column,
};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// How often a timer is looked at again that others were faster with: each time one of them has got on.
const LOOKS: u32 = 8;

/// A statement whose first binds are a timer's name.
fn of_timer<'q>(sql: &'static str, queue: &'q str, id: Uuid) -> Statement<'q> {
    sqlx::query(sql).bind(queue).bind(id)
}

/// A statement whose first binds are a timer's name and the fence it is held by.
fn of_held<'q>(sql: &'static str, held: &'q HeldTimer) -> Statement<'q> {
    of_timer(sql, &held.timer.queue, held.timer.id).bind(to_column(held.fence))
}

/// Runs a statement, and tells whether it changed anything.
async fn changes(connection: &mut PgConnection, statement: Statement<'_>) -> Result<bool, Met> {
    Ok(within_reach(statement.execute(connection)).await?.rows_affected() > 0)
}

/// Others were faster each time.
fn overtaken() -> Met {
    Error::Contention { source: None }.into()
}

/// Sets timers whose ids differ, and tells how each stands. One statement, unless some are there.
pub(super) async fn schedule(
    connection: &mut PgConnection,
    (queue, timers): (&str, &[&NewTimer]),
    now: Now,
) -> Result<Vec<(Uuid, TimerState)>, Met> {
    let ids: Vec<_> = timers.iter().map(|timer| timer.id).collect();
    let times: Vec<_> = timers.iter().map(|timer| due_in_micros(timer.due_at)).collect();
    let payloads: Vec<_> = timers.iter().map(|timer| &*timer.payload).collect();
    for _ in 0..LOOKS {
        let schedule = sqlx::query(SCHEDULE_TIMERS).bind(queue).bind(&ids).bind(&times).bind(&payloads).bind(now);
        let set = within_reach(schedule.fetch_all(&mut *connection)).await?;
        if set.len() == ids.len() {
            return Ok(ids.iter().map(|id| (*id, TimerState::Waiting)).collect());
        }
        let read = sqlx::query(READ_TIMER_STATES).bind(queue).bind(&ids);
        let rows = within_reach(read.fetch_all(&mut *connection)).await?;
        if rows.len() == ids.len() {
            return Ok(rows
                .iter()
                .map(|row| Ok((named(row, "timer_id")?, state(row)?)))
                .collect::<Result<_, Error>>()?);
        }
        // One that was there is gone by now.
    }
    Err(overtaken())
}

/// Finds a timer whose time is not over.
pub(super) async fn find(
    connection: &mut PgConnection,
    (queue, id): (&str, Uuid),
    now: Now,
) -> Result<Option<Timer>, Met> {
    let find = of_timer(FIND_TIMER, queue, id).bind(now);
    let row = within_reach(find.fetch_optional(connection)).await?;
    Ok(row.map(|row| timer(&row)).transpose()?)
}

pub(super) async fn move_to(
    connection: &mut PgConnection,
    (queue, id, due_at): (&str, Uuid, DateTime<Utc>),
    now: Now,
) -> Result<Option<Timer>, Met> {
    for _ in 0..LOOKS {
        let is_moved = changes(&mut *connection, of_timer(MOVE_TIMER, queue, id).bind(due_in_micros(due_at))).await?;
        let found = find(&mut *connection, (queue, id), now).await?;
        let may_be_moved =
            found.as_ref().is_some_and(|timer| matches!(timer.state, TimerState::Waiting | TimerState::Parked));
        if is_moved || !may_be_moved {
            return Ok(found);
        }
        // It was set between the two.
    }
    Err(overtaken())
}

pub(super) async fn cancel(
    connection: &mut PgConnection,
    (queue, id, keep_for): (&str, Uuid, Duration),
    now: Now,
) -> Result<Option<Timer>, Met> {
    for _ in 0..LOOKS {
        let cancel = of_timer(CANCEL_TIMER, queue, id).bind(micros(keep_for)).bind(now);
        let row = within_reach(cancel.fetch_optional(&mut *connection)).await?;
        match row.as_ref().map(|row| named(row, "outcome")).transpose()? {
            Some("was") => return Ok(row.as_ref().map(timer).transpose()?),
            Some(_) => return Ok(None),
            // What was committed while the statement waited is seen by the next one.
            None => {}
        }
    }
    Err(overtaken())
}

/// Wakes timers at a time, or now, by the server's clock where it has one.
pub(super) async fn wake(
    connection: &mut PgConnection,
    (queue, ids, at): (&str, &[Uuid], Option<DateTime<Utc>>),
    now: Now,
) -> Result<(), Met> {
    let wake = sqlx::query(WAKE_TIMERS).bind(queue).bind(ids).bind(at.map(due_in_micros)).bind(now);
    changes(connection, wake).await.map(drop)
}

pub(super) async fn claim(connection: &mut PgConnection, claim: &DueClaim, now: Now) -> Result<Due, Met> {
    let claimed = sqlx::query(CLAIM_TIMERS)
        .bind(&*claim.queue)
        .bind(&*claim.owner)
        .bind(micros(claim.lease))
        .bind(i64::from(claim.limit))
        .bind(now);
    let rows = within_reach(claimed.fetch_all(connection)).await?;
    let (mut timers, mut next) = (Vec::new(), None);
    for row in &rows {
        if named::<Option<Uuid>>(row, "timer_id")?.is_some() {
            timers.push((time(row, "was_due_at")?, held(row)?));
        } else {
            next = named::<Option<i64>>(row, "next")?.map(left);
        }
    }
    timers.sort_by_key(|(was_due_at, held)| (*was_due_at, held.timer.id));
    Ok(Due { timers: timers.into_iter().map(|(_, held)| held).collect(), next })
}

/// A time that is left; nothing where it is over.
fn left(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Gives signs of life, and tells the fences of the timers that are still held.
pub(super) async fn renew(
    connection: &mut PgConnection,
    (held, lease): (&[HeldTimer], Duration),
    now: Now,
) -> Result<Vec<u64>, Met> {
    let queues: Vec<_> = held.iter().map(|held| &*held.timer.queue).collect();
    let ids: Vec<_> = held.iter().map(|held| held.timer.id).collect();
    let fences: Vec<_> = held.iter().map(|held| to_column(held.fence)).collect();
    let renew = sqlx::query(RENEW_TIMERS).bind(queues).bind(ids).bind(fences).bind(micros(lease)).bind(now);
    let rows = within_reach(renew.fetch_all(connection)).await?;
    Ok(rows.iter().map(|row| from_column(named(row, "fence")?)).collect::<Result<_, Error>>()?)
}

pub(super) async fn fire(
    connection: &mut PgConnection,
    (held, keep_for): (&HeldTimer, Duration),
    now: Now,
) -> Result<bool, Met> {
    changes(connection, of_held(FIRE_TIMER, held).bind(micros(keep_for)).bind(now)).await
}

pub(super) async fn settle(
    connection: &mut PgConnection,
    (held, settled): (&HeldTimer, &Settled),
    now: Now,
) -> Result<bool, Met> {
    let revision = to_column(held.timer.revision);
    let settle = match settled {
        Settled::Fired { keep_for } => return fire(connection, (held, *keep_for), now).await,
        Settled::Idle => {
            if changes(&mut *connection, of_held(FORGET_TIMER, held).bind(revision)).await? {
                return Ok(true);
            }
            of_held(POSTPONE_TIMER, held).bind(revision).bind(None::<DateTime<Utc>>).bind(now)
        }
        Settled::Later { at } => of_held(POSTPONE_TIMER, held).bind(revision).bind(due_in_micros(*at)).bind(now),
        Settled::Failed { pause, failure } => {
            of_held(FAIL_TIMER, held).bind(micros(*pause)).bind(storable_text(failure)).bind(now).bind(revision)
        }
        Settled::Parked { failure } => of_held(PARK_TIMER, held).bind(storable_text(failure)).bind(now),
        Settled::GivenBack => of_held(GIVE_BACK_TIMER, held).bind(now),
    };
    changes(connection, settle).await
}

pub(super) async fn resume(connection: &mut PgConnection, (queue, id): (&str, Uuid), now: Now) -> Result<bool, Met> {
    changes(connection, of_timer(RESUME_TIMER, queue, id).bind(now)).await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    (query, first): (&TimerQuery, Uuid),
    now: Now,
) -> Result<Vec<Timer>, Met> {
    let limit = i64::from(query.limit);
    let list = match query.state {
        Some(TimerState::Parked) => of_timer(LIST_PARKED_TIMERS, &query.queue, first).bind(limit),
        state => of_timer(LIST_TIMERS, &query.queue, first).bind(state.map(TimerState::number)).bind(limit).bind(now),
    };
    let rows = within_reach(list.fetch_all(connection)).await?;
    Ok(rows.iter().map(timer).collect::<Result<_, _>>()?)
}

pub(super) async fn count(connection: &mut PgConnection, queue: &str, now: Now) -> Result<TimerCounts, Met> {
    let count = sqlx::query(COUNT_TIMERS).bind(queue).bind(now).bind(COUNTED_TIMERS);
    let row = within_reach(count.fetch_one(connection)).await?;
    Ok(TimerCounts {
        waiting: from_column(named(&row, "waiting")?)?,
        due: from_column(named(&row, "due")?)?,
        held: from_column(named(&row, "held")?)?,
        parked: from_column(named(&row, "parked")?)?,
        lag: left(named::<Option<i64>>(&row, "lag")?.unwrap_or(0)),
    })
}

fn held(row: &PgRow) -> Result<HeldTimer, Error> {
    Ok(HeldTimer { timer: timer(row)?, fence: from_column(named(row, "fence")?)? })
}

fn state(row: &PgRow) -> Result<TimerState, Error> {
    let state: i16 = named(row, "state")?;
    TimerState::from_number(state)
        .ok_or_else(|| Error::corrupt(format!("a stored timer is in state {state}, which there is not")))
}

/// Reads a time that is always there.
fn present(row: &PgRow, name: &str) -> Result<DateTime<Utc>, Error> {
    time(row, name)?.ok_or_else(|| Error::corrupt(format!("a stored timer has no {name}")))
}

fn timer(row: &PgRow) -> Result<Timer, Error> {
    let lease = match named::<Option<String>>(row, "owner")? {
        Some(owner) => Some(LeaseHolder {
            owner,
            expires_at: present(row, "lease_expires_at")?,
            renewed_at: present(row, "renewed_at")?,
        }),
        None => None,
    };
    let failure = match named::<Option<String>>(row, "failure")? {
        Some(message) => Some(Failure { message, at: present(row, "failed_at")? }),
        None => None,
    };
    Ok(Timer {
        queue: named::<&str>(row, "queue")?.into(),
        id: named(row, "timer_id")?,
        state: state(row)?,
        due_at: present(row, "due_at")?,
        next_at: present(row, "next_at")?,
        payload: json(row, "payload")?.map(Into::into),
        revision: from_column(named(row, "revision")?)?,
        attempts: number(named::<i32>(row, "attempts")?.into())?,
        lease,
        failure,
        scheduled_at: present(row, "scheduled_at")?,
    })
}
