//! The global log, up to the horizon.

use futures_util::TryStreamExt as _;
use sqlx::PgConnection;

use super::{
    classify::classify,
    row::{self, column, named},
    statement::{READ_HEAD, READ_HOLDER, READ_HORIZON, READ_LAST_POSITION, READ_LOG},
};
use crate::store::{
    Error, EventRef, Fault, LogQuery, LogRead, Position, Selection, Trail, Visit, from_column, to_column,
};

/// The most rows that are read in the hope that they have no holes, before the horizon is asked for.
const DENSE_EVENTS: u64 = 512;

/// Tells how far the log can be read, and who holds it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Up to this position nothing can appear any more.
    pub position: Position,
    /// The last position drawn.
    ///
    /// The same as `position` where nobody holds the horizon back.
    pub last_drawn: Position,
    /// The server's process whose transaction is the oldest under way.
    ///
    /// `None` where there is none, or it is a prepared transaction.
    pub held_by: Option<i32>,
}

/// Reads the horizon, by two statements in this order: see `read_horizon.sql`.
async fn horizon(connection: &mut PgConnection) -> Result<Position, Error> {
    let last_drawn = last_position(connection).await?;
    let row = sqlx::query(READ_HORIZON).bind(last_drawn).fetch_one(connection).await.map_err(classify)?;
    // Below zero where a bound was taken from a sequence that was set back since: nothing can be read then.
    Ok(Position::new(column::<i64>(&row, 0)?.max(0).unsigned_abs()))
}

/// The horizon, and who holds it back.
pub(super) async fn watch(connection: &mut PgConnection) -> Result<Horizon, Error> {
    let drawn = last_position(&mut *connection).await?;
    let row = sqlx::query(READ_HOLDER).bind(drawn).fetch_optional(connection).await.map_err(classify)?;
    let last_drawn = Position::new(from_column(drawn)?);
    let Some(row) = row else {
        return Ok(Horizon { position: last_drawn, last_drawn, held_by: None });
    };
    let bound = Position::new(named::<i64>(&row, "bound")?.max(0).unsigned_abs());
    Ok(Horizon { position: bound.min(last_drawn), last_drawn, held_by: named(&row, "pid")? })
}

async fn last_position(connection: &mut PgConnection) -> Result<i64, Error> {
    let row = sqlx::query(READ_LAST_POSITION).fetch_one(connection).await.map_err(classify)?;
    if named(&row, "is_standby")? {
        let detail = "the order of the log is known to the primary alone: on a standby no locks can be seen".to_owned();
        return Err(Error::Backend { fault: Fault::ReadOnly, detail: Some(detail), source: None });
    }
    named(&row, "last_position")
}

/// The last event that a reader may see.
pub(super) async fn head(connection: &mut PgConnection) -> Result<Position, Error> {
    let horizon = horizon(connection).await?;
    head_up_to(connection, horizon).await
}

async fn head_up_to(connection: &mut PgConnection, horizon: Position) -> Result<Position, Error> {
    let row = sqlx::query(READ_HEAD).bind(to_column(horizon.get())).fetch_one(connection).await.map_err(classify)?;
    Ok(row::position(column(&row, 0)?)?.unwrap_or(Position::START))
}

/// Visits events up to the horizon.
///
/// Only a hole needs the horizon: rows that run on from the cursor cannot hide anything. At a hole it is asked for, and the
/// rows are read *again* from there: those in hand are older than it.
pub(super) async fn read(connection: &mut PgConnection, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
    let mut walk = Walk { trail: Trail::default(), last: query.after, visited: 0, visit };
    let is_whole = query.selection == Selection::all();
    if is_whole {
        let most = query.limit.map_or(DENSE_EVENTS, |limit| limit.min(DENSE_EVENTS));
        let end = walk.dense(connection, query, most).await?;
        if end == End::OfLog || query.limit.is_some_and(|limit| walk.visited >= limit) {
            return Ok(LogRead { position: walk.last });
        }
    }
    let horizon = horizon(connection).await?;
    let limit = query.limit.map(|limit| limit - walk.visited.min(limit));
    let read = walk.up_to(connection, query, horizon, limit).await?;
    let is_full = limit.is_some_and(|limit| read >= limit);
    // A cursor is the position of an event, never the horizon: that one may name a place that a crash takes back.
    if !is_whole && !is_full {
        walk.last = walk.last.max(head_up_to(connection, horizon).await?);
    }
    Ok(LogRead { position: walk.last })
}

/// Where a walk over rows without holes has ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    OfLog,
    AtHole,
    AtLimit,
}

/// A walk along the log.
struct Walk<'v> {
    trail: Trail,
    last: Position,
    visited: u64,
    visit: Visit<'v>,
}

impl Walk<'_> {
    fn step(&mut self, event: EventRef<'_>) -> Result<(), Error> {
        (self.last, self.visited) = (event.position, self.visited + 1);
        (self.visit)(event)
    }

    /// Visits rows for as long as their positions run on from the cursor.
    async fn dense(&mut self, connection: &mut PgConnection, query: &LogQuery, most: u64) -> Result<End, Error> {
        let mut rows = statement(query, i64::MAX, Some(most)).fetch(connection);
        let mut read = 0;
        while let Some(row) = rows.try_next().await.map_err(classify)? {
            let event = row::event(&row)?;
            if event.position.get() != self.last.get() + 1 {
                return Ok(End::AtHole);
            }
            self.trail.follow_interleaved(&event)?;
            self.step(event)?;
            read += 1;
        }
        Ok(if read < most { End::OfLog } else { End::AtLimit })
    }

    /// Visits rows from the cursor up to the horizon, with one streaming query, and returns how many.
    async fn up_to(
        &mut self,
        connection: &mut PgConnection,
        query: &LogQuery,
        horizon: Position,
        limit: Option<u64>,
    ) -> Result<u64, Error> {
        let before = self.visited;
        let from_here = LogQuery { after: self.last, ..query.clone() };
        let mut rows = statement(&from_here, to_column(horizon.get()), limit).fetch(connection);
        while let Some(row) = rows.try_next().await.map_err(classify)? {
            let event = row::event(&row)?;
            // With some types left out an aggregate's events no longer run on.
            if query.selection.event_types.is_none() {
                self.trail.follow_interleaved(&event)?;
            }
            self.step(event)?;
        }
        Ok(self.visited - before)
    }
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn statement(query: &LogQuery, up_to: i64, limit: Option<u64>) -> Statement<'_> {
    sqlx::query(READ_LOG)
        .bind(to_column(query.after.get()))
        .bind(up_to)
        .bind(query.selection.aggregate_types.as_deref())
        .bind(query.selection.event_types.as_deref())
        .bind(limit.map(to_column))
}
