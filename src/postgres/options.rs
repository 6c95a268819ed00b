//! How to connect to a database.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use sqlx::{Connection as _, postgres::PgConnectOptions};

use super::{PostgresStore, migrate, pool};
use crate::store::{Clock, Error, Limits, Polling, SchemaState, SystemClock};

/// Holds the settings of a [`PostgresStore`].
///
/// ```no_run
/// # async fn example() -> Result<(), annals::Error> {
/// use annals::PostgresStore;
///
/// let store = PostgresStore::options().readers(16).schema("ordering").connect("postgres://app@db.internal/shop").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) writers: u32,
    pub(super) readers: u32,
    pub(super) works: u32,
    pub(super) lock_timeout: Duration,
    pub(super) acquire_timeout: Duration,
    pub(super) stall_after: Duration,
    pub(super) schema: Option<String>,
    pub(super) is_pooled: bool,
    pub(super) limits: Limits,
    pub(super) polling: Polling,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) migrates: bool,
    pub(super) inspects: bool,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("writers", &self.writers)
            .field("readers", &self.readers)
            .field("works", &self.works)
            .field("lock_timeout", &self.lock_timeout)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("stall_after", &self.stall_after)
            .field("schema", &self.schema)
            .field("is_pooled", &self.is_pooled)
            .field("limits", &self.limits)
            .field("polling", &self.polling)
            .finish_non_exhaustive()
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            writers: 4,
            readers: 8,
            works: 8,
            lock_timeout: Duration::from_secs(1),
            acquire_timeout: Duration::from_secs(5),
            stall_after: Duration::from_secs(5),
            schema: None,
            is_pooled: false,
            limits: Limits::default(),
            polling: Polling::default(),
            clock: Arc::new(SystemClock),
            migrates: true,
            inspects: false,
        }
    }
}

/// The least and the most that a timeout can be: PostgreSQL counts milliseconds in 31 bits, and 0 is "without end".
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(i32::MAX as u64));

impl PostgresOptions {
    /// Sets how many connections write appends. Default: 4; from 1 to 64.
    ///
    /// Callers share commits: more of them are not faster, unless the server is far away.
    #[must_use]
    pub fn writers(mut self, connections: u32) -> Self {
        self.writers = connections.clamp(1, 64);
        self
    }

    /// Sets how many connections read. Default: 8; from 1 to 1,024.
    #[must_use]
    pub fn readers(mut self, connections: u32) -> Self {
        self.readers = connections.clamp(1, 1024);
        self
    }

    /// Sets how many transactions may be open at once. Default: 8; from 1 to 1,024.
    ///
    /// Those of [`begin`](crate::Transactional::begin). They have connections of their own: holding one, a caller can still read and append
    /// past it.
    #[must_use]
    pub fn works(mut self, connections: u32) -> Self {
        self.works = connections.clamp(1, 1024);
        self
    }

