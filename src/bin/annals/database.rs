//! The database, by its URL.

use std::{borrow::Cow, path::Path, str::FromStr as _};

use annals::{PostgresOptions, PostgresStore, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;

use super::ending::Failure;

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
    /// Which kind a URL names; only a server's database has schemas.
    pub fn of(url: &str, schema: Option<&str>) -> Result<Self, Failure> {
        match url.split_once(':') {
            Some(("sqlite", _)) if schema.is_some() => {
                Err(Failure::Usage("a SQLite database has no schemas: leave --schema out".to_owned()))
            }
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => {
                let begins = "the URL of a database begins with sqlite: or postgres://";
                Err(Failure::Usage(match Path::new(url).is_file() {
                    true => format!("{begins}. For this file: sqlite:{url}"),
                    false => begins.to_owned(),
                }))
            }
        }
    }
}

/// Makes sure that a SQLite file is there, where it is not to be made.
fn check_there(url: &str) -> Result<(), Failure> {
    let file = SqliteConnectOptions::from_str(url).ok().map(|options| options.get_filename().to_owned());
    match file {
        Some(file) if !url.contains("mode=") && !url.contains(":memory:") && !file.exists() => {
            let file = file.display();
            Err(Failure::failed(format!(
                "there is no file {file}. To make a new database: annals migrate --database-url 'sqlite:{file}?mode=rwc'"
            )))
        }
        _ => Ok(()),
    }
}

/// A file that is not there is a mistake in the URL, and no reason to make one.
pub fn existing(url: &str) -> Result<Cow<'_, str>, Failure> {
    check_there(url)?;
    if url.contains("mode=") {
        return Ok(Cow::Borrowed(url));
    }
    let join = if url.contains('?') { '&' } else { '?' };
    Ok(Cow::Owned(format!("{url}{join}mode=rw")))
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
    pub async fn inspect(url: &str, schema: Option<&str>) -> Result<Self, Failure> {
        Ok(match Kind::of(url, schema)? {
            Kind::Sqlite => {
                check_there(url)?;
                Self::Sqlite(SqliteStore::options().for_inspection().connect(url).await?)
            }
            Kind::Postgres => Self::Postgres(postgres(schema).for_inspection().connect(url).await?),
        })
    }

    /// Opens a database that is there, with the schema of this version.
    ///
    /// It is neither made nor migrated.
    pub async fn open(url: &str, schema: Option<&str>) -> Result<Self, Failure> {
        Ok(match Kind::of(url, schema)? {
            Kind::Sqlite => Self::Sqlite(SqliteStore::options().migrates(false).connect(&existing(url)?).await?),
            Kind::Postgres => Self::Postgres(postgres(schema).migrates(false).connect(url).await?),
        })
    }
}
