//! cqrs-es with postgres-es at the work of the benchmarks.

mod order;
mod orders;
mod summaries;

use std::sync::Arc;

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::Result;
use postgres_es::{PostgresEventRepository, PostgresViewRepository};
use sqlx::{Executor as _, postgres::PgPoolOptions};

use self::orders::{CqrsOrders, abstains};

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "0.5.0";

/// How many connections there are. Its own default pool has 10; all contenders on PostgreSQL have as many as this.
const CONNECTIONS: u32 = 16;

struct PostgresEs;

#[async_trait]
impl Contender for PostgresEs {
    fn name(&self) -> String {
        "postgres-es".to_owned()
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        abstains(work)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
        let pool = options.test_before_acquire(false).connect(place.url()?).await?;
        pool.execute(include_str!("events.sql")).await?;
        Ok(Arc::new(CqrsOrders::new(pool, PostgresEventRepository::new, PostgresViewRepository::new)))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    annals_contest::run(vec![Box::new(PostgresEs)]).await
}