    /// Sets how long an append waits for another's transaction. Default: 1 second.
    ///
    /// Then it ends in [`Error::Contention`], and does not hold its neighbours up any longer.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout.clamp(TIMEOUTS.0, TIMEOUTS.1);
        self
    }

    /// Sets how long to wait for a connection. Default: 5 seconds.
    ///
    /// For a free one, or for a server to accept one.
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout.clamp(TIMEOUTS.0, TIMEOUTS.1);
        self
    }

    /// Sets after how long it is told who holds readers of the log back.
    ///
    /// Default: 5 seconds. Whoever writes events and does not commit holds them back: nothing is skipped, however long it
    /// takes. What is told is a log line that names the server's process or the prepared transaction, and the gauges
    /// `annals_horizon_stalled_seconds` and `annals_horizon_holder_pid`. Told while somebody reads the log or waits for it.
    #[must_use]
    pub const fn stall_after(mut self, time: Duration) -> Self {
        self.stall_after = time;
        self
    }

    /// Sets the schema that the tables are in. It has to exist.
    ///
    /// Default: the first of the role's search path.
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// Says that a pooler such as pgbouncer stands in between. Default: false.
    ///
    /// In transaction mode, that is.
    /// Then nothing is set on connections, which belong to nobody: `lock_timeout` and the search path are to be set on
    /// the role, with `ALTER ROLE … SET`, along with `plan_cache_mode = force_generic_plan`, and `jit`, `enable_seqscan` and
    /// `enable_bitmapscan` = `off` (a plan that was made while the tables were small is kept); and other processes' events
    /// are found by asking for them instead of `LISTEN`. pgbouncer needs to be 1.21 or newer, with
    /// `max_prepared_statements` above 0.
    #[must_use]
    pub const fn pooled(mut self, is_pooled: bool) -> Self {
        self.is_pooled = is_pooled;
        self
    }

    /// Sets whether opening brings an older schema up to date. Default: yes.
    ///
    /// Without it an older schema, or none, is [`Error::Schema`]: for tools, which leave that to the service.
    #[must_use]
    pub const fn migrates(mut self, migrates: bool) -> Self {
        self.migrates = migrates;
        self
    }

    /// Opens the database to look at it only, whatever state it is in.
    ///
    /// It is not migrated. What would make a store refuse it is left for [`Verify`](crate::Verify) to name: a sequence of
    /// positions that is behind the log, for example. An older schema is still [`Error::Schema`]. Whatever would write ends
    /// in [`Error::Backend`] with [`Fault::ReadOnly`](crate::Fault::ReadOnly).
    #[must_use]
    pub const fn for_inspection(mut self) -> Self {
        (self.migrates, self.inspects) = (false, true);
        self
    }

    /// Sets the bounds on what is written. See [`Limits`] for the defaults.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how often to look for events of other processes.
    ///
    /// While somebody waits for them. See [`Polling`] for the default. They are told of as well, within milliseconds, over
    /// connections of their own; looking finds them all, told or not.
    #[must_use]
    pub const fn polling(mut self, polling: Polling) -> Self {
        self.polling = polling;
        self
    }

    /// Sets the clock that `recorded_at` is taken from. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets a clock shared with others.
    #[must_use]
    pub fn shared_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Connects to the database of a URL such as `postgres://app@db.internal/shop`.
    ///
    /// A unix socket is named by its folder: `postgres://app@localhost/shop?host=/run/postgresql`. What the URL leaves out
    /// comes from `PGHOST`, `PGUSER` and the like, and `~/.pgpass`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the URL or the schema's name is none; [`Error::Unavailable`]: no connection could be made, try
    /// again later; [`Error::Schema`]: the tables belong to a newer version, there is no schema to make them in, or the
    /// log's sequence does not fit the log; [`Error::Backend`]: the server refused, because of a wrong password for
    /// example.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, Error> {
        let connect = self.parse(url)?;
        PostgresStore::connect_with(connect, self).await
    }

    /// Tells which schema the database of a URL has, and what it lacks.
    ///
    /// Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`]: it is one that only newer code knows, or none of ours. Else as for [`connect`](Self::connect).
    pub async fn schema_state(self, url: &str) -> Result<SchemaState, Error> {
        let connect = self.parse(url)?;
        let mut connection = pool::connect(&self.apply(connect, Role::Work), self.acquire_timeout).await?;
        let state = migrate::state(&mut connection).await;
        // A farewell that does not arrive changes nothing.
        drop(connection.close().await);
        state
    }

    fn parse(&self, url: &str) -> Result<PgConnectOptions, Error> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(Error::invalid("the URL of a PostgreSQL database begins with postgres://"));
        }
        // What the parser says may quote the password.
        let connect =
            PgConnectOptions::from_str(url).map_err(|_| Error::invalid("not the URL of a PostgreSQL database"))?;
        self.check()?;
        Ok(connect)
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_pooled && self.inspects {
            return Err(Error::invalid("connections of a pooler cannot be kept from writing: connect without one"));
        }
        let Some(name) = &self.schema else {
            return Ok(());
        };
        if self.is_pooled {
            return Err(Error::invalid("behind a pooler the search path is set on the role, not on connections"));
        }
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(is_plain) || name.as_bytes()[0].is_ascii_digit() {
            return Err(Error::invalid(
                "the name of a schema has 1 to 63 of a to z, 0 to 9 and _, and begins with no digit",
            ));
        }
        Ok(())
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Appends, and nothing else.
    Writer,
    /// The store's own reads.
    Reader,
    /// Transactions with the application's own SQL.
    Work,
}

/// One plan for every number of rows, made once: planning a batch anew takes longer than running it. And no plan that was
/// made while the tables were small may read them through once they are large.
const PLANS: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
];

/// What an append joins is a batch of unknown size: hashed it stays linear.
const JOINS: [(&str, &str); 2] = [("enable_nestloop", "off"), ("enable_mergejoin", "off")];

/// The settings that decide how statements are planned.
pub(super) fn plan_settings(role: Role) -> Vec<(&'static str, &'static str)> {
    match role {
        Role::Writer => PLANS.into_iter().chain(JOINS).collect(),
        Role::Reader => PLANS.to_vec(),
        // The application's own SQL is planned as it is used to.
        Role::Work => Vec::new(),
    }
}

impl PostgresOptions {
    /// Adds what every connection for this purpose is set to.
    pub(super) fn apply(&self, connect: PgConnectOptions, role: Role) -> PgConnectOptions {
        let connect = connect.statement_cache_capacity(64);
        if self.is_pooled {
            return connect.extra_float_digits(None);
        }
        let mut settings = vec![
            ("default_transaction_isolation", "read committed".to_owned()),
            ("lock_timeout", self.lock_timeout.as_millis().to_string()),
        ];
        settings.extend(plan_settings(role).into_iter().map(|(name, value)| (name, value.to_owned())));
        if self.inspects {
            settings.push(("default_transaction_read_only", "on".to_owned()));
        }
        settings.extend(self.schema.iter().map(|name| ("search_path", name.clone())));
        connect.options(settings)
    }
}
