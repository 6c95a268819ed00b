//! The global log, up to the horizon.

use std::{fmt, time::Instant};

use sqlx::{
    Connection as _, PgConnection, Postgres, Transaction,
    postgres::{PgArguments, PgRow},
};

use super::{
    classify::{next_row, reply},
    group::{self, Group},
    row::{self, column, named},
    stall::{Seen, Stall},
    statement::{
        COUNT_AFTER, READ_HEAD, READ_HOLDER, READ_HORIZON, READ_LAST_POSITION, READ_LOG, READ_LOG_SELECTED, READ_MARK,
    },
};
use crate::store::{
    Cursor, Error, EventMark, EventRef, Fault, LogQuery, LogRead, Position, Selection, Trail, Visit, from_column,
    telemetry, to_column,
};

/// The most rows that are read in the hope that they have no holes, before the horizon is asked for.
const DENSE_EVENTS: u64 = 64;

/// The most events that one statement reads.
///
/// Of a read that is broken off the rest of its statement has to be read clear; and while it runs, its snapshot keeps the
/// server from tidying up after others. Neither grows with the log.
const PAGE_EVENTS: u64 = 16_384;

/// How far a log is read row by row after an event that is too large for a group.
///
/// Where such events are many, statements are not read in vain; where they are few, most of the log comes in groups.
const PLAIN_POSITIONS: u64 = 4 * PAGE_EVENTS;

/// The most positions that one statement looks through for what was selected.
///
/// A row is waited for only so long, however few there are.
const PAGE_POSITIONS: u64 = 1 << 20;

/// What the statements that belong together with a horizon begin with behind a pooler.
///
/// There each statement of its own may go to another connection, after a fail-over to another server, and a horizon holds
/// for the server it was read from. READ COMMITTED: each statement in it still sees what was committed before it.
const PINNED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";

/// Tells how far the log can be read, and who holds it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Horizon {
    /// Up to this position nothing can appear any more.
    ///
    /// Not a cursor: there need not be an event at it, and a crash of the server can have it drawn again.
    pub position: Position,
    /// The last position drawn.
    ///
    /// The same as `position` where nobody holds the horizon back.
    pub last_drawn: Position,
    /// The oldest transaction under way that has written events.
    ///
    /// `None` where there is none.
    pub held_by: Option<Holder>,
}

/// Names a transaction that holds the horizon back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// One of a connection, by the server's process id: see `pg_stat_activity`.
    Process {
        /// The process id.
        pid: i32,
    },
    /// One that was prepared and belongs to no connection: see `pg_prepared_xacts`.
    Prepared {
        /// The name it was prepared under; `None` where it has ended meanwhile.
        name: Option<String>,
    },
}

impl Holder {
    /// The server's process id; `None` for a prepared transaction, which has none.
    #[must_use]
    pub const fn pid(&self) -> Option<i32> {
        match self {
            Self::Process { pid } => Some(*pid),
            Self::Prepared { .. } => None,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid } => write!(f, "process {pid}"),
            Self::Prepared { name: Some(name) } => write!(f, "prepared transaction {name:?}"),
            Self::Prepared { name: None } => f.write_str("a prepared transaction"),
        }
    }
}

/// How the log is looked at.
#[derive(Debug)]
pub(super) struct Sight {
    /// Whether a pooler stands in between.
    pub(super) is_pooled: bool,
    pub(super) stall: Stall,
}

impl Sight {
    /// Reads the horizon, by two statements in this order: see `read_horizon.sql`.
    ///
    /// Every reading counts for what is said of a horizon that stands still.
    async fn horizon(&self, connection: &mut PgConnection) -> Result<Position, Error> {
        let last_drawn = last_position(connection).await?;
        let row = reply(sqlx::query(READ_HORIZON).bind(last_drawn).fetch_one(&mut *connection)).await?;
        let horizon = drawn(column(&row, 0)?);
        match self.stall.observe(horizon, drawn(last_drawn), Instant::now()) {
            Seen::Moving | Seen::Standing(None) => {}
            Seen::Standing(Some(time)) => telemetry::horizon_still_stalled(time),
            Seen::Stalled(time) => {
                // Who it is can have changed since: then the horizon moves, and nothing is to be said.
                if let Horizon { position, held_by: Some(holder), .. } = watch(connection).await?
                    && position == horizon
                {
                    telemetry::horizon_stalled(horizon, time, holder.pid(), &holder);
                }
            }
            Seen::GoesOn(time) => telemetry::horizon_goes_on(horizon, time),
        }
        Ok(horizon)
    }

