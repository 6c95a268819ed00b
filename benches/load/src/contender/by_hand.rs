//! What one would write without a library: sqlx, a table of events, a transaction per command.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{
    Row as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use super::{Contender, Orders};
use crate::{
    order::{Order, OrderCommand, OrderEvent},
    place::Place,
    work::Work,
};

const CREATE_TABLE: &str = "
    CREATE TABLE events (
        id           INTEGER PRIMARY KEY,
        aggregate_id BLOB    NOT NULL,
        sequence     INTEGER NOT NULL,
        event_type   TEXT    NOT NULL,
        payload      TEXT    NOT NULL,
        recorded_at  INTEGER NOT NULL DEFAULT (unixepoch()),
        UNIQUE (aggregate_id, sequence)
    ) STRICT";

const SELECT_EVENTS: &str = "SELECT event_type, payload FROM events WHERE aggregate_id = ? ORDER BY sequence";

const INSERT_EVENT: &str = "INSERT INTO events (aggregate_id, sequence, event_type, payload) VALUES (?, ?, ?, ?)";

/// How often a command that met another is run again.
const ATTEMPTS: u32 = 100;

/// A pool of this many connections, all of which read and write.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByHand {
    pub(super) connections: u32,
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

    fn abstains(&self, work: Work) -> Option<&'static str> {
        matches!(work, Work::Load { .. } if self.connections == 1).then_some("one task loads on one connection anyway")
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let pool = pool(&place.directory()?.join("by_hand.db"), self.connections).await?;
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

    async fn load(&self, order: Uuid) -> Result<Order> {
        let mut connection = self.pool.acquire().await?;
        Ok(fold(&mut connection, SELECT_EVENTS, order).await?.0)
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
