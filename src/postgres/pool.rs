//! Connections for what is hot, kept in hand between one batch and the next.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::classify::classify;
use crate::store::Error;

/// A connection that was idle for longer is asked whether it is still there: after a restart of the server all of them
/// are dead, and a write on a dead one has an unknown outcome.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A few connections, each for one batch or one read at a time.
///
/// Not sqlx's pool: it pings a connection whenever it is given back, which is one round trip more for each batch. Here
/// that is done only where a statement was not read to its end.
#[derive(Clone)]
pub(super) struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    connect: PgConnectOptions,
    timeout: Duration,
    idle: Mutex<Vec<Idle>>,
    slots: Arc<Semaphore>,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

impl Connections {
    pub(super) fn new(connect: PgConnectOptions, connections: u32, timeout: Duration) -> Self {
        let slots = Arc::new(Semaphore::new(connections as usize));
        Self { shared: Arc::new(Shared { connect, timeout, idle: Mutex::default(), slots }) }
    }

    /// Takes a connection, or makes one.
    pub(super) async fn acquire(&self) -> Result<Taken, Error> {
        let runtime = Handle::try_current().map_err(Error::unavailable)?;
        let shared = Arc::clone(&self.shared);
        let slot = match timeout(shared.timeout, Arc::clone(&shared.slots).acquire_owned()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Err(Error::unavailable(sqlx::Error::PoolClosed)),
            Err(_) => return Err(Error::contention(sqlx::Error::PoolTimedOut)),
        };
        loop {
            let Some(mut idle) = shared.idle().pop() else {
                let connection = Some(connect(&shared.connect, shared.timeout).await?);
                return Ok(Taken { connection, slot: Some(slot), shared, runtime });
            };
            if idle.since.elapsed() < TRUSTED_IDLE || is_alive(&mut idle.connection, shared.timeout).await {
                return Ok(Taken { connection: Some(idle.connection), slot: Some(slot), shared, runtime });
            }
        }
    }

    /// Closes what is idle, and gives no more.
    pub(super) async fn close(&self) {
        self.shared.slots.close();
        let idle = std::mem::take(&mut *self.shared.idle());
        for idle in idle {
            // A farewell that does not arrive changes nothing.
            drop(timeout(self.shared.timeout, idle.connection.close()).await);
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, connection: PgConnection) {
        let mut idle = self.idle();
        // Under the lock: what comes behind `close` is closed too.
        if !self.slots.is_closed() {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("free", &self.shared.slots.available_permits()).finish_non_exhaustive()
    }
}

async fn is_alive(connection: &mut PgConnection, within: Duration) -> bool {
    matches!(timeout(within, connection.ping()).await, Ok(Ok(())))
}

/// A connection in use.
pub(super) struct Taken {
    connection: Option<PgConnection>,
    slot: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
    runtime: Handle,
}

impl Taken {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("it is taken by giving it back, which takes the whole"),
        }
    }

    /// Gives the connection back, after a statement was read to its end.
    pub(super) fn keep(mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.keep(connection);
        }
    }

    /// Gives the connection back after a read, or sees to it if the read was broken off.
    pub(super) fn settle<T>(self, done: Result<T, Error>) -> Result<T, Error> {
        if done.is_ok() {
            self.keep();
        }
        done
    }

    /// Lets go of a connection that is gone, or of which that is not sure.
    pub(super) fn give_up(mut self) {
        self.connection = None;
    }
}

/// How long the rest of an answer that nobody reads is waited for.
const REST_WITHIN: Duration = Duration::from_secs(1);

impl Drop for Taken {
    /// Whoever had it went away in the middle, or met an error: it is kept if it can be read clear in a short time.
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let (slot, shared) = (self.slot.take(), Arc::clone(&self.shared));
            self.runtime.spawn(async move {
                if is_alive(&mut connection, REST_WITHIN).await {
                    shared.keep(connection);
                }
                drop(slot);
            });
        }
    }
}

/// Connects; a server that is starting, or has no room, is asked again until the time is over.
pub(super) async fn connect(connect: &PgConnectOptions, within: Duration) -> Result<PgConnection, Error> {
    let deadline = Instant::now() + within;
    let pauses = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(250))
        .without_max_times();
    for pause in pauses.build() {
        let left = deadline.saturating_duration_since(Instant::now());
        let error = match timeout(left, PgConnection::connect_with(connect)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => classify(error),
            Err(late) => return Err(Error::unavailable(late)),
        };
        if !error.is_retryable() || deadline.saturating_duration_since(Instant::now()) < pause {
            return Err(error);
        }
        sleep(pause).await;
    }
    Err(Error::Unavailable { source: None })
}

/// sqlx's pool, for transactions.
pub(super) fn pool(connect: PgConnectOptions, connections: u32, within: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(within)
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

/// Says why sqlx's pool gave no connection.
///
/// It asks a server that refuses until the time is over, and then says what it says when all are in use. Where there are
/// fewer than there may be, none was to be had. (While several ask at once, one of them counts as a connection.)
pub(super) fn not_acquired(pool: &PgPool, error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::PoolTimedOut if pool.size() < pool.options().get_max_connections() => Error::unavailable(error),
        error => classify(error),
    }
}
