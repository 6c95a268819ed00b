//! Where the processes of a campaign keep their charges: a database, and a Redis in front of it where it has one.

use std::sync::Arc;
#[cfg(feature = "redis")]
use std::sync::Mutex;

use annals::{EventStore, ResponseStore, SqliteStore, store::Auditable};
use tempfile::TempDir;

use crate::payments_example::program::Service;
#[cfg(feature = "postgres")]
use crate::postgres_server::Database;
#[cfg(feature = "redis")]
use crate::redis_server::Server;

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(all(feature = "postgres", feature = "redis"))]
    PostgresBehindRedis,
}

/// A fresh place, for as long as the test has it.
pub struct Place {
    folder: TempDir,
    #[cfg(feature = "postgres")]
    database: Option<Database>,
    #[cfg(feature = "redis")]
    redis: Option<Mutex<Redis>>,
}

/// The database as the campaign sees it: past all processes.
pub struct Opened {
    pub events: Arc<dyn EventStore>,
    pub responses: Arc<dyn ResponseStore>,
    pub auditable: Arc<dyn Auditable>,
}

impl Place {
    pub async fn new(kind: Kind) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            #[cfg(feature = "postgres")]
            database: match kind {
                Kind::Sqlite => None,
                _ => Some(Database::create().await),
            },
            #[cfg(feature = "redis")]
            redis: match kind {
                #[cfg(feature = "postgres")]
                Kind::PostgresBehindRedis => Some(Mutex::new(Redis { server: Server::start(), away: None })),
                _ => None,
            },
        }
    }

    /// Begins a service on this place; it answers when this returns.
    pub fn begin(&self, arguments: &[&str]) -> Service {
        #[allow(unused_mut, reason = "without PostgreSQL there is nothing to add")]
        let mut all: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            all.extend(["--database-url".to_owned(), database.url().to_owned()]);
        }
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            all.extend(["--redis-url".to_owned(), redis.lock().unwrap().server.url()]);
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Service::begin(self.folder.path(), &all)
    }

    pub async fn open(&self) -> Opened {
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            let store = annals::PostgresStore::options().readers(1).connect(database.url()).await.unwrap();
            return Opened::of(store);
        }
        let file = self.folder.path().join("payments.db");
        Opened::of(SqliteStore::options().readers(1).open(file).await.unwrap())
    }

    /// Does something to the Redis, where there is one. What is away from the last time comes back first.
    #[cfg(feature = "redis")]
    pub fn trouble(&mut self, random: &mut fastrand::Rng) {
        if let Some(redis) = &mut self.redis {
            redis.get_mut().unwrap().trouble(random);
        }
    }

    #[cfg(not(feature = "redis"))]
    pub fn trouble(&mut self, _: &mut fastrand::Rng) {}
}

impl Opened {
    fn of(store: impl EventStore + ResponseStore + Auditable + Clone + 'static) -> Self {
        Self { events: Arc::new(store.clone()), responses: Arc::new(store.clone()), auditable: Arc::new(store) }
    }
}

/// A Redis of the campaign's own, which is emptied, ended and frozen now and then.
#[cfg(feature = "redis")]
struct Redis {
    server: Server,
    away: Option<Away>,
}

/// How a Redis is away.
#[cfg(feature = "redis")]
#[derive(Debug, Clone, Copy)]
enum Away {
    Stopped,
    Frozen,
}

#[cfg(feature = "redis")]
impl Redis {
    fn trouble(&mut self, random: &mut fastrand::Rng) {
        match self.away.take() {
            Some(Away::Stopped) => self.server.start_again(),
            Some(Away::Frozen) => self.server.thaw(),
            None => {}
        }
        match random.u32(0..4) {
            0 => {
                let mut connection = redis::Client::open(self.server.url()).unwrap().get_connection().unwrap();
                redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
            }
            1 => {
                self.server.stop();
                self.away = Some(Away::Stopped);
            }
            2 => {
                self.server.freeze();
                self.away = Some(Away::Frozen);
            }
            _ => {}
        }
    }
}

/// Makes a test of each function on each kind of place.
macro_rules! on_every_place {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::payments_campaign::place::Kind::Sqlite).await;
                }
            )+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::payments_campaign::place::Kind::Postgres).await;
                }
            )+
        }
        #[cfg(all(feature = "postgres", feature = "redis"))]
        mod postgres_behind_redis {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($crate::payments_campaign::place::Kind::PostgresBehindRedis).await;
                }
            )+
        }
    };
}
pub(super) use on_every_place;
