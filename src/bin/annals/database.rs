//! The database, by its URL.

use std::borrow::Cow;

use annals::{Error, PostgresOptions, PostgresStore, SqliteStore};

/// An open database, of the kind that its URL names.
#[derive(Debug)]
pub enum Database {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

/// Does the same to a store of either kind: `on!(database, store => show(&store, args).await)`.
macro_rules! on {
    ($database:expr, $store:ident => $done:expr) => {
        match $database {
            $crate::database::Database::Sqlite($store) => $done,
            $crate::database::Database::Postgres($store) => $done,
        }
    };
}
pub(crate) use on;

/// The kinds of databases there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    /// Which kind a URL names.
    pub fn of(url: &str) -> Result<Self, Error> {
        match url.split_once(':') {
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => Err(Error::invalid("the URL of a database begins with sqlite: or postgres://")),
        }
    }
}

/// A file that is not there is a mistake in the URL, and no reason to make one.
pub fn existing(url: &str) -> Cow<'_, str> {
    if url.contains("mode=") {
        return Cow::Borrowed(url);
    }
    let join = if url.contains('?') { '&' } else { '?' };
    Cow::Owned(format!("{url}{join}mode=rw"))
}

/// How a server is connected to: one thing at a time, and a look at the log beside it.
pub fn postgres(schema: Option<&str>) -> PostgresOptions {
    let options = PostgresStore::options().writers(1).readers(2).works(1);
    match schema {
        Some(name) => options.schema(name),
        None => options,
    }
}

impl Database {
    /// Opens a database that is there to look at it only.
    ///
    /// Also one that the store would refuse.
    pub async fn inspect(url: &str, schema: Option<&str>) -> Result<Self, Error> {
        match Kind::of(url)? {
            Kind::Sqlite => SqliteStore::options().for_inspection().connect(url).await.map(Self::Sqlite),
            Kind::Postgres => postgres(schema).for_inspection().connect(url).await.map(Self::Postgres),
        }
    }

    /// Opens a database that is there, with the schema of this version.
    ///
    /// It is neither made nor migrated.
    pub async fn open(url: &str, schema: Option<&str>) -> Result<Self, Error> {
        match Kind::of(url)? {
            Kind::Sqlite => SqliteStore::options().migrates(false).connect(&existing(url)).await.map(Self::Sqlite),
            Kind::Postgres => postgres(schema).migrates(false).connect(url).await.map(Self::Postgres),
        }
    }
}
