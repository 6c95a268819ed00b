//! Every conformance case, on SQLite in a file and in memory.

use std::sync::Arc;

use annals::{
    CheckpointStore, Clock, EventStore, Limits, SqliteStore, TimerStore,
    testing::conformance::{AnswerStores, Capabilities, Fixture, InboxPlace},
};
use async_trait::async_trait;
use tempfile::TempDir;

/// A database file in a directory of its own.
struct InFile {
    store: SqliteStore,
    clock: Arc<dyn Clock>,
    folder: TempDir,
}

impl InFile {
    async fn open(folder: &TempDir, clock: &Arc<dyn Clock>) -> SqliteStore {
        let options = SqliteStore::options().shared_clock(Arc::clone(clock));
        options.open(folder.path().join("annals.db")).await.unwrap()
    }
}

#[async_trait]
impl Fixture for InFile {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }

    fn checkpoints(&self) -> Option<Arc<dyn CheckpointStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn responses(&self) -> Option<AnswerStores> {
        Some(AnswerStores::of(&self.store))
    }

    fn timers(&self) -> Option<Arc<dyn TimerStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn inbox(&self) -> Option<Arc<dyn InboxPlace>> {
        Some(Arc::new(self.store.clone()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Self::open(&self.folder, &self.clock).await;
    }

    async fn another(&self) -> Option<Arc<dyn EventStore>> {
        Some(Arc::new(Self::open(&self.folder, &self.clock).await))
    }
}

async fn in_file(clock: Arc<dyn Clock>) -> InFile {
    let folder = tempfile::tempdir().unwrap();
    InFile { store: InFile::open(&folder, &clock).await, clock, folder }
}

struct InMemory(SqliteStore, Capabilities);

#[async_trait]
impl Fixture for InMemory {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.0.clone())
    }

    fn checkpoints(&self) -> Option<Arc<dyn CheckpointStore>> {
        Some(Arc::new(self.0.clone()))
    }

    fn responses(&self) -> Option<AnswerStores> {
        Some(AnswerStores::of(&self.0))
    }

    fn timers(&self) -> Option<Arc<dyn TimerStore>> {
        Some(Arc::new(self.0.clone()))
    }

    fn inbox(&self) -> Option<Arc<dyn InboxPlace>> {
        Some(Arc::new(self.0.clone()))
    }

    fn capabilities(&self) -> Capabilities {
        self.1
    }

    async fn reopen(&mut self) {
        unreachable!("a database in memory is gone with its store")
    }
}

async fn open_in_memory(clock: Arc<dyn Clock>) -> InMemory {
    InMemory(
        SqliteStore::options().shared_clock(clock).open_in_memory().await.unwrap(),
        Capabilities::all().without_restart(),
    )
}

async fn open_without_shared_commits(clock: Arc<dyn Clock>) -> InMemory {
    let limits = Limits { commit_appends: 1, ..Limits::default() };
    let options = SqliteStore::options().shared_clock(clock).limits(limits);
    InMemory(options.open_in_memory().await.unwrap(), Capabilities::all().without_restart())
}

async fn open_cached(clock: Arc<dyn Clock>) -> InMemory {
    let InMemory(store, capabilities) = open_in_memory(clock).await;
    InMemory(store, capabilities.cached(100))
}

async fn open_with_snapshots(clock: Arc<dyn Clock>) -> InMemory {
    let InMemory(store, capabilities) = open_in_memory(clock).await;
    InMemory(store, capabilities.snapshot_every(1))
}

async fn open_cached_with_snapshots(clock: Arc<dyn Clock>) -> InMemory {
    let InMemory(store, capabilities) = open_in_memory(clock).await;
    InMemory(store, capabilities.cached(1).snapshot_every(2))
}

mod in_a_file {
    annals::conformance!(super::in_file);
}

mod in_memory {
    annals::conformance!(super::open_in_memory);
}

mod without_shared_commits {
    annals::conformance!(super::open_without_shared_commits);
}

mod cached {
    annals::conformance!(super::open_cached);
}

mod with_snapshots {
    annals::conformance!(super::open_with_snapshots);
}

mod cached_with_snapshots {
    annals::conformance!(super::open_cached_with_snapshots);
}
