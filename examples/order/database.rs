//! The database, by its URL.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use annals::PostgresStore;
use annals::{Clock, Error, EventStore, SqliteStore, SystemClock};

/// An open database, of the kind that its URL names.
#[derive(Debug, Clone)]
pub enum Database {
    Sqlite(SqliteStore),
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
}

/// Opens the database of a URL, for those to whom it is an [`EventStore`] and nothing closer.
pub async fn connect(url: &str, clock: Option<Arc<dyn Clock>>) -> Result<Arc<dyn EventStore>, DatabaseError> {
    Ok(match Database::open(url, clock).await? {
        Database::Sqlite(store) => Arc::new(store),
        #[cfg(feature = "postgres")]
        Database::Postgres(store) => Arc::new(store),
    })
}

impl Database {
    /// Opens the database of a URL. Events are recorded by the machine's clock, unless another is given.
    pub async fn open(url: &str, clock: Option<Arc<dyn Clock>>) -> Result<Self, DatabaseError> {
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
        let unusable = |source| DatabaseError::Unusable { url: without_secrets(url), source };
        match url.split_once(':') {
            Some(("sqlite", _)) => {
                let store = SqliteStore::options().shared_clock(clock).connect(url).await;
                Ok(Self::Sqlite(store.map_err(unusable)?))
            }
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => {
                let store = PostgresStore::options().shared_clock(clock).connect(url).await;
                Ok(Self::Postgres(store.map_err(unusable)?))
            }
            #[cfg(not(feature = "postgres"))]
            Some(("postgres" | "postgresql", _)) => Err(DatabaseError::WithoutPostgres),
            Some((scheme, _)) => Err(DatabaseError::UnknownScheme(scheme.to_owned())),
            None => Err(DatabaseError::NoScheme),
        }
    }
}

/// Shows a URL to people: without a password, and without the parameters, where another may hide.
pub fn without_secrets(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (scheme, user_info, rest) = (&url[..scheme + 3], &url[scheme + 3..at], &url[at..]);
            let user = user_info.split_once(':').map_or(user_info, |(user, _)| user);
            format!("{scheme}{user}{rest}")
        }
        _ => url.to_owned(),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("{0:?} is no database this program knows; use a URL such as sqlite:orders.db or postgres://ann@db/shop")]
    UnknownScheme(String),
    #[error("a database is named by a URL such as sqlite:orders.db, with its kind before a colon")]
    NoScheme,
    #[cfg(not(feature = "postgres"))]
    #[error("this program was built without PostgreSQL: build it with cargo run --features postgres --example …")]
    WithoutPostgres,
    #[error("cannot use the database {url}")]
    Unusable { url: String, source: Error },
}

#[cfg(test)]
mod tests {
    use super::{DatabaseError, connect, without_secrets};

    #[cfg(not(feature = "postgres"))]
    #[tokio::test]
    async fn a_program_without_postgresql_says_what_to_build() {
        for url in ["postgres://ann:s3cret@db/shop", "postgresql://db/shop"] {
            let error = connect(url, None).await.err().unwrap();
            assert!(matches!(error, DatabaseError::WithoutPostgres), "{error}");
            assert!(error.to_string().contains("--features postgres"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_database_is_known_by_its_scheme() {
        assert!(connect("sqlite::memory:", None).await.is_ok());
        let error = connect("mysql://ann:s3cret@db/shop", None).await.err().unwrap();
        assert!(matches!(error, DatabaseError::UnknownScheme(ref scheme) if scheme == "mysql"), "{error}");
        assert!(matches!(connect("orders.db", None).await.err().unwrap(), DatabaseError::NoScheme));
    }

    #[test]
    fn a_shown_url_has_no_secrets() {
        for (url, shown) in [
            ("sqlite:orders.db", "sqlite:orders.db"),
            ("sqlite:///var/a@b.db?mode=rwc", "sqlite:///var/a@b.db"),
            ("postgres://ann:s3cr@t:x@db/shop?password=s3cret", "postgres://ann@db/shop"),
            ("postgres://ann@db/shop", "postgres://ann@db/shop"),
            ("postgres://db/shop", "postgres://db/shop"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
