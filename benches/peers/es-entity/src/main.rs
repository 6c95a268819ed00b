//! es-entity at the work of the benchmarks.
//!
//! Its statements are checked as they are compiled, against `.sqlx`. Where the tables change, that is written anew by a
//! build with `DATABASE_URL` of a database that has them and `SQLX_OFFLINE_DIR` of that directory.

mod order;
mod orders;
mod repository;

use std::sync::Arc;

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::Result;
use sqlx::postgres::PgPoolOptions;

use self::{orders::EsEntityOrders, repository::OrderRepo};

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "0.20.3";

/// How many connections there are.
const CONNECTIONS: u32 = 16;

struct EsEntityContender;

#[async_trait]
impl Contender for EsEntityContender {
    fn name(&self) -> String {
        "es-entity".to_owned()
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        match work {
            Work::Beside => Some("its hooks are run by whoever writes, none follows a log"),
            Work::Rebuild { .. } => Some("its hooks are run by whoever writes, none is run again"),
            _ => None,
        }
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
        let pool = options.test_before_acquire(false).connect(place.url()?).await?;
        sqlx::migrate!().run(&pool).await?;
        Ok(Arc::new(EsEntityOrders { orders: OrderRepo { pool } }))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    annals_contest::run(vec![Box::new(EsEntityContender)]).await
}
