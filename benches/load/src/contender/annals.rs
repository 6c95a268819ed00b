//! annals, with queue, cache, keys and snapshots on or off. Without the queue every append has a commit of its own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ::annals::{
    Aggregate, Append, EventStore, EventStoreExt as _, ExpectedVersion, Id, IdempotencyKey, Limits, LogQuery, NewEvent,
    PostgresStore, Projector, RecordedEvent, Repository, SqliteStore, Subscription, Transactional as _, Upcasters,
    Work as _,
};
use annals_contest::{
    Contender, Engine, Order, OrderCommand, OrderEvent, OrderRejection, Orders, Place, Seen, Summary, SummaryRow,
    Turnovers, Work, async_trait,
};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::summaries::{SELECT_SUMMARIES, Summaries};

/// How many orders the cache keeps: as many as there are tasks, and some more.
const CACHED_ORDERS: usize = 1_024;

/// A snapshot is taken past each multiple of this.
const SNAPSHOT_EVERY: u64 = 50;

/// The most events of one append.
const APPEND_EVENTS: usize = 500;

/// An order, as an aggregate of annals.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct KeptOrder(Order);

impl Aggregate for KeptOrder {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Rejection = OrderRejection;

    fn decide(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderRejection> {
        self.0.decide(command).map(|event| vec![event])
    }

    fn evolve(&mut self, event: &OrderEvent) {
        self.0.evolve(event);
    }
}

/// What is on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Annals {
    pub(crate) engine: Engine,
    pub(crate) cache: bool,
    pub(crate) keys: bool,
    pub(crate) snapshots: bool,
    pub(crate) without_queue: bool,
}

impl Annals {
    /// The database within its directory.
    pub(crate) const FILE: &str = "annals.db";

    /// With all as it is where nothing is said: the queue, and neither cache nor keys nor snapshots.
    pub(crate) const fn on(engine: Engine) -> Self {
        Self { engine, cache: false, keys: false, snapshots: false, without_queue: false }
    }

    const fn is_plain(self) -> bool {
        !(self.cache || self.keys || self.snapshots || self.without_queue)
    }
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

    fn engine(&self) -> Engine {
        self.engine
    }

    fn abstains(&self, work: Work) -> Option<&'static str> {
        match work {
            Work::New { .. } | Work::Lifecycle { .. } | Work::Together { .. } if self.snapshots => {
                Some("orders of four events never come to a snapshot")
            }
            Work::Load { .. } if self.keys || self.cache || self.without_queue => {
                Some("loading uses no keys, no cache and no queue")
            }
            work if super::is_same_for_variants(work) && !self.is_plain() => Some(super::AS_THE_FIRST),
            _ => None,
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
    repository: Repository<KeptOrder>,
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

    async fn execute_request(&self, order: Uuid, command: &OrderCommand, request: &str) -> Result<()> {
        let key = IdempotencyKey::new(request)?;
        self.repository.execute(Id::from_uuid(order), command).idempotency_key(key).await?;
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

    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        // They are new, and it says so: what names its version needs no receipt to be known again.
        let begin = |(order, history): &(Uuid, Vec<_>)| Ok(append_of(*order, history)?.expected(ExpectedVersion::New));
        let appends: Result<Vec<_>> = histories.iter().map(begin).collect();
        for answer in self.store.events().append(appends?).await {
            answer?;
        }
        Ok(())
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        Ok(self.repository.load(Id::from_uuid(order)).await?.state.0)
    }

    async fn read_log(&self) -> Result<Turnovers> {
        let (mut turnovers, upcasters) = (Turnovers::default(), Upcasters::none());
        let mut visit = |event: ::annals::EventRef<'_>| {
            turnovers.add(&event.decode(&upcasters)?);
            Ok(())
        };
        self.store.events().read_log(&LogQuery::all(), &mut visit).await?;
        Ok(turnovers)
    }

    /// The first time there is nothing to rebuild: the table is made.
    async fn rebuild(&self) -> Result<u64> {
        let summaries = Summaries::default();
        let applied = Arc::clone(&summaries.applied);
        match &self.store {
            Store::Sqlite(store) => Projector::new(store, summaries)?.rebuild().await?,
            Store::Postgres(store) => Projector::new(store, summaries)?.rebuild().await?,
        }
        Ok(applied.load(Ordering::Relaxed))
    }

    async fn summaries(&self) -> Result<Vec<(Uuid, Summary)>> {
        let rows: Vec<SummaryRow> = match &self.store {
            Store::Sqlite(store) => {
                sqlx::query_as(SELECT_SUMMARIES).fetch_all(store.begin().await?.connection()).await?
            }
            Store::Postgres(store) => {
                sqlx::query_as(SELECT_SUMMARIES).fetch_all(store.begin().await?.connection()).await?
            }
        };
        Ok(rows.into_iter().map(Summary::of_row).collect())
    }

    async fn subscribe(&self, seen: Seen) -> Result<()> {
        let handler = move |event: RecordedEvent| {
            let told = event.decode::<OrderEvent>(&Upcasters::none()).map(|known| seen(event.aggregate_id(), &known));
            async { told }
        };
        // It ends with the process.
        match &self.store {
            Store::Sqlite(store) => {
                let subscription = Subscription::new(store, "beside")?;
                tokio::spawn(async move { subscription.run(std::future::pending(), handler).await });
            }
            Store::Postgres(store) => {
                let subscription = Subscription::new(store, "beside")?;
                tokio::spawn(async move { subscription.run(std::future::pending(), handler).await });
            }
        }
        Ok(())
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
            self.store.events().append_one(append_of(order, chunk)?).await?;
        }
        Ok(())
    }
}

fn append_of(order: Uuid, events: &[OrderEvent]) -> Result<Append> {
    let encoded: Result<Vec<_>, _> = events.iter().map(|event| NewEvent::encode(event, &Upcasters::none())).collect();
    Ok(Append::new(KeptOrder::TYPE, order).events(encoded?))
}
