//! How to open a database.

use std::{fmt, path::Path, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    Connection as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{SqliteStore, classify::classify, migrate};
use crate::store::{Clock, Error, Limits, Polling, SchemaState, SystemClock};

/// Says when a commit counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// When it is on the disk: survives a power failure. The default.
    #[default]
    Full,
    /// When the operating system has it: survives a crash of the process; a power failure can lose the last commits.
    Normal,
}

/// Holds the settings of a [`SqliteStore`].
///
/// ```
/// # async fn example() -> Result<(), annals::Error> {
/// use annals::{SqliteStore, Synchronous};
///
/// let store = SqliteStore::options().synchronous(Synchronous::Normal).readers(8).open("orders.db").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteOptions {
    pub(super) readers: u32,
    pub(super) synchronous: Synchronous,
    pub(super) busy_timeout: Duration,
    pub(super) limits: Limits,
    polling: Option<Polling>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pragmas: Vec<(String, String)>,
    pub(super) migrates: bool,
    inspects: bool,
}

/// Shows the names of pragmas and not their values: one of them may be a password.
impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pragmas: Vec<_> = self.pragmas.iter().map(|(name, _)| name).collect();
        f.debug_struct("SqliteOptions")
            .field("readers", &self.readers)
            .field("synchronous", &self.synchronous)
            .field("busy_timeout", &self.busy_timeout)
            .field("limits", &self.limits)
            .field("polling", &self.polling)
            .field("pragmas", &pragmas)
            .finish_non_exhaustive()
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            synchronous: Synchronous::Full,
            busy_timeout: Duration::from_secs(5),
            limits: Limits::default(),
            polling: None,
            clock: Arc::new(SystemClock),
            pragmas: Vec::new(),
            migrates: true,
            inspects: false,
        }
    }
}

/// What "without end" comes to: SQLite counts milliseconds in 31 bits, which is 24 days.
const LONGEST_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

impl SqliteOptions {
    /// Sets how many connections read at once, beside the one that writes.
    ///
    /// Default: 4; from 1 to 1,024.
    #[must_use]
    pub fn readers(mut self, connections: u32) -> Self {
        self.readers = connections.clamp(1, 1024);
        self
    }

    /// Sets when a commit counts as written. Default: [`Synchronous::Full`].
    #[must_use]
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Sets how long to wait for another process that writes. Default: 5 seconds.
    ///
    /// A free connection of this store's own is waited for as long, and for a second at the least.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout.min(LONGEST_TIMEOUT);
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
    /// The file is opened for reading, even where the URL says otherwise: neither made nor migrated, nor is its journal
    /// moved into it at the end. What is damaged is left for [`Verify`](crate::Verify) to name. An older schema is still
    /// [`Error::Schema`]. Whatever would write ends in [`Error::Backend`] with [`Fault::ReadOnly`](crate::Fault::ReadOnly).
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
    /// While somebody waits for them. Default: every 100 milliseconds, also while nothing happens; in memory every minute,
    /// since there no other process can write.
    #[must_use]
    pub const fn polling(mut self, polling: Polling) -> Self {
        self.polling = Some(polling);
        self
    }

    /// How often to look where nothing was set.
    pub(super) fn polling_at(&self, place: Place) -> Polling {
        self.polling.unwrap_or(match place {
            // Another process tells nobody. One look is a few microseconds.
            Place::File | Place::FileToRead => Polling::steady(Duration::from_millis(100)),
            // All commits are the store's own, and wake whoever waits. The look is for one that reported an error and is there.
            Place::Memory => Polling::steady(Duration::from_secs(60)),
        })
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

    /// Sets a pragma on every connection, such as `cache_size`.
    ///
    /// See [SQLite's list](https://www.sqlite.org/pragma.html). Name and value are taken as they stand: never from input.
    ///
    /// The connection that writes has `temp_store=MEMORY`, also for the application's own SQL in its transactions: whoever
    /// sorts or changes much there may set it to `FILE`.
    #[must_use]
    pub fn pragma(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.pragmas.push((name.into(), value.into()));
        self
    }

    /// Opens a database file, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the path is none that SQLite takes for a file; [`Error::Unavailable`]: the file cannot be
    /// opened; [`Error::Schema`]: it belongs to a newer version, or is not a
    /// database of this crate; [`Error::Backend`]: it is damaged or cannot be written.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, Error> {
        let connect = SqliteConnectOptions::new().filename(path);
        check_filename(&connect)?;
        self.connect_to(connect, Place::File, true).await
    }

    /// Opens a database in memory. It is gone with the last clone of the store.
    ///
    /// There is one connection: a reader waits for the writer, and within an open
    /// [`Work`](crate::Work) the store itself is out of reach.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`]: SQLite could not start. [`Error::Invalid`]: it is to be inspected.
    pub async fn open_in_memory(self) -> Result<SqliteStore, Error> {
        if self.inspects {
            return Err(Error::invalid("a database in memory is new: there is nothing to inspect"));
        }
        SqliteStore::connect_with(SqliteConnectOptions::new().in_memory(true), Place::Memory, self).await
    }

    /// Opens the database of a URL.
    ///
    /// `sqlite:orders.db`, `sqlite:///var/lib/orders.db`, `sqlite::memory:`.
    ///
    /// The file is made where there is none, save with `?mode=rw`. With `?mode=ro` it is only read: its schema has to be current, and
    /// appends end in [`Error::Backend`] with [`Fault::ReadOnly`](crate::Fault::ReadOnly).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the URL is none of SQLite's; else as for [`open`](Self::open).
    pub async fn connect(self, url: &str) -> Result<SqliteStore, Error> {
        let (connect, place) = parse(url)?;
        if place == Place::Memory {
            return self.open_in_memory().await;
        }
        self.connect_to(connect, place, !has_parameter(url, "mode=rw")).await
    }

