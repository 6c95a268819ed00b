//! cqrs-es with sqlite-es at the work of the benchmarks.

// What is above its repository is cqrs-es, and the same as on PostgreSQL.
#[path = "../../postgres-es/src/order.rs"]
mod order;
#[path = "../../postgres-es/src/orders.rs"]
mod orders;
#[path = "../../postgres-es/src/summaries.rs"]
mod summaries;

use std::sync::Arc;

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::Result;
use sqlite_es::{SqliteEventRepository, SqliteViewRepository};
use sqlx::{
    Executor as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::orders::{CqrsOrders, abstains};

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "0.5.0";

/// How many connections there are. Its own default pool has 10; all contenders on SQLite have as many as this.
const CONNECTIONS: u32 = 4;

struct SqliteEs;

#[async_trait]
impl Contender for SqliteEs {
    fn name(&self) -> String {
        "sqlite-es".to_owned()
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        abstains(work)
    }

    /// As its own default pool opens the file, and durable: that one leaves `synchronous` at `NORMAL`.
    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let file = SqliteConnectOptions::new()
            .filename(place.directory()?.join("orders.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let options = SqlitePoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
        let pool = options.test_before_acquire(false).connect_with(file).await?;
        pool.execute(include_str!("events.sql")).await?;
        Ok(Arc::new(CqrsOrders::new(pool, SqliteEventRepository::new, SqliteViewRepository::new)))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    annals_contest::run(vec![Box::new(SqliteEs)]).await
}
