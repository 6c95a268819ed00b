//! Cases that need SQL, files or processes, on SQLite.

mod append;
mod crash;
mod groups;
mod pool;
mod process;
mod read;
mod refuse;
mod schema;

use std::path::PathBuf;

use annals::{Append, EventStore, EventStoreExt as _, LogQuery, NewEvent, RecordedEvent, SqliteStore};
use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use uuid::Uuid;

/// A database file in a directory of its own.
struct Database {
    folder: TempDir,
}

impl Database {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("annals.db")
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.path()).await.unwrap()
    }

    /// A connection that is not the store's: the application's, or somebody's with a shell.
    async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).create_if_missing(true).connect().await.unwrap()
    }
}

/// An append of events that hold a number each, at any version.
fn note(id: Uuid, numbers: impl IntoIterator<Item = u64>) -> Append {
    let events = numbers.into_iter().map(|number| NewEvent::new("noted", &number).unwrap());
    Append::new("notebook", id).events(events)
}

async fn log(store: &dyn EventStore) -> Vec<RecordedEvent> {
    store.collect_log(&LogQuery::all()).await.unwrap()
}

/// Makes sure that the log is at positions 1, 2, 3 … and ends at the head.
async fn assert_contiguous(store: &dyn EventStore, events: u64) {
    let positions: Vec<_> = log(store).await.iter().map(|event| event.position().get()).collect();
    assert_eq!(positions, (1..=events).collect::<Vec<_>>(), "positions are 1, 2, 3 … without holes");
    assert_eq!(store.head().await.unwrap().get(), events, "the head is the last position");
}
