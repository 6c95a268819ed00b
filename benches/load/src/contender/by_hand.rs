//! What one would write without a library: sqlx, a table of events, a transaction per command.

use std::{path::Path, sync::Arc, time::Duration};

use annals_contest::{
    Contender, Engine, Order, OrderCommand, OrderEvent, Orders, Place, Seen, Summary, SummaryRow, Turnovers, Work,
    async_trait,
};
use anyhow::Result;
use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _, SqlStr, SqliteConnection,
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use super::summaries::{SELECT_SUMMARIES, Shape, rebuild_on_sqlite};

const CREATE_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS events (
        id           INTEGER PRIMARY KEY,
        aggregate_id BLOB    NOT NULL,
        sequence     INTEGER NOT NULL,
        event_type   TEXT    NOT NULL,
        payload      TEXT    NOT NULL,
        recorded_at  INTEGER NOT NULL DEFAULT (unixepoch()),
        UNIQUE (aggregate_id, sequence)
    ) STRICT";

const SELECT_EVENTS: &str = "SELECT event_type, payload FROM events WHERE aggregate_id = ? ORDER BY sequence";

const SELECT_LOG: &str = "SELECT event_type, payload FROM events ORDER BY id";

const SELECT_NEWER: &str =
    "SELECT id, aggregate_id, event_type, payload FROM events WHERE id > ? ORDER BY id LIMIT 1000";

/// How many rows a statement inserts at once.
const ROWS: usize = 1_000;

/// How often a subscriber looks whether there is something new.
const LOOK: Duration = Duration::from_millis(5);

const INSERT_EVENT: &str = "INSERT INTO events (aggregate_id, sequence, event_type, payload) VALUES (?, ?, ?, ?)";

/// How often a command that met another is run again.
const ATTEMPTS: u32 = 100;

/// A pool of this many connections, all of which read and write.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByHand {
    pub(super) connections: u32,
}

impl ByHand {
    /// The database within its directory.
    pub(super) const FILE: &str = "by_hand.db";
}

#[async_trait]
impl Contender for ByHand {
    fn name(&self) -> String {
        match self.connections {
            4 => super::BASELINE.to_owned(),
            1 => "by hand, 1 connection".to_owned(),
            connections => format!("by hand, {connections} connections"),
        }
    }

    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        let is_first = self.name() == super::BASELINE;
        match work {
            Work::Load { .. } if !is_first => Some("one task loads on one connection anyway"),
            work if super::is_same_for_variants(work) && !is_first => Some(super::AS_THE_FIRST),
            _ => None,
        }
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let pool = pool(&place.directory()?.join(Self::FILE), self.connections).await?;
        sqlx::query(CREATE_TABLE).execute(&pool).await?;
        Ok(Arc::new(Opened { pool }))
    }
}

/// Connections with the settings that annals has.
pub(crate) async fn pool(file: &Path, connections: u32) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5));
    // The first makes the file a WAL by itself: others that come at the same time are told that it is locked.
    options.clone().connect().await?.close().await?;
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// Reads the events that `sql` selects, type and payload, and folds them. Gives the state and how many they were.
pub(super) async fn fold(connection: &mut SqliteConnection, sql: &'static str, order: Uuid) -> Result<(Order, i64)> {
    let mut rows = sqlx::query(sql).bind(order).fetch(connection);
    let (mut state, mut version) = (Order::default(), 0);
    while let Some(row) = rows.try_next().await? {
        state.evolve(&OrderEvent::decode(row.try_get(0)?, row.try_get(1)?)?);
        version += 1;
    }
    Ok((state, version))
}

struct Opened {
    pool: SqlitePool,
}