    /// The last event that a reader may see.
    pub(super) async fn head(&self, connection: &mut PgConnection) -> Result<Position, Error> {
        if !self.is_pooled {
            return self.head_here(connection).await;
        }
        let mut pinned = reply(connection.begin_with(PINNED)).await?;
        let head = self.head_here(&mut pinned).await?;
        release(pinned).await;
        Ok(head)
    }

    async fn head_here(&self, connection: &mut PgConnection) -> Result<Position, Error> {
        let horizon = self.horizon(connection).await?;
        head_up_to(connection, horizon).await
    }

    /// Counts the events after a position that a reader may see: so many at the most.
    pub(super) async fn count_after(
        &self,
        connection: &mut PgConnection,
        position: Position,
        most: u64,
    ) -> Result<u64, Error> {
        if !self.is_pooled {
            let horizon = self.horizon(connection).await?;
            return count_between(connection, (position, horizon), most).await;
        }
        let mut pinned = reply(connection.begin_with(PINNED)).await?;
        let horizon = self.horizon(&mut pinned).await?;
        let counted = count_between(&mut pinned, (position, horizon), most).await?;
        release(pinned).await;
        Ok(counted)
    }

    /// Visits events up to the horizon.
    ///
    /// Only a hole needs the horizon: rows that run on from the cursor cannot hide anything. At a hole it is asked for, and
    /// the rows are read *again* from there: those in hand are older than it. A cursor beyond the last position finds
    /// nothing and stays: that a log was set back is found by whoever knows which event the cursor stood for.
    pub(super) async fn read(
        &self,
        connection: &mut PgConnection,
        query: &LogQuery,
        visit: Visit<'_>,
    ) -> Result<LogRead, Error> {
        let last = Cursor { position: query.after, event: None };
        let mut walk = Walk { trail: Trail::default(), last, visited: 0, plain_up_to: 0, visit };
        // A cursor is known to the server it is asked of, and behind a pooler that is the same one for one transaction.
        if !(self.is_pooled && query.after_event.is_some()) {
            recognise(connection, query).await?;
            if let Some(read) = walk.dense_first(connection, query).await? {
                return Ok(read);
            }
        }
        if !self.is_pooled {
            return self.read_on(connection, query, walk).await;
        }
        let mut pinned = reply(connection.begin_with(PINNED)).await?;
        recognise(&mut pinned, query).await?;
        let read = self.read_on(&mut pinned, query, walk).await?;
        release(pinned).await;
        Ok(read)
    }

    /// Goes on up to the horizon.
    async fn read_on(
        &self,
        connection: &mut PgConnection,
        query: &LogQuery,
        mut walk: Walk<'_>,
    ) -> Result<LogRead, Error> {
        let horizon = self.horizon(connection).await?;
        let limit = query.limit.map(|limit| limit - walk.visited.min(limit));
        let read = walk.up_to(connection, query, horizon, limit).await?;
        let is_full = limit.is_some_and(|limit| read >= limit);
        // A cursor is the position of an event, never the horizon: that one may name a place that a crash takes back.
        if !is_whole(query) && !is_full {
            let head = head_up_to(connection, horizon).await?;
            if head > walk.last.position {
                walk.last = Cursor { position: head, event: mark(connection, head).await? };
            }
        }
        Ok(walk.read())
    }

    /// The horizon, and who holds it back.
    pub(super) async fn watch(&self, connection: &mut PgConnection) -> Result<Horizon, Error> {
        if !self.is_pooled {
            return watch(connection).await;
        }
        let mut pinned = reply(connection.begin_with(PINNED)).await?;
        let horizon = watch(&mut pinned).await?;
        release(pinned).await;
        Ok(horizon)
    }
}

/// Ends a transaction that has written nothing.
async fn release(pinned: Transaction<'_, Postgres>) {
    // Where it does not arrive the connection is gone, and with it the transaction.
    drop(pinned.rollback().await);
}

fn is_whole(query: &LogQuery) -> bool {
    query.selection == Selection::all()
}

async fn watch(connection: &mut PgConnection) -> Result<Horizon, Error> {
    let last = last_position(&mut *connection).await?;
    let row = reply(sqlx::query(READ_HOLDER).bind(last).fetch_optional(connection)).await?;
    let last_drawn = drawn(last);
    let Some(row) = row else {
        return Ok(Horizon { position: last_drawn, last_drawn, held_by: None });
    };
    let holder = match named(&row, "pid")? {
        Some(pid) => Holder::Process { pid },
        None => Holder::Prepared { name: named(&row, "prepared_as")? },
    };
    Ok(Horizon { position: drawn(named(&row, "bound")?).min(last_drawn), last_drawn, held_by: Some(holder) })
}

