//! A row for each order, as a view of cqrs-es: its generic query loads a view, updates it and stores it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use annals_contest::{Summary, async_trait};
use anyhow::{Result, anyhow, ensure};
use cqrs_es::{
    EventEnvelope, Query, View,
    persist::{GenericQuery, PersistedEventRepository, QueryReplay, ViewRepository},
};
use serde::{Deserialize, Serialize};

use crate::order::OrderAggregate;

/// The table of the views.
pub(crate) const TABLE: &str = "order_summaries";

/// The view: the trait is cqrs-es's and the summary is the contest's.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OrderView(pub(crate) Summary);

impl View<OrderAggregate> for OrderView {
    fn update(&mut self, event: &EventEnvelope<OrderAggregate>) {
        self.0.add(&event.payload.0);
    }
}

/// Replays all events to the views. Gives their number.
pub(crate) async fn replay<R, V>(events: R, views: V) -> Result<u64>
where
    R: PersistedEventRepository,
    V: ViewRepository<OrderView, OrderAggregate> + 'static,
{
    let failures: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = |failures: &Arc<Mutex<Vec<String>>>, what: String| {
        if let Ok(mut failures) = failures.lock() {
            failures.push(what);
        }
    };
    let mut query = GenericQuery::new(Arc::new(views));
    let failing = Arc::clone(&failures);
    query.use_error_handler(Box::new(move |error| note(&failing, error.to_string())));
    let applied = Arc::<AtomicU64>::default();
    let mut replay = QueryReplay::new(events, Counted { query, applied: Arc::clone(&applied) });
    let failing = Arc::clone(&failures);
    replay.use_error_handler(Box::new(move |error| note(&failing, error.to_string())));
    replay.replay_all().await?;
    let failures = failures.lock().map_err(|_| anyhow!("a replay panicked"))?;
    ensure!(failures.is_empty(), "{} events failed: {:?}", failures.len(), failures.first());
    Ok(applied.load(Ordering::Relaxed))
}

/// The query, and how many events it was told.
struct Counted<Q> {
    query: Q,
    applied: Arc<AtomicU64>,
}

#[async_trait]
impl<Q: Query<OrderAggregate>> Query<OrderAggregate> for Counted<Q> {
    async fn dispatch(&self, order: &str, events: &[EventEnvelope<OrderAggregate>]) {
        self.query.dispatch(order, events).await;
        self.applied.fetch_add(events.len() as u64, Ordering::Relaxed);
    }
}
