//! disintegrate at the work of the benchmarks.

mod order;
mod orders;

use std::sync::Arc;

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::Result;
use disintegrate::serde::json::Json;
use disintegrate_postgres::PgEventStore;
use sqlx::postgres::PgPoolOptions;

use self::orders::DisintegrateOrders;

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "4.0.1";

/// How many connections there are: all contenders on PostgreSQL have as many.
const CONNECTIONS: u32 = 16;

struct Disintegrate;

#[async_trait]
impl Contender for Disintegrate {
    fn name(&self) -> String {
        "disintegrate-postgres".to_owned()
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        matches!(work, Work::Rebuild { .. }).then_some("what it has for that is not written here yet")
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
        let pool = options.test_before_acquire(false).connect(place.url()?).await?;
        // Its statements have numbers that PostgreSQL reads from 16 on: on an older one it says so and takes no part.
        let store = PgEventStore::try_new(pool.clone(), Json::default()).await?;
        Ok(Arc::new(DisintegrateOrders::new(pool, store)))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    annals_contest::run(vec![Box::new(Disintegrate)]).await
}