#[async_trait]
impl Orders for Opened {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        for attempt in 1.. {
            match self.attempt(order, command).await {
                Err(error) if attempt < ATTEMPTS && is_conflict_or_busy(&error) => {}
                ended => return ended,
            }
        }
        Ok(())
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for (sequence, event) in (1..).zip(history) {
            insert(&mut transaction, order, sequence, event).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let rows: Vec<_> = rows_of(histories).collect();
        for chunk in rows.chunks(ROWS) {
            let mut query = sqlx::query(many_rows(INSERT_EVENT, "(?, ?, ?, ?)", chunk.len()));
            for (order, sequence, event) in chunk {
                let (event_type, payload) = event.encode()?;
                query = query.bind(order).bind(sequence).bind(event_type).bind(payload);
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        let mut connection = self.pool.acquire().await?;
        Ok(fold(&mut connection, SELECT_EVENTS, order).await?.0)
    }

    async fn read_log(&self) -> Result<Turnovers> {
        let mut connection = self.pool.acquire().await?;
        let (mut rows, mut turnovers) = (sqlx::query(SELECT_LOG).fetch(&mut *connection), Turnovers::default());
        while let Some(row) = rows.try_next().await? {
            turnovers.add(&OrderEvent::decode(row.try_get(0)?, row.try_get(1)?)?);
        }
        Ok(turnovers)
    }

    async fn rebuild(&self) -> Result<u64> {
        rebuild_on_sqlite(&self.pool, Shape::Each).await
    }

    async fn summaries(&self) -> Result<Vec<(Uuid, Summary)>> {
        let rows: Vec<SummaryRow> = sqlx::query_as(SELECT_SUMMARIES).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(Summary::of_row).collect())
    }

    async fn subscribe(&self, seen: Seen) -> Result<()> {
        let pool = self.pool.clone();
        tokio::spawn(follow(seen, move |last| {
            let pool = pool.clone();
            async move {
                let rows = sqlx::query(SELECT_NEWER).bind(last).fetch_all(&pool).await?;
                rows.iter().map(|row| newer!(row)).collect()
            }
        }));
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}

impl Opened {
    async fn attempt(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let (state, version) = fold(&mut transaction, SELECT_EVENTS, order).await?;
        let event = state.decide(command)?;
        insert(&mut transaction, order, version + 1, &event).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// An event that a subscriber has found: its id, its order, and itself.
pub(super) type Newer = (i64, Uuid, OrderEvent);

/// Takes a row of either database apart: its id, its order, its event's type and payload.
macro_rules! newer {
    ($row:expr) => {
        anyhow::Ok(($row.try_get(0)?, $row.try_get(1)?, OrderEvent::decode($row.try_get(2)?, $row.try_get(3)?)?))
    };
}

pub(super) use newer;

/// Looks again and again for what has a greater id than the last, as one does.
pub(super) async fn follow<F>(seen: Seen, newer_than: impl Fn(i64) -> F + Send) -> Result<()>
where
    F: Future<Output = Result<Vec<Newer>>> + Send,
{
    let mut last = 0;
    loop {
        let events = newer_than(last).await?;
        for (id, order, event) in &events {
            last = *id;
            seen(*order, event);
        }
        if events.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The rows of many histories: order, sequence, event.
pub(super) fn rows_of(histories: &[(Uuid, Vec<OrderEvent>)]) -> impl Iterator<Item = (Uuid, i64, &OrderEvent)> {
    histories.iter().flat_map(|(order, history)| (1..).zip(history).map(|(sequence, event)| (*order, sequence, event)))
}

/// A statement that inserts one row, made to insert so many: `row` is how it ends.
pub(super) fn many_rows(insert: &'static str, row: &'static str, rows: usize) -> SqlStr {
    let head = insert.strip_suffix(row).unwrap_or(insert);
    // Safe: made of constants, no input in it.
    AssertSqlSafe(format!("{head}{}", vec![row; rows].join(", "))).into_sql_str()
}

async fn insert(connection: &mut SqliteConnection, order: Uuid, sequence: i64, event: &OrderEvent) -> Result<()> {
    let (event_type, payload) = event.encode()?;
    sqlx::query(INSERT_EVENT).bind(order).bind(sequence).bind(event_type).bind(payload).execute(connection).await?;
    Ok(())
}

fn is_conflict_or_busy(error: &anyhow::Error) -> bool {
    let Some(error) = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error) else {
        return false;
    };
    // SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT.
    error.is_unique_violation() || matches!(error.code().as_deref(), Some("5" | "517"))
}
