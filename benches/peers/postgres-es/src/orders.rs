//! Orders in cqrs-es, over whichever of its repositories: the framework runs the commands, and replays read the log.

use std::sync::{Arc, Mutex};

use annals_contest::{Order, OrderCommand, OrderEvent, Orders, Summary, Turnovers, Work, async_trait};
use anyhow::{Result, anyhow, bail, ensure};
use cqrs_es::{
    Aggregate as _, AggregateContext as _, AggregateError, CqrsFramework, DomainEvent as _, EventEnvelope,
    EventStore as _, Query,
    persist::{PersistedEventRepository, PersistedEventStore, QueryReplay, SerializedEvent, ViewRepository},
};
use sqlx::{Database, Executor, FromRow, IntoArguments, Pool};
use uuid::Uuid;

use crate::{
    order::{Happened, OrderAggregate},
    summaries::{self, OrderView, TABLE},
};

/// How often a command is run again that met another.
const TRIES: u32 = 1_000;

/// The framework, its store and its repository, over one pool.
///
/// The store is asked where no command is run: the framework gives its own to nobody.
pub(crate) struct CqrsOrders<D: Database, R: PersistedEventRepository, V> {
    framework: CqrsFramework<OrderAggregate, PersistedEventStore<R, OrderAggregate>>,
    store: PersistedEventStore<R, OrderAggregate>,
    repository: R,
    new_repository: fn(Pool<D>) -> R,
    new_views: fn(&str, Pool<D>) -> V,
    pool: Pool<D>,
}

impl<D: Database, R: PersistedEventRepository, V> CqrsOrders<D, R, V> {
    pub(crate) fn new(pool: Pool<D>, new_repository: fn(Pool<D>) -> R, new_views: fn(&str, Pool<D>) -> V) -> Self {
        let store = || PersistedEventStore::new_event_store(new_repository(pool.clone()));
        Self {
            framework: CqrsFramework::new(store(), Vec::new(), ()),
            store: store(),
            repository: new_repository(pool.clone()),
            new_repository,
            new_views,
            pool,
        }
    }
}

/// What it takes no part in, and why.
pub(crate) const fn abstains(work: Work) -> Option<&'static str> {
    if matches!(work, Work::Beside) {
        Some("its queries are run by whoever writes, none follows the log")
    } else {
        None
    }
}

#[async_trait]
impl<D, R, V> Orders for CqrsOrders<D, R, V>
where
    D: Database,
    R: PersistedEventRepository + 'static,
    V: ViewRepository<OrderView, OrderAggregate> + 'static,
    for<'c> &'c Pool<D>: Executor<'c, Database = D>,
    for<'q> D::Arguments<'q>: IntoArguments<'q, D>,
    (String,): for<'r> FromRow<'r, D::Row>,
{
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        let id = order.to_string();
        for _ in 0..TRIES {
            match self.framework.execute(&id, command.clone()).await {
                Err(AggregateError::AggregateConflict) => {}
                ended => return Ok(ended?),
            }
        }
        bail!("a command met another {TRIES} times")
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        Ok(self.repository.persist::<OrderAggregate>(&serialized(order, history)?, None).await?)
    }

    /// The repository writes what it is handed in one transaction, whichever aggregates the events are of.
    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        let mut events = Vec::new();
        for (order, history) in histories {
            events.append(&mut serialized(*order, history)?);
        }
        Ok(self.repository.persist::<OrderAggregate>(&events, None).await?)
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        let mut context = self.store.load_aggregate(&order.to_string()).await?;
        Ok(std::mem::take(&mut context.aggregate().0))
    }

    async fn read_log(&self) -> Result<Turnovers> {
        let fold = Fold::default();
        let (folded, failed) = (Arc::clone(&fold.folded), Arc::new(Mutex::new(None)));
        let mut replay = QueryReplay::new((self.new_repository)(self.pool.clone()), fold);
        let failing = Arc::clone(&failed);
        replay.use_error_handler(Box::new(move |error| {
            if let Ok(mut failed) = failing.lock() {
                *failed = Some(error);
            }
        }));
        replay.replay_all().await?;
        let failure = failed.lock().map_err(|_| anyhow!("a replay panicked"))?.take();
        ensure!(failure.is_none(), "a replay failed: {failure:?}");
        let turnovers = folded.lock().map_err(|_| anyhow!("a query panicked"))?.clone();
        Ok(turnovers)
    }

    /// The views are deleted before, as a replay finds them by their versions.
    async fn rebuild(&self) -> Result<u64> {
        self.pool.execute("DELETE FROM order_summaries").await?;
        let (events, views) = ((self.new_repository)(self.pool.clone()), (self.new_views)(TABLE, self.pool.clone()));
        summaries::replay(events, views).await
    }

    async fn summaries(&self) -> Result<Vec<(Uuid, Summary)>> {
        let views = (self.new_views)(TABLE, self.pool.clone());
        let ids: Vec<(String,)> = sqlx::query_as("SELECT view_id FROM order_summaries").fetch_all(&self.pool).await?;
        let mut summaries = Vec::new();
        for (id,) in ids {
            let view = views.load(&id).await?.ok_or_else(|| anyhow!("there is no view of {id}"))?;
            summaries.push((id.parse()?, view.0));
        }
        Ok(summaries)
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}

/// The query that a replay feeds.
#[derive(Debug, Default)]
struct Fold {
    folded: Arc<Mutex<Turnovers>>,
}

#[async_trait]
impl Query<OrderAggregate> for Fold {
    async fn dispatch(&self, _: &str, events: &[EventEnvelope<OrderAggregate>]) {
        if let Ok(mut folded) = self.folded.lock() {
            events.iter().for_each(|event| folded.add(&event.payload.0));
        }
    }
}

/// The events of a new order as the repository takes them.
fn serialized(order: Uuid, history: &[OrderEvent]) -> Result<Vec<SerializedEvent>> {
    let numbered = history.iter().zip(1..);
    numbered
        .map(|(event, sequence)| {
            let event = Happened(event.clone());
            Ok(SerializedEvent {
                aggregate_id: order.to_string(),
                sequence,
                aggregate_type: OrderAggregate::TYPE.to_owned(),
                event_type: event.event_type(),
                event_version: event.event_version(),
                payload: serde_json::to_value(event)?,
                metadata: serde_json::Value::Object(serde_json::Map::new()),
            })
        })
        .collect()
}
