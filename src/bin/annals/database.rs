//! The database, by its URL.

use annals::{Error, PostgresStore, SqliteStore};

/// An open database, of the kind that its URL names.
#[derive(Debug)]
pub enum Database {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Database {
    /// Opens a database that is there, with the schema of this version.
    ///
    /// It is neither made nor migrated.
    pub async fn open(url: &str) -> Result<Self, Error> {
        match url.split_once(':') {
            Some(("sqlite", _)) => {
                // A file that is not there is a mistake in the URL, and no reason to make one.
                let join = if url.contains('?') { '&' } else { '?' };
                let url = if url.contains("mode=") { url.to_owned() } else { format!("{url}{join}mode=rw") };
                SqliteStore::options().migrates(false).connect(&url).await.map(Self::Sqlite)
            }
            Some(("postgres" | "postgresql", _)) => {
                // One statement at a time.
                let options = PostgresStore::options().writers(1).readers(1).works(1).migrates(false);
                options.connect(url).await.map(Self::Postgres)
            }
            _ => Err(Error::invalid("the URL of a database begins with sqlite: or postgres://")),
        }
    }
}
