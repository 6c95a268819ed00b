//! Projections: rows made of events, and the tables they stand in.

use std::fmt;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::BoxError;
use crate::store::{Error, RecordedEvent, Selection};

/// Makes rows of events: a read model.
///
/// A [`Projector`](crate::Projector) runs it. `C` is the connection of the database it is for: `sqlx::SqliteConnection` or
/// `sqlx::PgConnection`; one type can implement both.
///
/// The events of a batch are applied in one transaction, in which the checkpoint moves as well: so each event takes effect
/// **exactly once**, through crashes and take-overs.
///
/// The tables it declares are its own. SQL names them in braces, `{sales}`, since there is a table for each build, such as
/// `sales__1`; readers use the view `sales`, which shows the build that is complete.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # mod example {
/// use annals::{BoxError, Projection, RecordedEvent, Table, Target};
/// use sqlx::SqliteConnection;
///
/// struct EventsPerType;
///
/// impl Projection<SqliteConnection> for EventsPerType {
///     fn name(&self) -> &str {
///         "events-per-type"
///     }
///
///     fn tables(&self) -> Vec<Table> {
///         vec![Table::new("event_types", "CREATE TABLE {event_types} (name TEXT PRIMARY KEY, events INTEGER NOT NULL)")]
///     }
///
///     async fn apply(&self, event: &RecordedEvent, target: &mut Target<'_, SqliteConnection>) -> Result<(), BoxError> {
///         let count = target.sql(
///             "INSERT INTO {event_types} (name, events) VALUES (?, 1)
///              ON CONFLICT (name) DO UPDATE SET events = events + 1",
///         );
///         sqlx::query(count).bind(event.event_type()).execute(target.connection()).await?;
///         Ok(())
///     }
/// }
/// # }
/// ```
pub trait Projection<C: Send>: Send + Sync + 'static {
    /// Its name, kept with its checkpoint: 1 to 200 visible ASCII characters.
    fn name(&self) -> &str;

    /// Its version: raised when its tables or what it makes of events change.
    ///
    /// Then it is [rebuilt](crate::Projector::rebuild).
    ///
    /// From 1. Default: 1.
    fn version(&self) -> u32 {
        1
    }

    /// Which events it is told. Default: all.
    fn selection(&self) -> Selection {
        Selection::all()
    }

    /// The tables it keeps its rows in. Default: none.
    ///
    /// It then writes to tables of the application's, and cannot be rebuilt.
    fn tables(&self) -> Vec<Table> {
        Vec::new()
    }

    /// Applies an event to the rows, in the transaction in which the checkpoint moves.
    ///
    /// Begins and ends no transaction. It can be called again for an event: what the earlier call did was rolled back then.
    ///
    /// # Errors
    ///
    /// Whatever keeps the event from being applied; it is tried again, and then parked or the end of the runner.
    fn apply(
        &self,
        event: &RecordedEvent,
        target: &mut Target<'_, C>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Does what reaches beyond the database. Default: nothing.
    ///
    /// **At least once** for each event.
    ///
    /// Called before the transaction that applies the event: a crash after it, an event that then fails, or one that is then
    /// parked behind another, has it called again. Never called while a rebuild replays what was handled before.
    ///
    /// # Errors
    ///
    /// As for [`apply`](Self::apply).
    fn effect(&self, event: &RecordedEvent) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = event;
        async { Ok(()) }
    }
}

/// Declares a table of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    name: &'static str,
    create: &'static str,
}

impl Table {
    /// The longest name: what a build appends has to fit into what PostgreSQL takes for a name.
    const LONGEST_NAME: usize = 40;

    /// Declares a table by its name and the statements that create it.
    ///
    /// A name has lower-case letters, digits and underscores, 40 at the most. The statements name the table in braces:
    /// `CREATE TABLE {sales} (…); CREATE INDEX {sales}_by_day ON {sales} (day)`.
    #[must_use]
    pub const fn new(name: &'static str, create: &'static str) -> Self {
        Self { name, create }
    }

