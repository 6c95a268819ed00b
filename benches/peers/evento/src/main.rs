//! evento at the work of the benchmarks, on SQLite and on PostgreSQL.

mod kept;
mod order;
mod orders;
mod state;

use std::sync::Arc;

use annals_contest::{Contender, Engine, Orders, Place, Work, async_trait};
use anyhow::{Result, anyhow};
use evento::migrator::{Migrate as _, Plan};
use sqlx::{
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::orders::EventoOrders;

/// The version that Cargo.toml asks for, and no other.
const VERSION: &str = "2.0.0-alpha.38";

/// How many connections there are to a file.
const SQLITE_CONNECTIONS: u32 = 4;

/// How many connections there are to a server.
const POSTGRES_CONNECTIONS: u32 = 16;

/// Where an order ends, as it counts versions in 16 bits.
const MOST_EVENTS: u64 = 65_535;

/// Says why it takes no part, with what commands decide by kept in memory or not.
const fn abstains(keeps: bool, work: Work) -> Option<&'static str> {
    match work {
        Work::New { .. } | Work::Lifecycle { .. } | Work::Together { .. } | Work::Contended => None,
        _ if keeps => Some("nothing in it decides by what is kept"),
        Work::Load { events } if events > MOST_EVENTS => Some("an aggregate has at most 65,535 events"),
        Work::Rebuild { .. } => Some("what it has for that is not written here yet"),
        _ => None,
    }
}

struct OnSqlite {
    keeps: bool,
}

#[async_trait]
impl Contender for OnSqlite {
    fn name(&self) -> String {
        if self.keeps { "evento + memory" } else { "evento" }.to_owned()
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        abstains(self.keeps, work)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let file = SqliteConnectOptions::new()
            .filename(place.directory()?.join("orders.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let options = SqlitePoolOptions::new().max_connections(SQLITE_CONNECTIONS).min_connections(SQLITE_CONNECTIONS);
        let pool = options.test_before_acquire(false).connect_with(file).await?;
        let migrations = evento::sql_migrator::new::<sqlx::Sqlite>().map_err(|error| anyhow!("{error}"))?;
        migrations.run(&mut *pool.acquire().await?, &Plan::apply_all()).await?;
        Ok(Arc::new(EventoOrders::<evento::Sqlite, _>::new(pool, self.keeps)))
    }
}

struct OnPostgres {
    keeps: bool,
}

#[async_trait]
impl Contender for OnPostgres {
    fn name(&self) -> String {
        if self.keeps { "evento + memory on postgres" } else { "evento on postgres" }.to_owned()
    }

    fn version(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        abstains(self.keeps, work)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let options = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).min_connections(POSTGRES_CONNECTIONS);
        let pool = options.test_before_acquire(false).connect(place.url()?).await?;
        let migrations = evento::sql_migrator::new::<sqlx::Postgres>().map_err(|error| anyhow!("{error}"))?;
        migrations.run(&mut *pool.acquire().await?, &Plan::apply_all()).await?;
        Ok(Arc::new(EventoOrders::<evento::Postgres, _>::new(pool, self.keeps)))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let on_sqlite = [false, true].map(|keeps| -> Box<dyn Contender> { Box::new(OnSqlite { keeps }) });
    let on_postgres = [false, true].map(|keeps| -> Box<dyn Contender> { Box::new(OnPostgres { keeps }) });
    annals_contest::run(on_sqlite.into_iter().chain(on_postgres).collect()).await
}
