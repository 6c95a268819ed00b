//! What whoever looks after a store wants to know of it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Error, Position};

/// Tells what a store holds, and how large it is.
///
/// For people and their dashboards. Nothing is locked or written. But for [`count_types`](Self::count_types) each answer
/// takes about as long with a million events as with a thousand.
#[async_trait]
pub trait Inspect: fmt::Debug + Send + Sync {
    /// Tells what kind of database it is, how large, and how much is in its tables.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn storage(&self) -> Result<Storage, Error>;

    /// Tells up to where the log can be read, and who holds readers back.
    ///
    /// # Errors
    ///
    /// A failed read; [`Error::Backend`] with [`Fault::ReadOnly`](super::Fault::ReadOnly) on a standby.
    async fn readable(&self) -> Result<Readable, Error>;

    /// Counts the events of each type: of so many types at the most, by name.
    ///
    /// It reads every event, and takes as long as that does.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] unless 1 to 10,000 types are asked for. A failed read.
    async fn count_types(&self, most: u32) -> Result<Vec<TypeCount>, Error>;

    /// Lists the names of queues that have timers, those behind a name: so many at the most, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] unless 1 to 10,000 are asked for. A failed read.
    async fn timer_queues(&self, after: Option<&str>, most: u32) -> Result<Vec<String>, Error>;
}

#[async_trait]
impl<S: Inspect + ?Sized> Inspect for Arc<S> {
    async fn storage(&self) -> Result<Storage, Error> {
        (**self).storage().await
    }

    async fn readable(&self) -> Result<Readable, Error> {
        (**self).readable().await
    }

    async fn count_types(&self, most: u32) -> Result<Vec<TypeCount>, Error> {
        (**self).count_types(most).await
    }

    async fn timer_queues(&self, after: Option<&str>, most: u32) -> Result<Vec<String>, Error> {
        (**self).timer_queues(after, most).await
    }
}

/// Tells what a store is kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Storage {
    /// The database and its version, such as `SQLite 3.50.4`.
    pub engine: String,
    /// The newest migration it has seen.
    pub schema_version: i64,
    /// The size of the whole database, with whatever else is in it.
    pub bytes: u64,
    /// How much of that is free, to be used again.
    ///
    /// `None` where the database does not say.
    pub free_bytes: Option<u64>,
    /// The size of the log beside the database, not written back yet.
    ///
    /// SQLite's write-ahead log; `None` where there is none that belongs to this database alone.
    pub log_bytes: Option<u64>,
    /// The tables, events first.
    pub tables: Vec<TableSize>,
}

/// Tells how large a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableSize {
    /// Its name, as in SQL.
    pub name: String,
    /// How many rows it has.
    pub rows: RowCount,
    /// Its size with its indexes; `None` where to know it would mean to read it.
    pub bytes: Option<u64>,
}

/// Counts rows, as far as that can be done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowCount {
    /// So many.
    Exact(u64),
    /// About so many, as the database last estimated.
    About(u64),
    /// More than so many, and nobody has estimated it yet.
    MoreThan(u64),
}

impl RowCount {
    /// The number, however sure it is.
    #[must_use]
    pub const fn get(self) -> u64 {
        match self {
            Self::Exact(rows) | Self::About(rows) | Self::MoreThan(rows) => rows,
        }
    }

    /// Reads what was counted up to a bound, and what is estimated.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn of(counted: i64, estimated: Option<i64>) -> Self {
        let counted = counted.max(0).unsigned_abs();
        if counted <= COUNTED_ROWS {
            return Self::Exact(counted);
        }
        match estimated.and_then(|rows| u64::try_from(rows).ok()) {
            Some(rows) if rows > COUNTED_ROWS => Self::About(rows),
            _ => Self::MoreThan(COUNTED_ROWS),
        }
    }
}

impl fmt::Display for RowCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(rows) => write!(f, "{rows}"),
            Self::About(rows) => write!(f, "about {rows}"),
            Self::MoreThan(rows) => write!(f, "more than {rows}"),
        }
    }
}

/// Up to how many rows are counted.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const COUNTED_ROWS: u64 = 100_000;

/// Tells up to where the log can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readable {
    /// Up to this position nothing can appear any more.
    pub position: Position,
    /// The last position that was drawn.
    pub last_drawn: Position,
    /// Who holds readers back. `None` where nobody does.
    pub held_by: Option<String>,
}

impl Readable {
    /// Who keeps readers from what was drawn behind the position.
    ///
    /// `None` where nothing was, or nobody does.
    #[must_use]
    pub fn kept_by(&self) -> Option<&str> {
        self.held_by.as_deref().filter(|_| self.position < self.last_drawn)
    }
}

/// Counts the events of one type in one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeCount {
    /// The type of the aggregates.
    pub aggregate_type: String,
    /// The type of the events.
    pub event_type: String,
    /// Their shape.
    pub schema_version: u32,
    /// How many there are.
    pub events: u64,
    /// How many of them are the first of their aggregate.
    ///
    /// Added up over all events of an aggregate type: the number of its aggregates.
    pub first_events: u64,
    /// When the first of them was recorded.
    pub first_at: DateTime<Utc>,
    /// When the last of them was recorded.
    pub last_at: DateTime<Utc>,
}

/// Makes sure that as many are asked for as are answered at once.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn check_most(most: u32) -> Result<i64, Error> {
    match most {
        1..=10_000 => Ok(i64::from(most)),
        _ => Err(Error::invalid(format!("{most} cannot be asked for at once: 1 to 10,000 can"))),
    }
}
