//! The store itself: connections behind the port.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use sqlx::{Connection as _, postgres::PgConnectOptions};

use super::{
    backend::PostgresBackend,
    log::Horizon,
    migrate,
    options::{PostgresOptions, Role},
    pool,
    work::PostgresWork,
};
use crate::store::{Error, Front, Transactional, forward_event_store};

/// Stores events in a PostgreSQL database, for any number of processes.
///
/// Version 15 or newer.
/// An append is one statement and one round trip, whatever it has to check; callers share statements. Readers of the log
/// miss no event and see none out of order, however writers interleave, and are held up by none but writers of events.
/// Tables are prefixed `annals_`, so the application's own tables can live beside them. What was acknowledged is as durable as
/// the server makes its commits: leave `fsync` and `synchronous_commit` on.
///
/// A role needs `SELECT, INSERT` on `annals_events`; `SELECT, INSERT, UPDATE, DELETE` on the other tables but
/// `annals_migrations`, where `SELECT` is enough; `SELECT, USAGE` on the sequence `annals_positions`, and `USAGE` on
/// `annals_fences`. Only the first connection, or that of a new version, has to create tables.
///
/// Clones share connections. Needs a tokio runtime with its timer.
#[derive(Clone)]
pub struct PostgresStore {
    front: Arc<Front<PostgresBackend>>,
}

/// The most appends of a statement behind a pooler.
const POOLED_COMMIT_APPENDS: usize = 32;

impl PostgresStore {
    /// Connects to the database of a URL such as `postgres://app@db.internal/shop`.
    ///
    /// # Errors
    ///
    /// As for [`PostgresOptions::connect`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::options().connect(url).await
    }

    /// The settings to connect to a database with, all at their defaults.
    #[must_use]
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    pub(super) fn backend(&self) -> &PostgresBackend {
        self.front.backend()
    }

    /// Wakes those who wait for events, after a commit that went past the queue.
    pub(super) fn committed(&self) {
        self.front.committed();
        self.front.backend().notices.committed();
    }

    pub(super) async fn connect_with(connect: PgConnectOptions, options: PostgresOptions) -> Result<Self, Error> {
        let mut first = pool::connect(&options.apply(connect.clone(), Role::Work), options.acquire_timeout).await?;
        let migrated = if options.inspects {
            migrate::check_schema(&mut first).await
        } else {
            migrate::migrate(&mut first, options.migrates).await
        };
        // A farewell that does not arrive changes nothing.
        drop(first.close().await);
        migrated?;
        let (mut limits, polling) = (options.limits, options.polling);
        if options.is_pooled {
            // Nothing tells the planner there how to join a large batch.
            limits.commit_appends = limits.commit_appends.min(POOLED_COMMIT_APPENDS);
        }
        let front = Front::new(PostgresBackend::new(&connect, &options), limits).polling(polling);
        Ok(Self { front: Arc::new(front) })
    }

    /// Tells how far the log can be read, and who holds it back.
    ///
    /// # Errors
    ///
    /// A failed read; [`Error::Backend`] with [`Fault::ReadOnly`](crate::Fault::ReadOnly) on a standby.
    pub async fn horizon(&self) -> Result<Horizon, Error> {
        self.front.backend().horizon().await
    }

    /// Closes all connections, after what is under way has ended.
    ///
    /// Calls made later end in [`Error::Unavailable`].
    pub async fn close(&self) {
        self.front.close().await;
        self.front.backend().close().await;
    }
}

forward_event_store!([] PostgresStore, self => self.front);

#[async_trait]
impl Transactional for PostgresStore {
    type Work = PostgresWork;

    async fn begin(&self) -> Result<PostgresWork, Error> {
        PostgresWork::begin(Arc::clone(&self.front)).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("limits", self.front.limits()).finish_non_exhaustive()
    }
}
