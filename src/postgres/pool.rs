//! Connections for what is hot, kept in hand between one batch and the next.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::classify::classify;
use crate::store::Error;

/// A connection that was idle for longer is asked whether it is still there: after a restart of the server all of them
/// are dead, and a write on a dead one has an unknown outcome.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A few connections, each for one batch at a time.
///
/// Not sqlx's pool: it pings a connection whenever it is given back, which for a batch is one round trip more.
/// One that was not given back, because of an error or because whoever had it went away, is closed.
pub(super) struct Connections {
    connect: PgConnectOptions,
    timeout: Duration,
    idle: Mutex<Vec<Idle>>,
    slots: Semaphore,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

impl Connections {
    pub(super) fn new(connect: PgConnectOptions, connections: u32, timeout: Duration) -> Self {
        Self { connect, timeout, idle: Mutex::default(), slots: Semaphore::new(connections as usize) }
    }

    /// Takes a connection, or makes one.
    pub(super) async fn acquire(&self) -> Result<Taken<'_>, Error> {
        let slot = match tokio::time::timeout(self.timeout, self.slots.acquire()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Err(Error::unavailable(sqlx::Error::PoolClosed)),
            Err(_) => return Err(Error::contention(sqlx::Error::PoolTimedOut)),
        };
        loop {
            let Some(mut idle) = self.idle().pop() else {
                let connection = connect(&self.connect, self.timeout).await?;
                return Ok(Taken { connection, pool: self, _slot: slot });
            };
            if idle.since.elapsed() < TRUSTED_IDLE || is_alive(&mut idle.connection, self.timeout).await {
                return Ok(Taken { connection: idle.connection, pool: self, _slot: slot });
            }
        }
    }

    /// Closes what is idle, and gives no more.
    pub(super) async fn close(&self) {
        self.slots.close();
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            // A farewell that does not arrive changes nothing.
            drop(tokio::time::timeout(self.timeout, idle.connection.close()).await);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("free", &self.slots.available_permits()).finish_non_exhaustive()
    }
}

async fn is_alive(connection: &mut PgConnection, timeout: Duration) -> bool {
    matches!(tokio::time::timeout(timeout, connection.ping()).await, Ok(Ok(())))
}

/// A connection in use.
pub(super) struct Taken<'p> {
    pub(super) connection: PgConnection,
    pool: &'p Connections,
    _slot: SemaphorePermit<'p>,
}

impl Taken<'_> {
    /// Gives the connection back, after a statement was read to its end.
    pub(super) fn keep(self) {
        if !self.pool.slots.is_closed() {
            self.pool.idle().push(Idle { connection: self.connection, since: Instant::now() });
        }
    }
}

/// Connects; a server that is starting, or has no room, is asked again until the time is over.
pub(super) async fn connect(connect: &PgConnectOptions, timeout: Duration) -> Result<PgConnection, Error> {
    let deadline = Instant::now() + timeout;
    let pauses = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(250))
        .without_max_times();
    for pause in pauses.build() {
        let left = deadline.saturating_duration_since(Instant::now());
        let error = match tokio::time::timeout(left, PgConnection::connect_with(connect)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => classify(error),
            Err(late) => return Err(Error::unavailable(late)),
        };
        if !error.is_retryable() || deadline.saturating_duration_since(Instant::now()) < pause {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
    }
    Err(Error::Unavailable { source: None })
}

/// sqlx's pool, for reads of any length and for transactions.
pub(super) fn pool(connect: PgConnectOptions, connections: u32, timeout: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(connect)
}
