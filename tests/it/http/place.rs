//! Where answers are kept: each database, also behind Redis.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use annals::PostgresStore;
#[cfg(feature = "redis")]
use annals::redis::RedisOptions;
use annals::{
    Clock, EventStore, ManualClock, ResponseStore, Retention, SqliteStore, StepStore, SystemClock,
    http::IdempotencyLayerBuilder,
};
use chrono::DateTime;
use tempfile::TempDir;

#[cfg(feature = "postgres")]
use crate::postgres_server::Database;

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "redis")]
    SqliteBehindRedis,
    #[cfg(all(feature = "redis", feature = "postgres"))]
    PostgresBehindRedis,
}

/// Makes a test of each function for one kind of place.
macro_rules! in_place {
    ($place:ident $kind:ident $($test:ident)+) => {
        mod $place {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test(super::Kind::$kind).await;
                }
            )+
        }
    };
}
pub(super) use in_place;

/// Makes a test of each function for each database.
macro_rules! on_every_database {
    ($($test:ident)+) => {
        crate::http::place::in_place!(sqlite Sqlite $($test)+);
        #[cfg(feature = "postgres")]
        crate::http::place::in_place!(postgres Postgres $($test)+);
    };
}
pub(super) use on_every_database;

/// Makes a test of each function for each kind of place.
macro_rules! on_every_place {
    ($($test:ident)+) => {
        crate::http::place::on_every_database!($($test)+);
        #[cfg(feature = "redis")]
        crate::http::place::in_place!(sqlite_behind_redis SqliteBehindRedis $($test)+);
        #[cfg(all(feature = "redis", feature = "postgres"))]
        crate::http::place::in_place!(postgres_behind_redis PostgresBehindRedis $($test)+);
    };
}
pub(super) use on_every_place;

/// A fresh, empty database, for as long as the test has it.
pub struct Place {
    kind: Kind,
    clock: Arc<dyn Clock>,
    folder: TempDir,
    #[cfg(feature = "redis")]
    prefix: String,
    #[cfg(feature = "postgres")]
    database: Option<Database>,
}

impl Place {
    /// A place by the machine's clock.
    pub async fn new(kind: Kind) -> Self {
        Self::by(kind, Arc::new(SystemClock)).await
    }

    /// A place by a clock that stands still.
    pub async fn with_clock(kind: Kind) -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()));
        (Self::by(kind, Arc::clone(&clock) as Arc<dyn Clock>).await, clock)
    }

    async fn by(kind: Kind, clock: Arc<dyn Clock>) -> Self {
        #[cfg(feature = "postgres")]
        let database = match kind.is_postgres() {
            true => Some(Database::create().await),
            false => None,
        };
        Self {
            kind,
            clock,
            folder: tempfile::tempdir().unwrap(),
            #[cfg(feature = "redis")]
            prefix: format!("http-{}", uuid::Uuid::now_v7()),
            #[cfg(feature = "postgres")]
            database,
        }
    }

    /// Opens the place, as another process would.
    pub async fn process(&self) -> Process {
        let store = self.open().await;
        let responses = store.responses();
        #[cfg(feature = "redis")]
        let responses: Arc<dyn ResponseStore> = match self.kind.is_behind_redis() {
            // A deployment of its own on the run's server.
            true => {
                let options = RedisOptions::new().prefix(self.prefix.clone());
                Arc::new(options.connect(&crate::redis_server::url(), responses).await.unwrap())
            }
            false => responses,
        };
        Process { store, responses }
    }

    async fn open(&self) -> Store {
        let clock = Arc::clone(&self.clock);
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            return Store::Postgres(
                PostgresStore::options().shared_clock(clock).connect(database.url()).await.unwrap(),
            );
        }
        let file = self.folder.path().join("answers.db");
        Store::Sqlite(SqliteStore::options().shared_clock(clock).open(file).await.unwrap())
    }

    /// The database's URL, for processes.
    pub fn url(&self) -> String {
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            return database.url().to_owned();
        }
        format!("sqlite:{}", self.folder.path().join("answers.db").display())
    }
}

impl Kind {
    /// Tells whether PostgreSQL holds the answers.
    pub fn is_postgres(self) -> bool {
        match self {
            Self::Sqlite => false,
            #[cfg(feature = "postgres")]
            Self::Postgres => true,
            #[cfg(feature = "redis")]
            Self::SqliteBehindRedis => false,
            #[cfg(all(feature = "redis", feature = "postgres"))]
            Self::PostgresBehindRedis => true,
        }
    }

    #[cfg(feature = "redis")]
    const fn is_behind_redis(self) -> bool {
        match self {
            Self::SqliteBehindRedis => true,
            #[cfg(feature = "postgres")]
            Self::PostgresBehindRedis => true,
            _ => false,
        }
    }
}

/// A place as one process has it open.
#[derive(Clone)]
pub struct Process {
    pub store: Store,
    pub responses: Arc<dyn ResponseStore>,
}

/// A store of either kind.
#[derive(Clone)]
pub enum Store {
    Sqlite(SqliteStore),
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
}

impl Store {
    pub fn responses(&self) -> Arc<dyn ResponseStore> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    pub fn steps(&self) -> Arc<dyn StepStore> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    pub fn retention(&self) -> Arc<dyn Retention> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    pub fn events(&self) -> Arc<dyn EventStore> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// Has a layer carry requests out in transactions of this store.
    pub fn in_transactions(&self, builder: IdempotencyLayerBuilder) -> IdempotencyLayerBuilder {
        match self {
            Self::Sqlite(store) => builder.in_transactions(store.clone()),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => builder.in_transactions(store.clone()),
        }
    }

    /// Closes its connections: from now on the database is not there.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.close().await,
        }
    }
}
