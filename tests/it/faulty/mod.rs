//! A store that fails, and what becomes of commands and appends on it.

mod appends;
mod chained;
mod commands;
mod concurrent;
mod giving_up;
mod itself;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use annals::{
    Aggregate, Append, Appended, Error, EventStore, EventStoreExt as _, Id, IdempotencyKey, LogQuery, LogRead,
    NewEvent, Position, Receipt, Repository, Retry, SqliteStore, StreamQuery, StreamRead, Upcasters,
    store::{LoadQuery, LoadVisitor, SnapshotRef, Visit},
    testing::Faulty,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::campaign::sized;

/// A jar that holds so many marbles; each put bears the number of the request that asked for it.
#[derive(Debug, Default)]
struct Jar {
    marbles: u32,
}

const FULL: u32 = 20;

#[derive(Debug, Clone, Serialize)]
enum Command {
    Put { request: u32, marbles: u32 },
    Look,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Put { request: u32 },
    Shaken { request: u32 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("the jar holds {holds} already")]
struct NoRoom {
    holds: u32,
}

impl Aggregate for Jar {
    const TYPE: &'static str = "jar";
    type Command = Command;
    type Event = Event;
    type Rejection = NoRoom;

    /// One event per marble.
    fn decide(&self, command: &Command) -> Result<Vec<Event>, NoRoom> {
        match command {
            Command::Put { marbles, .. } if self.marbles + marbles > FULL => Err(NoRoom { holds: self.marbles }),
            Command::Put { request, marbles } => Ok(vec![Event::Put { request: *request }; *marbles as usize]),
            Command::Look => Ok(vec![]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Put { .. } => self.marbles += 1,
            Event::Shaken { .. } => {}
        }
    }
}

/// The seeds of a campaign.
fn seeds(by_default: u32) -> Range<u64> {
    0..sized(by_default).into()
}

/// So many attempts, without pauses.
const fn attempts(max_attempts: u32) -> Retry {
    Retry { max_attempts, max_time: Duration::from_secs(60), min_delay: Duration::ZERO, max_delay: Duration::ZERO }
}

async fn memory() -> SqliteStore {
    SqliteStore::open_in_memory().await.unwrap()
}

fn key(name: impl std::fmt::Display) -> IdempotencyKey {
    IdempotencyKey::new(format!("request-{name}")).unwrap()
}

fn event(event: &Event) -> NewEvent {
    NewEvent::encode(event, &Upcasters::none()).unwrap()
}

/// A repository that keeps states between commands, or reads anew each time.
fn jars<S: EventStore + Clone + 'static>(store: &S, is_cached: bool, retry: Retry) -> Repository<Jar> {
    let jars = Repository::new(store).retry(retry);
    if is_cached { jars.cached(1) } else { jars }
}

/// The ways a store can fail, each by itself and all together. Every one leaves four appends in ten alone.
fn kinds(store: &SqliteStore, seed: u64) -> Vec<(&'static str, Faulty<SqliteStore>)> {
    let faulty = || Faulty::new(store.clone(), seed);
    vec![
        ("lost replies", faulty().lost_replies(0.6)),
        ("lost requests", faulty().lost_requests(0.6)),
        ("late writes", faulty().late_writes(0.6)),
        ("conflicts", faulty().conflicts(0.6)),
        ("contention", faulty().contention(0.6)),
        ("outages", faulty().outages(0.6)),
        ("all", mixed(store, seed)),
    ]
}

fn mixed(store: &SqliteStore, seed: u64) -> Faulty<SqliteStore> {
    Faulty::new(store.clone(), seed)
        .lost_replies(0.1)
        .lost_requests(0.1)
        .late_writes(0.1)
        .conflicts(0.1)
        .contention(0.1)
        .outages(0.1)
}

/// How many events each request has led to; the streams are dense, and one command's events lie together.
async fn tally(store: &SqliteStore) -> BTreeMap<u32, u64> {
    let (mut tally, mut ends) = (BTreeMap::new(), BTreeMap::<Uuid, (u64, u32)>::new());
    for stored in store.collect_log(&LogQuery::all()).await.unwrap() {
        let (Event::Put { request } | Event::Shaken { request }) = stored.decode(&Upcasters::none()).unwrap();
        let (sequence, before) = ends.get(&stored.aggregate_id()).copied().unwrap_or_default();
        assert_eq!(stored.sequence(), sequence + 1);
        assert!(before == request || !tally.contains_key(&request), "request {request} is there twice");
        ends.insert(stored.aggregate_id(), (stored.sequence(), request));
        *tally.entry(request).or_default() += 1;
    }
    tally
}

/// Lets somebody else write right before the n-th append that arrives.
#[derive(Debug, Clone)]
struct Overtaken {
    store: SqliteStore,
    by: Arc<Mutex<(u32, Append)>>,
}

impl Overtaken {
    fn nth(arrival: u32, store: &SqliteStore, id: Id<Jar>, other: &Event) -> Self {
        let by = Append::to(id).event(event(other));
        Self { store: store.clone(), by: Arc::new(Mutex::new((arrival, by))) }
    }
}

#[async_trait]
impl EventStore for Overtaken {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        let other = {
            let mut by = self.by.lock().unwrap();
            by.0 = by.0.wrapping_sub(1);
            (by.0 == 0).then(|| by.1.clone())
        };
        if let Some(other) = other {
            self.store.append_one(other).await.unwrap();
        }
        self.store.append(batch).await
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        self.store.read_stream(query, visit).await
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        self.store.load(query, visitor).await
    }

    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error> {
        self.store.save_snapshot(snapshot).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        self.store.read_log(query, visit).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        self.store.receipt(aggregate_id, key).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.store.head().await
    }

    async fn wait_for(&self, after: Position) -> Result<Position, Error> {
        self.store.wait_for(after).await
    }
}
