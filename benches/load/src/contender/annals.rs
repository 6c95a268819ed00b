//! annals, with queue, cache, keys and snapshots on or off. Without the queue every append has a commit of its own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ::annals::{
    Aggregate, Append, EventStore, EventStoreExt as _, Id, IdempotencyKey, Limits, NewEvent, PostgresStore, Repository,
    SqliteStore, Upcasters,
};
use anyhow::Result;
use async_trait::async_trait;
use uuid::Uuid;

use super::{Contender, Orders};
use crate::{
    order::{Order, OrderCommand, OrderEvent, OrderRejection},
    place::Place,
    work::Work,
};

/// How many orders the cache keeps: as many as there are tasks, and some more.
const CACHED_ORDERS: usize = 1_024;

/// A snapshot is taken past each multiple of this.
const SNAPSHOT_EVERY: u64 = 50;

/// The most events of one append.
const APPEND_EVENTS: usize = 500;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Rejection = OrderRejection;

    fn decide(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderRejection> {
        Self::decide(self, command).map(|event| vec![event])
    }

    fn evolve(&mut self, event: &OrderEvent) {
        Self::evolve(self, event);
    }
}

/// What is on.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Annals {
    pub(super) cache: bool,
    pub(super) keys: bool,
    pub(super) snapshots: bool,
    pub(super) without_queue: bool,
}

impl Annals {
    /// The database within its directory.
    pub(super) const FILE: &str = "annals.db";
}

#[async_trait]
impl Contender for Annals {
    fn name(&self) -> String {
        let parts = [
            (self.without_queue, " – queue"),
            (self.cache, " + cache"),
            (self.keys, " + keys"),
            (self.snapshots, " + snapshots"),
        ];
        let on: String = parts.iter().filter(|(is_on, _)| *is_on).map(|(_, part)| *part).collect();
        format!("annals{on}")
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        match work {
            Work::Lifecycle { .. } if self.snapshots => Some("orders of four events never come to a snapshot"),
            Work::Load { .. } if self.keys || self.cache || self.without_queue => {
                Some("loading uses no keys, no cache and no queue")
            }
            Work::Lifecycle { .. } | Work::Contended | Work::Load { .. } => None,
        }
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>> {
        let mut limits = Limits::default();
        if self.without_queue {
            limits.commit_appends = 1;
        }
        let store = match place {
            Place::Directory(directory) => {
                Store::Sqlite(SqliteStore::options().limits(limits).open(directory.join(Self::FILE)).await?)
            }
            Place::Url(url) => Store::Postgres(PostgresStore::options().limits(limits).connect(url).await?),
        };
        let mut repository = match &store {
            Store::Sqlite(store) => Repository::new(store),
            Store::Postgres(store) => Repository::new(store),
        };
        if self.cache {
            repository = repository.cached(CACHED_ORDERS);
        }
        if self.snapshots {
            repository = repository.snapshot_every(SNAPSHOT_EVERY);
        }
        let requests = self.keys.then(AtomicU64::default);
        Ok(Arc::new(Opened { store, repository, has_snapshots: self.snapshots, requests }))
    }
}

enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Store {
    fn events(&self) -> &dyn EventStore {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }
}

struct Opened {
    store: Store,
    repository: Repository<Order>,
    has_snapshots: bool,
    /// Numbers the requests, where each has a key.
    requests: Option<AtomicU64>,
}

#[async_trait]
impl Orders for Opened {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        let mut execute = self.repository.execute(Id::from_uuid(order), command);
        if let Some(requests) = &self.requests {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            execute = execute.idempotency_key(IdempotencyKey::new(format!("request-{number:012}"))?);
        }
        execute.await?;
        Ok(())
    }

    /// With snapshots, the last one lies as far back as it can: a whole interval.
    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        let after_it = usize::try_from(SNAPSHOT_EVERY)?;
        let Some(at) = history.len().checked_sub(after_it + 1).filter(|_| self.has_snapshots) else {
            return self.append(order, history).await;
        };
        self.append(order, &history[..at]).await?;
        if let OrderEvent::LineAdded(line) = &history[at] {
            // Only a command takes a snapshot: ready-made events know no state.
            self.execute(order, &OrderCommand::AddLine(line.clone())).await?;
        }
        self.append(order, &history[at + 1..]).await
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        Ok(self.repository.load(Id::from_uuid(order)).await?.state)
    }

    async fn close(&self) -> Result<()> {
        match &self.store {
            Store::Sqlite(store) => store.close().await,
            Store::Postgres(store) => store.close().await,
        }
        Ok(())
    }
}

impl Opened {
    async fn append(&self, order: Uuid, events: &[OrderEvent]) -> Result<()> {
        for chunk in events.chunks(APPEND_EVENTS) {
            let encoded: Result<Vec<_>, _> =
                chunk.iter().map(|event| NewEvent::encode(event, &Upcasters::none())).collect();
            self.store.events().append_one(Append::new(Order::TYPE, order).events(encoded?)).await?;
        }
        Ok(())
    }
}
