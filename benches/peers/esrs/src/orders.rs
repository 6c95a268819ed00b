//! Orders in esrs: its manager runs the commands, its store takes histories and streams the log.

use std::sync::{Arc, atomic::Ordering};

use annals_contest::{Order, OrderCommand, OrderEvent, Orders, Summary, SummaryRow, Turnovers, async_trait};
use anyhow::{Context as _, Result, bail};
use esrs::{
    AggregateState,
    manager::AggregateManager,
    rebuilder::{PgRebuilder, Rebuilder as _},
    store::{
        EventStore as _,
        postgres::{PgStore, PgStoreBuilder, PgStoreError},
    },
};
use futures::TryStreamExt as _;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    order::OrderAggregate,
    summaries::{CREATE_TABLE, SELECT_SUMMARIES, Summaries},
};

/// How often a command is run again that met another.
const TRIES: u32 = 1_000;

/// The manager, its store, and the pool of both.
pub(crate) struct EsrsOrders {
    manager: AggregateManager<PgStore<OrderAggregate>>,
    store: PgStore<OrderAggregate>,
    pool: PgPool,
}

impl EsrsOrders {
    /// Makes its table where there is none.
    pub(crate) async fn new(pool: PgPool) -> Result<Self> {
        let store = PgStoreBuilder::new(pool.clone()).try_build().await?;
        Ok(Self { manager: AggregateManager::new(store.clone()), store, pool })
    }
}

#[async_trait]
impl Orders for EsrsOrders {
    /// Of its two strategies the optimistic one: no round trips for a lock.
    ///
    /// The lock takes a connection and the load behind it another, so as many tasks as there are connections would have
    /// them all, and wait for one more.
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        for _ in 0..TRIES {
            let state = self.manager.load(order).await?.unwrap_or_else(|| AggregateState::with_id(order));
            match self.manager.handle_command(state, command.clone()).await {
                Err(error) if is_conflict(&error) => {}
                ended => {
                    ended??;
                    return Ok(());
                }
            }
        }
        bail!("a command met another {TRIES} times")
    }

    /// All in one transaction; the store has none that spans aggregates, so many histories are written one by one.
    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        self.store.persist(&mut AggregateState::with_id(order), history.to_vec()).await?;
        Ok(())
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        let state = self.manager.load(order).await?;
        Ok(state.with_context(|| format!("order {order} has no events"))?.into_inner())
    }

    async fn read_log(&self) -> Result<Turnovers> {
        let mut folded = Turnovers::default();
        let mut events = self.store.stream_events(&self.pool);
        while let Some(event) = events.try_next().await? {
            folded.add(event.payload());
        }
        Ok(folded)
    }

    /// Order by order, each in a transaction: its other way, all at once, deletes a row before each event.
    async fn rebuild(&self) -> Result<u64> {
        let summaries = Summaries::default();
        let applied = Arc::clone(&summaries.applied);
        sqlx::query(CREATE_TABLE).execute(&self.pool).await?;
        let rebuilder =
            PgRebuilder::<OrderAggregate>::new().with_transactional_event_handlers(vec![Box::new(summaries)]);
        rebuilder.by_aggregate_id(self.pool.clone()).await?;
        Ok(applied.load(Ordering::Relaxed))
    }

    async fn summaries(&self) -> Result<Vec<(Uuid, Summary)>> {
        let rows: Vec<SummaryRow> = sqlx::query_as(SELECT_SUMMARIES).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(Summary::of_row).collect())
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}

/// Whether another has written the next event of the order: the store hands on what its unique index says.
fn is_conflict(error: &PgStoreError) -> bool {
    matches!(error, PgStoreError::Sqlx(sqlx::Error::Database(error)) if error.is_unique_violation())
}
