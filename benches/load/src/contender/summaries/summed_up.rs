//! The loop by hand with an upsert for each order of a page, where a row of its own shows what that gains.

use std::sync::Arc;

use annals_contest::{Contender, Engine, Order, OrderCommand, OrderEvent, Orders, Place, Summary, Work, async_trait};
use anyhow::{Result, bail};
use sqlx::{PgPool, SqlitePool};
use uuid::Uuid;

use super::{Shape, rebuild_on_postgres, rebuild_on_sqlite};
use crate::contender::{
    by_hand::{self, ByHand},
    by_hand_on_postgres::ByHandOnPostgres,
};

/// By hand, on either database.
#[derive(Debug, Clone, Copy)]
pub(in crate::contender) struct SummedUp(pub(in crate::contender) Engine);

#[async_trait]
impl Contender for SummedUp {
    fn name(&self) -> String {
        "by hand, a page summed up".to_owned()
    }

    fn engine(&self) -> Engine {
        self.0
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        (!matches!(work, Work::Rebuild { .. })).then_some("it only rebuilds")
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        Ok(match place {
            Place::Directory(directory) => {
                let by_hand = ByHand { connections: 4 }.open(place).await?;
                let pool = Pool::Sqlite(by_hand::pool(&directory.join(ByHand::FILE), 4).await?);
                Arc::new(Opened { by_hand, pool })
            }
            Place::Url(url) => {
                let by_hand = ByHandOnPostgres { connections: 16, without_pings: false }.open(place).await?;
                Arc::new(Opened { by_hand, pool: Pool::Postgres(PgPool::connect(url).await?) })
            }
        })
    }
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

struct Opened {
    by_hand: Arc<dyn Orders>,
    pool: Pool,
}

#[async_trait]
impl Orders for Opened {
    async fn execute(&self, _: Uuid, _: &OrderCommand) -> Result<()> {
        bail!("it only rebuilds")
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        self.by_hand.fill(order, history).await
    }

    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        self.by_hand.fill_all(histories).await
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        self.by_hand.load(order).await
    }

    async fn rebuild(&self) -> Result<u64> {
        match &self.pool {
            Pool::Sqlite(pool) => rebuild_on_sqlite(pool, Shape::SummedUp).await,
            Pool::Postgres(pool) => rebuild_on_postgres(pool, Shape::SummedUp).await,
        }
    }

    async fn summaries(&self) -> Result<Vec<(Uuid, Summary)>> {
        self.by_hand.summaries().await
    }

    async fn close(&self) -> Result<()> {
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
        self.by_hand.close().await
    }
}
