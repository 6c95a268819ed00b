//! What one would write without a library, on PostgreSQL: a SELECT and one INSERT per command, and no transaction.
//!
//! The UNIQUE constraint is the version check, so nothing has to be locked. And the limit: the INSERT alone.

use std::sync::{Arc, Mutex};

use annals_contest::{
    Contender, Engine, Order, OrderCommand, OrderEvent, Orders, Place, Seen, Summary, SummaryRow, Turnovers, Work,
    async_trait,
};
use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, PgConnection, PgPool, Row as _, postgres::PgPoolOptions};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    BASELINE,
    by_hand::{follow, newer, rows_of},
    summaries::{SELECT_SUMMARIES, Shape, rebuild_on_postgres},
};

/// `json` and not `jsonb`: it is written faster, and annals has it too.
const CREATE_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS events (
        id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        aggregate_id uuid        NOT NULL,
        sequence     bigint      NOT NULL,
        event_type   text        NOT NULL,
        payload      json        NOT NULL,
        recorded_at  timestamptz NOT NULL DEFAULT now(),
        UNIQUE (aggregate_id, sequence)
    )";

const SELECT_EVENTS: &str = "SELECT event_type, payload::text FROM events WHERE aggregate_id = $1 ORDER BY sequence";

const SELECT_LOG: &str = "SELECT event_type, payload::text FROM events ORDER BY id";

const SELECT_NEWER: &str =
    "SELECT id, aggregate_id, event_type, payload::text FROM events WHERE id > $1 ORDER BY id LIMIT 1000";

const INSERT_EVENTS: &str = "
    INSERT INTO events (aggregate_id, sequence, event_type, payload)
    SELECT aggregate_id, sequence, event_type, payload::json
    FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) AS u (aggregate_id, sequence, event_type, payload)";

const INSERT_EVENT: &str =
    "INSERT INTO events (aggregate_id, sequence, event_type, payload) VALUES ($1, $2, $3, $4::json)";

/// How often a command that met another is run again.
const ATTEMPTS: u32 = 1_000;

/// How many connections the baseline has: 4 are ahead of it with one task, 64 with 256, neither in between.
const BASELINE_CONNECTIONS: u32 = 16;

/// How many connections the limit has: with more of them it is not faster.
const CONNECTIONS_OF_THE_LIMIT: u32 = 16;

/// A pool of this many connections, tuned: one is taken once for a command, and not tested before.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByHandOnPostgres {
    pub(super) connections: u32,
    /// Whether the pool is one of our own. sqlx's pings a connection that is given back, whatever it is told: here the
    /// ping costs the caller nothing, but the server a round trip.
    pub(super) without_pings: bool,
}

/// A prepared INSERT and a commit per event. Nothing is read, checked or decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct InsertEach;

#[async_trait]
impl Contender for ByHandOnPostgres {
    fn name(&self) -> String {
        match self.connections {
            connections if self.without_pings => format!("by hand, {connections} connections, no pings"),
            BASELINE_CONNECTIONS => BASELINE.to_owned(),
            connections => format!("by hand, {connections} connections"),
        }
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        let is_first = self.name() == BASELINE;
        match work {
            Work::Load { .. } if !is_first => Some("one task loads on one connection anyway"),
            work if super::is_same_for_variants(work) && !is_first => Some(super::AS_THE_FIRST),
            _ => None,
        }
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let url = place.url()?;
        if !self.without_pings {
            return Ok(Arc::new(Opened { pool: pool(url, self.connections).await?, kept: None, is_checked: true }));
        }
        let kept = Some(Kept::connect(url, self.connections).await?);
        Ok(Arc::new(Opened { pool: pool(url, 1).await?, kept, is_checked: true }))
    }
}

#[async_trait]
impl Contender for InsertEach {
    fn name(&self) -> String {
        "limit: INSERT each".to_owned()
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        super::raw::abstains(work)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let pool = pool(place.url()?, CONNECTIONS_OF_THE_LIMIT).await?;
        Ok(Arc::new(Opened { pool, kept: None, is_checked: false }))
    }
}

