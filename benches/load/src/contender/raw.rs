//! The limits: events are inserted, and nothing is read, checked or decided.

use std::{path::Path, sync::Arc};

use annals_contest::{Contender, Engine, Order, OrderCommand, OrderEvent, Orders, Place, Work, async_trait};
use anyhow::{Context as _, Result, bail};
use sqlx::{SqlStr, SqlitePool};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
};
use uuid::Uuid;

use super::by_hand;

const CREATE_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS events (
        id           INTEGER PRIMARY KEY,
        aggregate_id BLOB    NOT NULL,
        event_type   TEXT    NOT NULL,
        payload      TEXT    NOT NULL
    ) STRICT";

const SELECT_EVENTS: &str = "SELECT event_type, payload FROM events WHERE aggregate_id = ? ORDER BY id";

const INSERT_EVENT: &str = "INSERT INTO events (aggregate_id, event_type, payload) VALUES (?, ?, ?)";

/// A prepared INSERT and a commit per event.
#[derive(Debug, Clone, Copy)]
pub(super) struct InsertEach;

/// A commit for the events of all tasks that wait, with multi-row INSERTs.
#[derive(Debug, Clone, Copy)]
pub(super) struct InsertWaiting;

#[async_trait]
impl Contender for InsertEach {
    fn name(&self) -> String {
        "limit: INSERT each".to_owned()
    }

    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        abstains(work)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        Ok(Arc::new(Each { pool: pool(place.directory()?).await? }))
    }
}

#[async_trait]
impl Contender for InsertWaiting {
    fn name(&self) -> String {
        "limit: INSERT all that wait".to_owned()
    }

    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        abstains(work)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let pool = pool(place.directory()?).await?;
        let (waiting, arriving) = mpsc::unbounded_channel();
        tokio::spawn(write_all_that_wait(pool.clone(), arriving));
        Ok(Arc::new(Together { pool, waiting }))
    }
}

/// Why a bare INSERT takes no part.
pub(super) const fn abstains(work: Work) -> Option<&'static str> {
    match work {
        Work::New { .. } | Work::Lifecycle { .. } => None,
        Work::Together { .. } => Some("it waits for nobody, and another process is another task"),
        Work::Contended => Some("without versions there is nothing to contend for"),
        Work::Bulk => Some("it has no histories"),
        Work::Load { .. } | Work::Among { .. } | Work::Log { .. } | Work::Rebuild { .. } => Some("it only writes"),
        Work::LostReply | Work::Beside => Some("it decides nothing and follows nothing"),
    }
}

async fn pool(directory: &Path) -> Result<SqlitePool> {
    let pool = by_hand::pool(&directory.join("raw.db"), 1).await?;
    sqlx::query(CREATE_TABLE).execute(&pool).await?;
    Ok(pool)
}

struct Each {
    pool: SqlitePool,
}

#[async_trait]
impl Orders for Each {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        let (event_type, payload) = OrderEvent::of(command).encode()?;
        sqlx::query(INSERT_EVENT).bind(order).bind(event_type).bind(payload).execute(&self.pool).await?;
        Ok(())
    }

    async fn fill(&self, _: Uuid, _: &[OrderEvent]) -> Result<()> {
        bail!("a limit has no histories")
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        load(&self.pool, order).await
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}

/// Reads without an index: to see whether the events are there, not to measure it.
async fn load(pool: &SqlitePool, order: Uuid) -> Result<Order> {
    let mut connection = pool.acquire().await?;
    Ok(by_hand::fold(&mut connection, SELECT_EVENTS, order).await?.0)
}

struct Together {
    pool: SqlitePool,
    waiting: mpsc::UnboundedSender<Waiting>,
}

struct Waiting {
    order: Uuid,
    event_type: &'static str,
    payload: String,
    is_written: oneshot::Sender<Result<(), Arc<sqlx::Error>>>,
}

#[async_trait]
impl Orders for Together {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        let (event_type, payload) = OrderEvent::of(command).encode()?;
        let (is_written, answer) = oneshot::channel();
        self.waiting.send(Waiting { order, event_type, payload, is_written }).ok().context("the writer is gone")?;
        Ok(answer.await??)
    }

    async fn fill(&self, _: Uuid, _: &[OrderEvent]) -> Result<()> {
        bail!("a limit has no histories")
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        load(&self.pool, order).await
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}

/// The most rows of one commit.
const COMMIT_ROWS: usize = 512;

async fn write_all_that_wait(pool: SqlitePool, mut arriving: mpsc::UnboundedReceiver<Waiting>) {
    let inserts = Inserts::new();
    let mut batch = Vec::with_capacity(COMMIT_ROWS);
    loop {
        // Those who were just answered come back together.
        for _ in 0..3 {
            yield_now().await;
        }
        if arriving.recv_many(&mut batch, COMMIT_ROWS).await == 0 {
            return;
        }
        let written = inserts.write(&pool, &batch).await.map_err(Arc::new);
        for waiting in batch.drain(..) {
            waiting.is_written.send(written.clone()).ok();
        }
    }
}

/// Statements for a few numbers of rows, so that each stays prepared.
struct Inserts([(usize, SqlStr); 4]);

impl Inserts {
    fn new() -> Self {
        Self([64, 16, 4, 1].map(|rows| (rows, by_hand::many_rows(INSERT_EVENT, "(?, ?, ?)", rows))))
    }

    async fn write(&self, pool: &SqlitePool, mut batch: &[Waiting]) -> Result<(), sqlx::Error> {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        while let Some((rows, sql)) = self.0.iter().find(|(rows, _)| *rows <= batch.len()) {
            let (chunk, rest) = batch.split_at(*rows);
            let mut query = sqlx::query(sql.clone());
            for waiting in chunk {
                query = query.bind(waiting.order).bind(waiting.event_type).bind(waiting.payload.as_str());
            }
            query.execute(&mut *transaction).await?;
            batch = rest;
        }
        transaction.commit().await
    }
}