/// A position as it was drawn. Below zero where a bound was taken from a sequence that was set back since: nothing can be
/// read then.
fn drawn(position: i64) -> Position {
    Position::new(position.max(0).unsigned_abs())
}

async fn last_position(connection: &mut PgConnection) -> Result<i64, Error> {
    let row = reply(sqlx::query(READ_LAST_POSITION).fetch_one(connection)).await?;
    if named(&row, "is_standby")? {
        let detail = "the order of the log is known to the primary alone: on a standby no locks can be seen".to_owned();
        return Err(Error::Backend { fault: Fault::ReadOnly, detail: Some(detail), source: None });
    }
    named(&row, "last_position")
}

/// Makes sure that the log is still the one in which the query's cursor stands.
async fn recognise(connection: &mut PgConnection, query: &LogQuery) -> Result<(), Error> {
    match &query.after_event {
        Some(event) => event.stands_at(query.after, mark(connection, query.after).await?),
        None => Ok(()),
    }
}

/// By what the event at a position is known; `None` where there is none.
async fn mark(connection: &mut PgConnection, position: Position) -> Result<Option<EventMark>, Error> {
    let row = reply(sqlx::query(READ_MARK).bind(to_column(position.get())).fetch_optional(connection)).await?;
    row.map(|row| row::mark(&row)).transpose()
}

async fn head_up_to(connection: &mut PgConnection, horizon: Position) -> Result<Position, Error> {
    let row = reply(sqlx::query(READ_HEAD).bind(to_column(horizon.get())).fetch_one(connection)).await?;
    Ok(row::position(column(&row, 0)?)?.unwrap_or(Position::START))
}

async fn count_between(
    connection: &mut PgConnection,
    (after, horizon): (Position, Position),
    most: u64,
) -> Result<u64, Error> {
    let count =
        sqlx::query(COUNT_AFTER).bind(to_column(after.get())).bind(to_column(horizon.get())).bind(to_column(most));
    let row = reply(count.fetch_one(connection)).await?;
    from_column(column(&row, 0)?)
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
    last: Cursor,
    visited: u64,
    /// Up to this position groups would not come apart.
    plain_up_to: u64,
    visit: Visit<'v>,
}

