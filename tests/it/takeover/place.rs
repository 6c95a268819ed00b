//! A database, by its file or its URL, and what an application keeps in it beside the store.

use std::path::Path;

use annals::SqliteStore;
use sqlx::SqliteConnection;
#[cfg(feature = "postgres")]
use sqlx::{Connection as _, PgConnection};

use crate::faults::raw;

/// Opens the store of a place, and goes on with it: the two are different types.
macro_rules! with_store {
    ($place:expr, $store:ident => $body:expr) => {{
        let place: &std::path::Path = $place;
        #[cfg(feature = "postgres")]
        if $crate::takeover::place::is_url(place) {
            let $store = annals::PostgresStore::connect(place.to_str().unwrap()).await.unwrap();
            return $body;
        }
        let $store = annals::SqliteStore::open(place).await.unwrap();
        $body
    }};
}
pub(super) use with_store;

#[cfg(feature = "postgres")]
pub fn is_url(place: &Path) -> bool {
    place.to_str().is_some_and(|place| place.starts_with("postgres://"))
}

/// A file with a store in it. It is removed with this value.
pub struct File {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl File {
    pub async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        SqliteStore::open(&path).await.unwrap().close().await;
        Self { _folder: folder, path }
    }

    pub fn place(&self) -> &Path {
        &self.path
    }
}

/// A connection that knows nothing of the store.
pub enum Own {
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
}

/// Runs the same lines on either connection.
macro_rules! on {
    ($own:expr, $connection:ident => $body:expr) => {
        match $own {
            $crate::takeover::place::Own::Sqlite($connection) => $body,
            #[cfg(feature = "postgres")]
            $crate::takeover::place::Own::Postgres($connection) => $body,
        }
    };
}
pub(super) use on;

impl Own {
    pub async fn connect(place: &Path) -> Self {
        #[cfg(feature = "postgres")]
        if is_url(place) {
            return Self::Postgres(PgConnection::connect(place.to_str().unwrap()).await.unwrap());
        }
        Self::Sqlite(raw(place).await)
    }

    /// Aggregates and sequences, as a query has them.
    pub async fn pairs(&mut self, sql: &'static str) -> Vec<(String, i64)> {
        on!(self, connection => sqlx::query_as(sql).fetch_all(connection).await.unwrap())
    }
}
