//! Orders in disintegrate: its decision maker runs the commands, its listener follows the log.

use std::{convert::Infallible, time::Duration};

use annals_contest::{Order, OrderCommand, OrderEvent, Orders, Seen, Turnovers, async_trait};
use anyhow::{Result, anyhow, bail};
use disintegrate::{
    DecisionError, EventListener, EventSourcedStateStore, EventStore as _, LoadState as _, NoSnapshot, PersistedEvent,
    StreamItem, StreamQuery, query, serde::json::Json,
};
use disintegrate_postgres::{
    Error, PgDecisionMaker, PgEventId, PgEventListener, PgEventListenerConfig, PgEventStore, decision_maker,
};
use futures::TryStreamExt as _;
use sqlx::PgPool;
use tokio::{
    sync::{Mutex, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::order::{Decide, Happened, OrderState};

/// How often a command is run again that met another.
const TRIES: u32 = 1_000;

/// How often the listener looks where no notification came: its examples have fifty milliseconds.
const POLL: Duration = Duration::from_millis(50);

/// How many events one statement takes, of three binds each: PostgreSQL takes 65,535 binds.
const APPENDED_AT_ONCE: usize = 20_000;

type Store = PgEventStore<Happened, Json<Happened>>;
type Listener = (oneshot::Sender<()>, JoinHandle<Result<(), Error>>);

/// The decision maker and the store, over one pool, and the listeners that run.
pub(crate) struct DisintegrateOrders {
    maker: PgDecisionMaker<Happened, Json<Happened>, NoSnapshot>,
    states: EventSourcedStateStore<PgEventId, Happened, Store, NoSnapshot>,
    store: Store,
    listeners: Mutex<Vec<Listener>>,
    pool: PgPool,
}

impl DisintegrateOrders {
    pub(crate) fn new(pool: PgPool, store: Store) -> Self {
        let maker = decision_maker(store.clone(), NoSnapshot);
        let states = EventSourcedStateStore::new(store.clone(), NoSnapshot);
        Self { maker, states, store, listeners: Mutex::default(), pool }
    }
}

/// Whether a command met another: its own error, or PostgreSQL's where a statement failed before the commit.
fn is_conflict(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    match error.downcast_ref() {
        Some(Error::Concurrency) => true,
        Some(Error::Database(sqlx::Error::Database(error))) => error.code().as_deref() == Some("40001"),
        _ => false,
    }
}

#[async_trait]
impl Orders for DisintegrateOrders {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        for _ in 0..TRIES {
            match self.maker.make(Decide { order_id: order, command: command.clone() }).await {
                Err(DecisionError::StateStore(error)) if is_conflict(error.as_ref()) => {}
                ended => return Ok(ended.map(drop)?),
            }
        }
        bail!("a command met another {TRIES} times")
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        self.fill_all(&[(order, history.to_vec())]).await
    }

    /// Its append takes the events of many orders.
    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        let all = histories.iter().flat_map(|(order, history)| history.iter().map(|event| (*order, event)));
        let events: Vec<_> = all.map(|(order, event)| Happened::to(order, event.clone())).collect();
        for events in events.chunks(APPENDED_AT_ONCE) {
            self.store.append_without_validation(events.to_vec()).await?;
        }
        Ok(())
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        let loaded = self.states.load(OrderState::new(order)).await.map_err(|error| anyhow!(error))?;
        Ok(loaded.state().order.clone())
    }

    async fn read_log(&self) -> Result<Turnovers> {
        let (everything, mut turnovers) = (query!(Happened), Turnovers::default());
        let mut events = self.store.stream(&everything);
        while let Some(item) = events.try_next().await? {
            if let StreamItem::Event(event) = item {
                turnovers.add(&event.into_inner().into_parts().1);
            }
        }
        Ok(turnovers)
    }

    async fn subscribe(&self, seen: Seen) -> Result<()> {
        let (stop, stopped) = oneshot::channel();
        let config = PgEventListenerConfig::poller(POLL).with_notifier();
        let listener = PgEventListener::builder(self.store.clone())
            .register_listener(Tell { everything: query!(Happened), seen }, config)
            .start_with_shutdown(async { drop(stopped.await) });
        self.listeners.lock().await.push((stop, tokio::spawn(listener)));
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        for (stop, listener) in self.listeners.lock().await.drain(..) {
            drop(stop);
            listener.await??;
        }
        self.pool.close().await;
        Ok(())
    }
}

/// The listener that tells of each event.
struct Tell {
    everything: StreamQuery<PgEventId, Happened>,
    seen: Seen,
}

#[async_trait]
impl EventListener<PgEventId, Happened> for Tell {
    type Error = Infallible;

    fn id(&self) -> &'static str {
        "seen"
    }

    fn query(&self) -> &StreamQuery<PgEventId, Happened> {
        &self.everything
    }

    async fn handle(&self, event: PersistedEvent<PgEventId, Happened>) -> Result<(), Infallible> {
        let (order, event) = event.into_inner().into_parts();
        (self.seen)(order, &event);
        Ok(())
    }
}