impl Walk<'_> {
    fn step(&mut self, event: EventRef<'_>) -> Result<(), Error> {
        (self.last, self.visited) = (Cursor::from(&event), self.visited + 1);
        if event.payload.len().max(event.metadata.len()) > group::TEXT_BYTES {
            self.plain_up_to = event.position.get().saturating_add(PLAIN_POSITIONS);
        }
        (self.visit)(event)
    }

    /// How far it has come, as the answer of a read.
    const fn read(&self) -> LogRead {
        LogRead { position: self.last.position, event: self.last.event }
    }

    /// Visits what can be read without the horizon; the answer, where that was all.
    async fn dense_first(&mut self, connection: &mut PgConnection, query: &LogQuery) -> Result<Option<LogRead>, Error> {
        if !is_whole(query) {
            return Ok(None);
        }
        let most = query.limit.map_or(DENSE_EVENTS, |limit| limit.min(DENSE_EVENTS));
        let end = self.dense(connection, query, most).await?;
        let is_all = end == End::OfLog || query.limit.is_some_and(|limit| self.visited >= limit);
        Ok(is_all.then(|| self.read()))
    }

    /// Visits rows for as long as their positions run on from the cursor.
    async fn dense(&mut self, connection: &mut PgConnection, query: &LogQuery, most: u64) -> Result<End, Error> {
        let mut rows = whole(query.after, Position::new(u64::MAX), most).fetch(connection);
        let mut read = 0;
        while let Some(row) = next_row(&mut rows).await? {
            let event = row::event(&row)?;
            if event.position.get() != self.last.position.get() + 1 {
                return Ok(End::AtHole);
            }
            self.trail.follow_interleaved(&event)?;
            self.step(event)?;
            read += 1;
        }
        Ok(if read < most { End::OfLog } else { End::AtLimit })
    }

    /// Visits rows from the cursor up to the horizon, page by page, and returns how many.
    async fn up_to(
        &mut self,
        connection: &mut PgConnection,
        query: &LogQuery,
        horizon: Position,
        limit: Option<u64>,
    ) -> Result<u64, Error> {
        let before = self.visited;
        // Up to here everything was looked at.
        let mut after = self.last.position;
        while after < horizon {
            let left = limit.map_or(u64::MAX, |limit| limit - (self.visited - before).min(limit));
            let most = left.min(PAGE_EVENTS);
            if most == 0 {
                break;
            }
            let to = page_end(query, after).min(horizon);
            let part = Position::new(after.get().saturating_add(most)).min(to);
            if is_whole(query) && self.come_in_groups(after, part) {
                after = self.groups(connection, (after, part)).await?;
                continue;
            }
            let read = self.page(connection, query, (after, to), most).await?;
            after = match read {
                // A sequence that was set forward leaves more of nothing behind than can be looked through.
                0 if to < horizon => next_after(connection, to, horizon).await?,
                read if read < most => to,
                _ => self.last.position,
            };
        }
        Ok(self.visited - before)
    }

    /// Whether the events between two positions are worth being read in groups.
    fn come_in_groups(&self, after: Position, to: Position) -> bool {
        after.get() >= self.plain_up_to && to.get() - after.get() >= DENSE_EVENTS
    }

    /// Visits the events between two positions, many to a row, and returns up to where everything was looked at.
    async fn groups(
        &mut self,
        connection: &mut PgConnection,
        (after, to): (Position, Position),
    ) -> Result<Position, Error> {
        let (before, mut next) = (self.visited, after);
        let mut rows = group::statement(after, to).fetch(connection);
        while let Some(row) = next_row(&mut rows).await? {
            if !self.group(&row, next)? {
                break;
            }
            next = group::end(next, to);
        }
        if next < to {
            // What does not come apart is read row by row, which names it where it is damaged.
            let looked_at = next.max(self.last.position);
            self.plain_up_to = self.plain_up_to.max(looked_at.get().saturating_add(PAGE_EVENTS));
            return Ok(looked_at);
        }
        // Where most positions are holes there is little to a group.
        if (self.visited - before) * 2 < to.get() - after.get() {
            self.plain_up_to = self.plain_up_to.max(to.get().saturating_add(PLAIN_POSITIONS));
        }
        Ok(to)
    }

    /// Visits the events of a group; `false` where it is not the next one, or does not come apart.
    fn group(&mut self, row: &PgRow, after: Position) -> Result<bool, Error> {
        let Some(group) = Group::of(row, after) else {
            return Ok(false);
        };
        for event in group.events() {
            let Ok(event) = event else {
                return Ok(false);
            };
            self.trail.follow_interleaved(&event)?;
            self.step(event)?;
        }
        Ok(true)
    }

    /// Visits so many rows between two positions at the most, as they come, and returns how many there were.
    async fn page(
        &mut self,
        connection: &mut PgConnection,
        query: &LogQuery,
        (after, to): (Position, Position),
        most: u64,
    ) -> Result<u64, Error> {
        let statement = if is_whole(query) { whole(after, to, most) } else { selected(query, (after, to), most) };
        let (mut rows, mut read) = (statement.fetch(connection), 0);
        while let Some(row) = next_row(&mut rows).await? {
            let event = row::event(&row)?;
            // With some types left out an aggregate's events no longer run on.
            if query.selection.event_types.is_none() {
                self.trail.follow_interleaved(&event)?;
            }
            self.step(event)?;
            read += 1;
        }
        Ok(read)
    }
}

/// How far one statement looks.
fn page_end(query: &LogQuery, after: Position) -> Position {
    let positions = if is_whole(query) { u64::MAX } else { PAGE_POSITIONS };
    Position::new(after.get().saturating_add(positions))
}

/// The place right before the first event after a position; the end, where none is before it.
async fn next_after(connection: &mut PgConnection, after: Position, end: Position) -> Result<Position, Error> {
    let row = reply(whole(after, end, 1).fetch_optional(connection)).await?;
    let Some(row) = row else {
        return Ok(end);
    };
    Ok(Position::new(row::event(&row)?.position.get() - 1))
}

type Statement<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

fn whole<'q>(after: Position, to: Position, most: u64) -> Statement<'q> {
    sqlx::query(READ_LOG).bind(to_column(after.get())).bind(to_column(to.get())).bind(to_column(most))
}

fn selected(query: &LogQuery, (after, to): (Position, Position), most: u64) -> Statement<'_> {
    sqlx::query(READ_LOG_SELECTED)
        .bind(to_column(after.get()))
        .bind(to_column(to.get()))
        .bind(to_column(most))
        .bind(query.selection.aggregate_types.as_deref())
        .bind(query.selection.event_types.as_deref())
}
