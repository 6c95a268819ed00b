//! Orders in evento, on whichever of its SQL executors.

use std::sync::Arc;

use annals_contest::{Order, OrderCommand, OrderEvent, Orders, Seen, Turnovers, async_trait};
use anyhow::{Context as _, Result, bail};
use evento::{
    Aggregate as _, Event, EventFilter, Executor, ProjectionAggregate as _, TenantFilter, WriteBuilder, WriteError,
    cursor::Args,
    metadata::RawEvent,
    subscription::{Context, Subscription, SubscriptionBuilder},
};
use sqlx::{Database, Pool};
use tokio::sync::Mutex;
use ulid::Ulid;
use uuid::Uuid;

use crate::{kept, order, state};

/// How often a command is run again that met another.
const TRIES: u32 = 1_000;

/// How many events are read at once: as many as evento itself where it reads through a stream.
const PAGE: u16 = 4_096;

/// An executor, the pool under it, whether what commands decide by is kept in memory, and who follows it.
pub(crate) struct EventoOrders<E, D: Database> {
    executor: E,
    pool: Pool<D>,
    keeps: bool,
    subscriptions: Mutex<Vec<Subscription>>,
}

impl<E: From<Pool<D>>, D: Database> EventoOrders<E, D> {
    pub(crate) fn new(pool: Pool<D>, keeps: bool) -> Self {
        Self { executor: pool.clone().into(), pool, keeps, subscriptions: Mutex::default() }
    }
}

impl<E: Executor, D: Database> EventoOrders<E, D> {
    /// What a command decides by, and what it writes through: both are of the same version.
    async fn state(&self, id: &str) -> Result<(Order, WriteBuilder)> {
        let found = if self.keeps {
            let kept = kept::orders().load(id).execute(&self.executor).await?;
            kept.map(|kept| (kept.write(), kept.order))
        } else {
            let state = state::orders().load(id).execute(&self.executor).await?;
            state.map(|state| (state.write(), state.order))
        };
        match found {
            Some((write, order)) => Ok((order, write?)),
            None => Ok((Order::default(), evento::append(id))),
        }
    }
}

#[async_trait]
impl<E: Executor + Clone, D: Database> Orders for EventoOrders<E, D> {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        let id = order.to_string();
        for _ in 0..TRIES {
            let (order, mut write) = self.state(&id).await?;
            order::add(&mut write, order.decide(command)?);
            match write.commit(&self.executor).await {
                Err(WriteError::InvalidOriginalVersion) => {}
                ended => return ended.map(|_| ()).context("committing"),
            }
        }
        bail!("a command met another {TRIES} times")
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        let mut write = evento::append(order.to_string());
        history.iter().for_each(|event| order::add(&mut write, event.clone()));
        write.commit(&self.executor).await?;
        Ok(())
    }

    /// The executor takes events of several streams at once. The database sets their time.
    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        let mut events = Vec::new();
        for (order, history) in histories {
            for (event, version) in history.iter().zip(1..) {
                let (name, data) = order::encoded(event.clone());
                events.push(Event {
                    id: Ulid::generate(),
                    aggregate_id: order.to_string(),
                    aggregate_type: order::Order::aggregate_type().to_owned(),
                    version,
                    name: name.to_owned(),
                    data,
                    ..Event::default()
                });
            }
        }
        Ok(self.executor.write(events).await?)
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        let state = state::orders().load(order.to_string()).execute(&self.executor).await?;
        Ok(state.map(|state| state.order).unwrap_or_default())
    }

    async fn read_log(&self) -> Result<Turnovers> {
        let filters = [EventFilter::by_type::<order::Order>()].into();
        let (mut turnovers, mut after) = (Turnovers::default(), None);
        loop {
            let page = Args::forward(PAGE, after.take());
            let read = self.executor.read(Some(Arc::clone(&filters)), None, TenantFilter::All, page, None);
            let read = read.await?;
            for edge in &read.edges {
                turnovers.add(&order::OrderEvent::try_from(&edge.node)?.into());
            }
            after = read.page_info.end_cursor;
            if !read.page_info.has_next_page || after.is_none() {
                return Ok(turnovers);
            }
        }
    }

    async fn subscribe(&self, seen: Seen) -> Result<()> {
        let subscription = SubscriptionBuilder::new("seen").handler(tell()).data(seen);
        self.subscriptions.lock().await.push(subscription.start(&self.executor).await?);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        for subscription in self.subscriptions.lock().await.drain(..) {
            subscription.shutdown().await?;
        }
        self.pool.close().await;
        Ok(())
    }
}

/// The handler of the subscription.
#[evento::subscription_all]
async fn tell<E: Executor>(context: &Context<'_, E>, event: RawEvent<order::Order>) -> Result<()> {
    let seen: Seen = context.extract();
    seen(event.aggregate_id.parse()?, &event.decode()?.into());
    Ok(())
}
