//! The connection to Redis: made when it is needed, made anew when it has failed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::redis::{
    Client, ErrorKind, IntoConnectionInfo as _, Pipeline, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
    io::tcp::TcpSettings,
    pipe,
};

use crate::store::Error;

/// The longest a connection may take.
const LONGEST_CONNECT: Duration = Duration::from_secs(1);
/// How many commands wait for a connection that does not take them.
const COMMANDS: usize = 256;

const STORE: &str = include_str!("lua/store_answer.lua");
const REMOVE: &str = include_str!("lua/remove_answer.lua");
/// The longest an answer is under way to Redis; so long a mark of its removal is kept there at the least.
const LONGEST_WAY_MS: u64 = 60_000;

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) name: Arc<str>,
    pub(super) bytes: Vec<u8>,
    /// As of when the database said so, and until when it lives, in milliseconds of Redis's clock.
    pub(super) as_of_ms: u64,
    pub(super) expires_at_ms: u64,
}

/// A connection that is shared by all, and replaced when it is no good.
pub(super) struct Link {
    client: Client,
    config: ConnectionManagerConfig,
    manager: Mutex<Option<ConnectionManager>>,
}

/// Not the client: its URL may hold a password.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

impl Link {
    /// Reads a URL. Nothing is connected yet.
    pub(super) fn new(url: &str, longest_answer: Duration) -> Result<Self, Error> {
        // What the driver says is left out: it may show the URL.
        let wrong = |_: RedisError| Error::invalid("the URL of Redis is redis://[user:password@]host[:port][/number]");
        let info = url.into_connection_info().map_err(wrong)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(LONGEST_CONNECT))
            .set_response_timeout(Some(longest_answer))
            .set_pipeline_buffer_size(COMMANDS);
        Ok(Self { client: Client::open(info).map_err(wrong)?, config, manager: Mutex::default() })
    }

    /// Waits until Redis has answered for the first time, or cannot.
    pub(super) async fn first(&self) -> RedisResult<()> {
        cmd("PING").query_async(&mut self.connection()?).await
    }

    /// Reads what stands under a key, and then the time of Redis's clock in microseconds.
    pub(super) async fn get(&self, name: &str) -> RedisResult<(Option<Vec<u8>>, u64)> {
        let mut both = pipe();
        both.cmd("GET").arg(name).cmd("TIME");
        let (found, time): (Option<Vec<u8>>, (u64, u64)) = both.query_async(&mut self.connection()?).await?;
        Ok((found, micros(time)))
    }

    /// Reads Redis's clock, in microseconds.
    pub(super) async fn time(&self) -> RedisResult<u64> {
        cmd("TIME").query_async(&mut self.connection()?).await.map(micros)
    }

    /// Stores answers: for each, whether it was taken.
    pub(super) async fn store(&self, answers: &[Encoded]) -> RedisResult<Vec<bool>> {
        let mut all = pipe();
        for answer in answers {
            script(&mut all, STORE, &answer.name);
            all.arg(&answer.bytes).arg(answer.as_of_ms).arg(answer.expires_at_ms).arg(LONGEST_WAY_MS);
        }
        all.query_async(&mut self.connection()?).await
    }

    /// Removes answers, and marks that they were: what is under way is refused.
    pub(super) async fn remove(&self, names: &[Arc<str>]) -> RedisResult<()> {
        // First by what is allowed even where memory is full.
        let mut gone = pipe();
        for name in names {
            gone.cmd("DEL").arg(&**name).ignore();
        }
        gone.query_async::<()>(&mut self.connection()?).await?;
        let mut marked = pipe();
        for name in names {
            script(&mut marked, REMOVE, name);
            marked.arg(2 * LONGEST_WAY_MS).ignore();
        }
        marked.query_async(&mut self.connection()?).await
    }

    /// Drops a connection that is no good; the next who needs one makes it.
    pub(super) fn renew(&self) {
        self.manager.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn connection(&self) -> RedisResult<ConnectionManager> {
        let mut manager = self.manager.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manager) = &*manager {
            return Ok(manager.clone());
        }
        // Outside a runtime there is nobody to run it.
        if tokio::runtime::Handle::try_current().is_err() {
            return Err((ErrorKind::Client, "there is no runtime").into());
        }
        let made = ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone())?;
        let mut waits = made.clone();
        // Connects also where whoever asked has gone away, its time being up.
        tokio::spawn(async move { cmd("PING").query_async::<()>(&mut waits).await });
        Ok(manager.insert(made).clone())
    }
}

/// Adds a script with its key. Not by its hash: one that has restarted or was flushed does not know it.
fn script(pipeline: &mut Pipeline, code: &str, name: &str) {
    pipeline.cmd("EVAL").arg(code).arg(1).arg(name);
}

const fn micros((seconds, micros): (u64, u64)) -> u64 {
    seconds.saturating_mul(1_000_000).saturating_add(micros)
}
