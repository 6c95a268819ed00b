//! A store of either kind, with what latencies need of it.

use annals::{Append, EventStore, EventStoreExt as _, NewEvent, PostgresStore, SqliteStore, Subscription};
use annals_contest::Place;
use anyhow::Result;
use uuid::Uuid;

/// The database within its directory.
const FILE: &str = "latency.db";

/// Events are appended to so many aggregates in turn.
const AGGREGATES: u64 = 10;

#[derive(Debug, Clone)]
pub(super) enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
    pub(super) async fn open(place: &Place) -> Result<Self> {
        Ok(match place {
            Place::Directory(directory) => Self::Sqlite(SqliteStore::open(directory.join(FILE)).await?),
            Place::Url(url) => Self::Postgres(PostgresStore::connect(url).await?),
        })
    }

    pub(super) async fn append(&self, number: u64) -> Result<()> {
        let store: &dyn EventStore = match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        };
        let aggregate = Uuid::from_u128(u128::from(number % AGGREGATES) + 1);
        store.append_one(Append::new("number", aggregate).event(NewEvent::new("drawn", &number)?)).await?;
        Ok(())
    }

    /// Runs a subscription that does nothing but to say that it was told.
    pub(super) async fn subscribe(
        &self,
        shutdown: impl Future<Output = ()> + Send,
        mut told: impl FnMut() + Send,
    ) -> Result<()> {
        let handler = |_| {
            told();
            async { Ok::<(), std::io::Error>(()) }
        };
        match self {
            Self::Sqlite(store) => Subscription::new(store, "latency")?.run(shutdown, handler).await?,
            Self::Postgres(store) => Subscription::new(store, "latency")?.run(shutdown, handler).await?,
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}
