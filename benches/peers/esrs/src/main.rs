//! esrs at the work of the benchmarks.

mod order;
mod orders;
mod summaries;

use std::sync::Arc;

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::Result;
use sqlx::postgres::PgPoolOptions;

use self::orders::EsrsOrders;

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "0.18.0";

/// How many connections there are.
const CONNECTIONS: u32 = 16;

struct Esrs;

#[async_trait]
impl Contender for Esrs {
    fn name(&self) -> String {
        "esrs".to_owned()
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        matches!(work, Work::Beside).then_some("its event handlers are run by whoever writes, none follows the log")
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
        let pool = options.test_before_acquire(false).connect(place.url()?).await?;
        Ok(Arc::new(EsrsOrders::new(pool).await?))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    annals_contest::run(vec![Box::new(Esrs)]).await
}
