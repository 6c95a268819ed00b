//! The store itself: pools of connections behind the port.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    Connection as _,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{
    backend::SqliteBackend,
    classify::classify,
    migrate,
    options::{self, Place, SqliteOptions},
    work::SqliteWork,
};
use crate::store::{Error, Front, Transactional, forward_event_store};

/// Stores events in a SQLite database: a file of the application's own, or memory.
///
/// Write-ahead log, `synchronous=FULL`: what was acknowledged survives a crash and a power failure. One connection
/// writes, with `BEGIN IMMEDIATE`; a pool of others reads meanwhile. Several processes may use one file.
/// Tables are prefixed `annals_`, so the application's own tables can live beside them.
///
/// Clones share connections. Needs a tokio runtime with its timer.
#[derive(Clone)]
pub struct SqliteStore {
    front: Arc<Front<SqliteBackend>>,
}

impl SqliteStore {
    /// Opens a database file, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// As for [`SqliteOptions::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().open(path).await
    }

    /// Opens a database in memory, gone with the last clone of the store.
    ///
    /// # Errors
    ///
    /// As for [`SqliteOptions::open_in_memory`].
    pub async fn open_in_memory() -> Result<Self, Error> {
        Self::options().open_in_memory().await
    }

    /// Opens the database of a URL such as `sqlite:orders.db`.
    ///
    /// # Errors
    ///
    /// As for [`SqliteOptions::connect`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::options().connect(url).await
    }

    /// The settings to open a database with, all at their defaults.
    #[must_use]
    pub fn options() -> SqliteOptions {
        SqliteOptions::default()
    }

    pub(super) fn backend(&self) -> &SqliteBackend {
        self.front.backend()
    }

    /// Wakes those who wait for events, after a commit that went past the queue.
    pub(super) fn committed(&self) {
        self.front.committed();
    }

    pub(super) async fn connect_with(
        connect: SqliteConnectOptions,
        place: Place,
        options: SqliteOptions,
    ) -> Result<Self, Error> {
        let untouched = options.apply(connect.clone(), Place::FileToRead);
        // A statement of many rows notes each page before it changes it, to take back what it did: past 64 KiB in a file,
        // unless what is temporary is in memory.
        let connect_writer = options.apply(connect.clone().pragma("temp_store", "MEMORY"), place);
        let connect = options.apply(connect, place);
        let writer = pool(1, &options).connect_lazy_with(connect_writer);
        let backend = match place {
            Place::Memory => {
                migrate::migrate(&mut *writer.acquire().await.map_err(classify)?).await?;
                SqliteBackend::new(writer.clone(), writer, &options)
            }
            Place::File | Place::FileToRead => {
                // The first look changes nothing, not even the journal mode: the file may not be ours to write.
                let mut first = options::connect(&untouched, options.busy_timeout).await?;
                let found = if place == Place::File && options.migrates {
                    migrate::refuse_newer(&mut first).await
                } else {
                    migrate::check(&mut first).await
                };
                first.close().await.map_err(classify)?;
                found?;
                if place == Place::File {
                    let mut first = options::connect(&connect, options.busy_timeout).await?;
                    let migrated = migrate::migrate(&mut first).await;
                    first.close().await.map_err(classify)?;
                    migrated?;
                }
                let readers = pool(options.readers, &options).connect_lazy_with(connect);
                SqliteBackend::new(writer, readers, &options)
            }
        };
        let front = Front::new(backend, options.limits).polling(options.polling_at(place));
        Ok(Self { front: Arc::new(front) })
    }

    /// Closes all connections, after what is under way has ended.
    ///
    /// Calls made later end in [`Error::Unavailable`].
    pub async fn close(&self) {
        self.front.close().await;
        let backend = self.front.backend();
        backend.commits.close().await;
        backend.readers.close().await;
        backend.writer.close().await;
    }
}

/// How long to wait for a connection of our own at the least: making one takes time on a busy machine.
const OWN_CONNECTIONS_TIMEOUT: Duration = Duration::from_secs(1);

/// A pool whose connections stay: an embedded database has no reason to let them go.
fn pool(connections: u32, options: &SqliteOptions) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.busy_timeout.max(OWN_CONNECTIONS_TIMEOUT))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

forward_event_store!([] SqliteStore, self => self.front);

#[async_trait]
impl Transactional for SqliteStore {
    type Work = SqliteWork;

    async fn begin(&self) -> Result<SqliteWork, Error> {
        SqliteWork::begin(Arc::clone(&self.front)).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("limits", self.front.limits()).finish_non_exhaustive()
    }
}
