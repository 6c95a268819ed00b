//! Where a store is: what these tests ask of each backend.

use std::{sync::Arc, time::Duration};

#[cfg(feature = "postgres")]
use annals::PostgresStore;
use annals::{
    Append, Clock, EventStoreExt as _, NewEvent, Position, Projection, ProjectionStore, SqliteStore, SystemClock,
    Transactional, Work,
};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::sums::Sums;
#[cfg(feature = "postgres")]
use crate::postgres_server::Database;

/// Longer than anything may take here, short enough to call it lost.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub type ConnectionOf<P> = <<<P as Place>::Store as Transactional>::Work as Work>::Connection;

/// A store on a database of its own, and a look at the application's tables in it.
pub trait Place: Sized + Send + Sync
where
    Sums: Projection<ConnectionOf<Self>>,
{
    type Store: ProjectionStore;

    /// Whoever has an open transaction keeps all others from writing.
    const HAS_ONE_WRITER: bool;

    fn open_at(clock: Arc<dyn Clock>) -> impl Future<Output = Self> + Send;

    fn store(&self) -> &Self::Store;

    /// Runs statements of the test's own.
    fn execute(&self, sql: &str) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Reads rows of a text and a number.
    fn rows(&self, sql: &str) -> impl Future<Output = Vec<(String, i64)>> + Send;

    fn open() -> impl Future<Output = Self> + Send {
        Self::open_at(Arc::new(SystemClock))
    }

    /// Appends numbers to a notebook.
    fn write(&self, notebook: Uuid, numbers: &[u64]) -> impl Future<Output = Position> + Send {
        let events: Vec<_> = numbers.iter().map(|number| NewEvent::new("noted", number).unwrap()).collect();
        async move {
            let append = Append::new("notebook", notebook).events(events);
            self.store().append_one(append).await.unwrap().position.unwrap()
        }
    }

    /// What the projection [`Sums`] shows: each notebook with its sum, and how many events are in it.
    fn sums(&self) -> impl Future<Output = Vec<(String, i64)>> + Send {
        self.rows("SELECT notebook || ' ' || events, total FROM sums ORDER BY notebook")
    }
}

macro_rules! in_work {
    ($store:expr, $work:ident => $done:expr) => {{
        let mut $work = $store.begin().await.unwrap();
        let done = $done;
        if done.is_ok() {
            $work.commit().await.unwrap();
        }
        done
    }};
}

/// What is alike in all places, by the type of their store.
macro_rules! place_of {
    ($store:ty) => {
        type Store = $store;

        fn store(&self) -> &$store {
            &self.0
        }

        async fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
            in_work!(self.0, work => sqlx::raw_sql(AssertSqlSafe(sql)).execute(work.connection()).await).map(drop)
        }

        async fn rows(&self, sql: &str) -> Vec<(String, i64)> {
            let rows = in_work!(self.0, work => sqlx::query(AssertSqlSafe(sql)).fetch_all(work.connection()).await);
            rows.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
        }
    };
}

pub struct InFile(SqliteStore, #[expect(dead_code, reason = "it lives as long as the store")] tempfile::TempDir);

impl Place for InFile {
    const HAS_ONE_WRITER: bool = true;

    async fn open_at(clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::options().shared_clock(clock).open(folder.path().join("annals.db")).await.unwrap();
        Self(store, folder)
    }

    place_of!(SqliteStore);
}

pub struct InMemory(SqliteStore);

impl Place for InMemory {
    const HAS_ONE_WRITER: bool = true;

    async fn open_at(clock: Arc<dyn Clock>) -> Self {
        Self(SqliteStore::options().shared_clock(clock).open_in_memory().await.unwrap())
    }

    place_of!(SqliteStore);
}

#[cfg(feature = "postgres")]
pub struct OnServer(PostgresStore, #[expect(dead_code, reason = "it lives as long as the store")] Database);

#[cfg(feature = "postgres")]
impl Place for OnServer {
    const HAS_ONE_WRITER: bool = false;

    async fn open_at(clock: Arc<dyn Clock>) -> Self {
        let database = Database::create().await;
        Self(PostgresStore::options().shared_clock(clock).connect(database.url()).await.unwrap(), database)
    }

    place_of!(PostgresStore);
}