    /// The name that readers use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self) -> Result<(), Error> {
        let Self { name, create } = self;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty()
            || name.len() > Self::LONGEST_NAME
            || !name.bytes().all(is_name)
            || name.starts_with(|first: char| first.is_ascii_digit())
            || name.contains("__")
            || name.starts_with("annals_")
        {
            return Err(Error::invalid(format!(
                "{name:?} is no name of a projection's table: lower-case letters, digits and single underscores, {} at the most, \
                 not beginning with a digit or annals_",
                Self::LONGEST_NAME
            )));
        }
        if !create.contains(&format!("{{{name}}}")) {
            return Err(Error::invalid(format!("the statements of table {name} do not name it as {{{name}}}")));
        }
        Ok(())
    }
}

/// Makes sure that tables can be made.
pub(super) fn check(tables: &[Table]) -> Result<(), Error> {
    for (at, table) in tables.iter().enumerate() {
        table.check()?;
        if tables[..at].iter().any(|other| other.name == table.name) {
            return Err(Error::invalid(format!("the table {} is declared twice", table.name)));
        }
    }
    Ok(())
}

/// One build of a projection: its tables, by their own names.
pub(super) struct Build {
    pub(super) number: u32,
    tables: Vec<Table>,
    /// Statements of the code, by where they lie.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    expanded: Mutex<HashMap<(usize, usize), Arc<str>>>,
}

impl Build {
    pub(super) fn new(number: u32, tables: Vec<Table>) -> Self {
        Self {
            number,
            tables,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            expanded: Mutex::default(),
        }
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        self.tables.iter().map(|table| (table.name, self.table(table)))
    }

    fn table(&self, table: &Table) -> String {
        format!("{}__{}", table.name, self.number)
    }

    /// What makes its tables. Fails where there are any: they would be somebody else's.
    pub(super) fn creation(&self) -> String {
        self.tables.iter().map(|table| self.expand(table.create)).collect::<Vec<_>>().join(";\n")
    }

    /// What makes its views, the first time. Fails where there are any.
    pub(super) fn showing(&self) -> String {
        let show = |(view, table)| format!("CREATE VIEW {view} AS SELECT * FROM {table}");
        self.tables().map(show).collect::<Vec<_>>().join(";\n")
    }

    /// What removes its tables.
    pub(super) fn removal(&self) -> String {
        self.tables().map(|(_, table)| format!("DROP TABLE IF EXISTS {table}")).collect::<Vec<_>>().join(";\n")
    }

    /// What removes its views.
    pub(super) fn hiding(&self) -> String {
        self.tables.iter().map(|table| format!("DROP VIEW IF EXISTS {}", table.name)).collect::<Vec<_>>().join(";\n")
    }

    /// Puts the names of this build's tables in place of those in braces. What is declared nowhere stays as it is.
    fn expand(&self, sql: &str) -> String {
        self.tables
            .iter()
            .fold(sql.to_owned(), |sql, table| sql.replace(&format!("{{{}}}", table.name), &self.table(table)))
    }

    /// The same, once for each statement of the code.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn sql(&self, sql: &'static str) -> Arc<str> {
        let key = (sql.as_ptr() as usize, sql.len());
        let mut expanded = self.expanded.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(expanded.entry(key).or_insert_with(|| self.expand(sql).into()))
    }
}

impl fmt::Debug for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Build").field("number", &self.number).field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// Says where rows go: the transaction, and the tables of this build.
pub struct Target<'t, C> {
    connection: &'t mut C,
    build: &'t Build,
    is_rebuild: bool,
}

impl<'t, C> Target<'t, C> {
    pub(super) fn new(connection: &'t mut C, build: &'t Build, is_rebuild: bool) -> Self {
        Self { connection, build, is_rebuild }
    }

    /// The connection, inside the transaction in which the checkpoint moves.
    pub fn connection(&mut self) -> &mut C {
        self.connection
    }

    /// A statement with the projection's own tables in the place of `{name}`.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[must_use]
    pub fn sql(&self, sql: &'static str) -> sqlx::SqlStr {
        use sqlx::SqlSafeStr as _;

        // Safe: a text of the code, in which names were put that have letters, digits and underscores alone.
        sqlx::AssertSqlSafe(self.build.sql(sql)).into_sql_str()
    }

    /// The table of this build behind a view's name; `None` where it was not declared.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<String> {
        self.build.tables().find(|(declared, _)| *declared == name).map(|(_, table)| table)
    }

    /// Whether this is a rebuild, which replays what was handled before.
    #[must_use]
    pub const fn is_rebuild(&self) -> bool {
        self.is_rebuild
    }
}

impl<C> fmt::Debug for Target<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("build", &self.build.number).finish_non_exhaustive()
    }
}