/// All connections are made at once, so that none is made while the clock runs.
async fn pool(url: &str, connections: u32) -> Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect(url)
        .await?;
    sqlx::query(CREATE_TABLE).execute(&pool).await?;
    Ok(pool)
}

/// Connections that are given from hand to hand, without a word to the server.
struct Kept {
    idle: Mutex<Vec<PgConnection>>,
    permits: Semaphore,
}

impl Kept {
    async fn connect(url: &str, connections: u32) -> Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..connections {
            idle.push(PgConnection::connect(url).await?);
        }
        Ok(Self { permits: Semaphore::new(idle.len()), idle: Mutex::new(idle) })
    }
}

struct Opened {
    pool: PgPool,
    kept: Option<Kept>,
    /// Whether the stream is read and the command decided.
    is_checked: bool,
}

#[async_trait]
impl Orders for Opened {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        if !self.is_checked {
            let event = OrderEvent::of(command);
            return insert(&mut *self.pool.acquire().await?, order, place_of(&event), &event).await;
        }
        for attempt in 1.. {
            match self.attempt(order, command).await {
                Err(error) if attempt < ATTEMPTS && is_conflict(&error) => {}
                ended => return ended,
            }
        }
        Ok(())
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        if !self.is_checked {
            bail!("a limit has no histories");
        }
        let mut transaction = self.pool.begin().await?;
        for (sequence, event) in (1..).zip(history) {
            insert(&mut transaction, order, sequence, event).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        let encoded: Result<Vec<_>, _> = rows_of(histories).map(|(_, _, event)| event.encode()).collect();
        let (event_types, payloads): (Vec<_>, Vec<_>) = encoded?.into_iter().unzip();
        sqlx::query(INSERT_EVENTS)
            .bind(rows_of(histories).map(|(order, _, _)| order).collect::<Vec<_>>())
            .bind(rows_of(histories).map(|(_, sequence, _)| sequence).collect::<Vec<_>>())
            .bind(event_types)
            .bind(payloads)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        Ok(fold(&mut *self.pool.acquire().await?, order).await?.0)
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
        rebuild_on_postgres(&self.pool, Shape::Each).await
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
        let Some(kept) = &self.kept else {
            return attempt_on(&mut *self.pool.acquire().await?, order, command).await;
        };
        let _permit = kept.permits.acquire().await?;
        let taken = kept.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut connection = taken.context("there is a connection for each permit")?;
        let ended = attempt_on(&mut connection, order, command).await;
        kept.idle.lock().map_err(|_| anyhow!("a task has panicked"))?.push(connection);
        ended
    }
}

async fn attempt_on(connection: &mut PgConnection, order: Uuid, command: &OrderCommand) -> Result<()> {
    let (state, version) = fold(connection, order).await?;
    let event = state.decide(command)?;
    insert(connection, order, version + 1, &event).await
}

/// The place of an event in the life of an order: the limit knows it without a look.
const fn place_of(event: &OrderEvent) -> i64 {
    match event {
        OrderEvent::Placed(_) => 1,
        OrderEvent::LineAdded(_) => 2,
        OrderEvent::Paid(_) => 3,
        OrderEvent::Shipped(_) => 4,
    }
}

/// Reads the events of an order and folds them. Gives the state and how many they were.
async fn fold(connection: &mut PgConnection, order: Uuid) -> Result<(Order, i64)> {
    let mut rows = sqlx::query(SELECT_EVENTS).bind(order).fetch(connection);
    let (mut state, mut version) = (Order::default(), 0);
    while let Some(row) = rows.try_next().await? {
        state.evolve(&OrderEvent::decode(row.try_get(0)?, row.try_get(1)?)?);
        version += 1;
    }
    Ok((state, version))
}

async fn insert(connection: &mut PgConnection, order: Uuid, sequence: i64, event: &OrderEvent) -> Result<()> {
    let (event_type, payload) = event.encode()?;
    sqlx::query(INSERT_EVENT).bind(order).bind(sequence).bind(event_type).bind(payload).execute(connection).await?;
    Ok(())
}

fn is_conflict(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    error.is_some_and(|error| error.is_unique_violation())
}