    /// Opens a file, if need be only to look at it.
    async fn connect_to(self, connect: SqliteConnectOptions, place: Place, makes: bool) -> Result<SqliteStore, Error> {
        if self.inspects {
            let connect = connect.create_if_missing(false).read_only(true);
            return SqliteStore::connect_with(connect, Place::FileToRead, self).await;
        }
        SqliteStore::connect_with(connect.create_if_missing(makes && place == Place::File), place, self).await
    }

    /// Tells which schema the database of a URL has, and what it lacks.
    ///
    /// Nothing is changed, and no file made. A file that is not there has none, unless the URL says `mode=rw`.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`]: it is one that only newer code knows. [`Error::Invalid`] for a database in memory. Else as for
    /// [`connect`](Self::connect).
    pub async fn schema_state(self, url: &str) -> Result<SchemaState, Error> {
        let (connect, place) = parse(url)?;
        if place == Place::Memory {
            return Err(Error::invalid("a database in memory has the schema of whoever made it"));
        }
        if place == Place::File && !has_parameter(url, "mode=rw") && !connect.get_filename().exists() {
            return Ok(migrate::nothing_seen());
        }
        let untouched = self.apply(connect.create_if_missing(false), Place::FileToRead);
        let mut connection = self::connect(&untouched, self.busy_timeout).await?;
        let state = migrate::state(&mut connection).await;
        // It has only read.
        drop(connection.close().await);
        state
    }

    /// Adds what every connection of this crate is set to.
    pub(super) fn apply(&self, connect: SqliteConnectOptions, place: Place) -> SqliteConnectOptions {
        let connect = connect
            .busy_timeout(self.busy_timeout)
            .synchronous(match self.synchronous {
                Synchronous::Full => SqliteSynchronous::Full,
                Synchronous::Normal => SqliteSynchronous::Normal,
            })
            // Without it REPLACE removes the row in its way and asks no trigger: the one that refuses DELETE neither.
            .pragma("recursive_triggers", "ON")
            .statement_cache_capacity(64);
        let connect = match place {
            Place::File => connect.journal_mode(SqliteJournalMode::Wal),
            // Memory has no log to write ahead, and who only reads leaves the journal as it is.
            Place::Memory | Place::FileToRead => connect,
        };
        self.pragmas.iter().fold(connect, |connect, (name, value)| connect.pragma(name.clone(), value.clone()))
    }
}

/// Where a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    File,
    FileToRead,
}

impl Place {
    fn of(url: &str) -> Self {
        let database = url.split_once('?').map_or(url, |(database, _)| database);
        if matches!(database, "sqlite::memory:" | "sqlite://:memory:") || has_parameter(url, "mode=memory") {
            Self::Memory
        } else if has_parameter(url, "mode=ro") {
            Self::FileToRead
        } else {
            Self::File
        }
    }
}

fn has_parameter(url: &str, wanted: &str) -> bool {
    url.split_once('?').is_some_and(|(_, parameters)| parameters.split('&').any(|found| found == wanted))
}

fn parse(url: &str) -> Result<(SqliteConnectOptions, Place), Error> {
    if !url.starts_with("sqlite:") {
        return Err(Error::invalid("the URL of a SQLite database begins with sqlite:"));
    }
    let connect = SqliteConnectOptions::from_str(url)
        .map_err(|error| Error::invalid(format!("not the URL of a SQLite database: {error}")))?;
    let place = Place::of(url);
    if place != Place::Memory {
        check_filename(&connect)?;
    }
    Ok((connect, place))
}

/// SQLite takes some names for other things than files: databases that are gone with their connection.
fn check_filename(connect: &SqliteConnectOptions) -> Result<(), Error> {
    match connect.get_filename().to_str() {
        None => Err(Error::invalid("the path of a SQLite database is UTF-8")),
        Some("") => Err(Error::invalid("a SQLite database has a path")),
        Some(name) if name == ":memory:" || name.starts_with("file:") => {
            Err(Error::invalid("SQLite takes this path for something else than a file: begin it with ./"))
        }
        Some(name) => match Path::new(name).parent() {
            // An empty parent is the current folder.
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                Err(Error::invalid(format!("there is no folder {} to keep a database in", folder.display())))
            }
            _ => Ok(()),
        },
    }
}

/// Opens one connection, patiently: while another opener switches the file to WAL, SQLite answers BUSY at once.
pub(super) async fn connect(
    connect: &SqliteConnectOptions,
    patience: Duration,
) -> Result<sqlx::SqliteConnection, Error> {
    use backon::Retryable as _;
    use sqlx::ConnectOptions as _;

    (|| connect.connect())
        .retry(
            backon::ExponentialBuilder::new()
                .with_min_delay(Duration::from_millis(2))
                .with_max_delay(Duration::from_millis(100))
                .with_total_delay(Some(patience))
                .with_jitter()
                .without_max_times(),
        )
        .when(super::classify::is_busy)
        .await
        .map_err(classify)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Place, SqliteOptions};
    use crate::store::Polling;

    #[test]
    fn a_file_is_looked_at_steadily_and_memory_hardly_ever() {
        let default = SqliteOptions::default();
        for place in [Place::File, Place::FileToRead] {
            assert_eq!(default.polling_at(place), Polling::steady(Duration::from_millis(100)));
        }
        assert!(default.polling_at(Place::Memory).every >= Duration::from_secs(60));
        let set = Polling::steady(Duration::from_millis(5));
        for place in [Place::File, Place::FileToRead, Place::Memory] {
            assert_eq!(SqliteOptions::default().polling(set).polling_at(place), set);
        }
    }
}
