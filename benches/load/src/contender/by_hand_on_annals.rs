//! The hand-written loop over the very rows that annals has written: what its own loading is measured against.

use std::sync::Arc;

use annals_contest::{Contender, Engine, Order, OrderCommand, OrderEvent, Orders, Place, Work, async_trait};
use anyhow::{Result, bail};
use sqlx::SqlitePool;
use uuid::Uuid;

use super::{annals::Annals, by_hand};

const SELECT_EVENTS: &str = "SELECT event_type, payload FROM annals_events WHERE aggregate_id = ? ORDER BY sequence";

#[derive(Debug, Clone, Copy)]
pub(super) struct ByHandOnAnnals;

#[async_trait]
impl Contender for ByHandOnAnnals {
    fn name(&self) -> String {
        "by hand, rows of annals".to_owned()
    }

    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        (!matches!(work, Work::Load { .. })).then_some("it only loads")
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let annals = Annals::on(Engine::Sqlite).open(place).await?;
        let pool = by_hand::pool(&place.directory()?.join(Annals::FILE), 4).await?;
        Ok(Arc::new(Opened { annals, pool }))
    }
}

struct Opened {
    annals: Arc<dyn Orders>,
    pool: SqlitePool,
}

#[async_trait]
impl Orders for Opened {
    async fn execute(&self, _: Uuid, _: &OrderCommand) -> Result<()> {
        bail!("it only loads")
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        self.annals.fill(order, history).await
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        let mut connection = self.pool.acquire().await?;
        Ok(by_hand::fold(&mut connection, SELECT_EVENTS, order).await?.0)
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        self.annals.close().await
    }
}
