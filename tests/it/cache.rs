//! The aggregate cache and hot aggregates: no decision on a state that never was, whoever else writes and whatever
//! gets lost. Every event names the history it was decided on, so a wrong one gives itself away.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::{
    Aggregate, Append, Appended, Error, EventStore, ExecuteError, ExpectedVersion, Id, IdempotencyKey, LogQuery,
    LogRead, Position, Receipt, Repository, Retry, SqliteStore, StreamQuery, StreamRead,
    store::{LoadQuery, LoadVisitor, SnapshotRef, Visit},
    testing::Faulty,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use uuid::Uuid;

/// A chain of links, each forged onto the history that was there when it was decided.
#[derive(Debug, Default, Clone, PartialEq)]
struct Chain {
    history: u64,
    links: Vec<u64>,
    broken_at: Vec<u64>,
}

#[derive(Debug, Serialize)]
enum Command {
    Forge(u64),
    /// Forges unless the chain is this long already.
    ForgeUpTo(u64, usize),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Forged { link: u64, onto: u64 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("the chain has {0} links")]
struct TooLong(usize);

impl Aggregate for Chain {
    const TYPE: &'static str = "chain";
    type Command = Command;
    type Event = Event;
    type Rejection = TooLong;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, TooLong> {
        match *command {
            Command::ForgeUpTo(_, most) if self.links.len() >= most => Err(TooLong(self.links.len())),
            Command::Forge(link) | Command::ForgeUpTo(link, _) => Ok(vec![Event::Forged { link, onto: self.history }]),
        }
    }

    fn evolve(&mut self, Event::Forged { link, onto }: &Event) {
        if *onto != self.history {
            self.broken_at.push(*link);
        }
        self.links.push(*link);
        self.history = self.history.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(*link + 1);
    }
}

fn campaign() -> u64 {
    std::env::var("ANNALS_CAMPAIGN").ok().and_then(|size| size.parse().ok()).unwrap_or(1)
}

/// Three services on one store: two that keep states, and one that does not; all lose replies, and worse.
async fn many_writers(seed: u64, keyed: bool) {
    const TASKS: u64 = 6;
    const COMMANDS: u64 = 8;
    let store = SqliteStore::open_in_memory().await.unwrap();
    let faulty = |offset| {
        let faulty = Faulty::new(store.clone(), seed * 3 + offset);
        faulty.lost_replies(0.05).lost_requests(0.05).late_writes(0.05).conflicts(0.05).contention(0.05)
    };
    let services = [
        Repository::<Chain>::new(&faulty(0)).cached(1),
        Repository::<Chain>::new(&faulty(1)).cached(10),
        Repository::<Chain>::new(&faulty(2)),
    ];
    let ids = [Id::<Chain>::natural("a"), Id::<Chain>::natural("b")];
    let mut tasks = JoinSet::new();
    for (service, repository) in services.iter().enumerate() {
        for task in 0..TASKS {
            let repository = repository.clone();
            tasks.spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..COMMANDS {
                    let link = (service as u64 * TASKS + task) * COMMANDS + number;
                    let id = ids[(link % 2) as usize];
                    let command = Command::Forge(link);
                    let execute = repository.execute(id, &command);
                    let done = match keyed {
                        true => execute.idempotency_key(IdempotencyKey::new(link.to_string()).unwrap()).await,
                        false => execute.await,
                    };
                    match done {
                        Ok(_) => acknowledged.push(link),
                        Err(ExecuteError::Store(error)) => assert!(error.is_outcome_unknown(), "{error}"),
                        Err(rejected) => panic!("{rejected}"),
                    }
                }
                acknowledged
            });
        }
    }
    let acknowledged = tasks.join_all().await.concat();
    let mut found: HashMap<u64, u32> = HashMap::new();
    for id in ids {
        let chain = Repository::<Chain>::new(&store).load(id).await.unwrap().state;
        assert!(chain.broken_at.is_empty(), "decided on a history that never was, seed {seed}");
        chain.links.iter().for_each(|link| *found.entry(*link).or_default() += 1);
    }
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "executed twice, seed {seed}: {twice:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|link| !found.contains_key(link)).collect();
    assert!(lost.is_empty(), "acknowledged and lost, seed {seed}: {lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_every_command_is_executed_once_on_the_history_it_was_decided_on() {
    for seed in 0..20 * campaign() {
        many_writers(seed, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_no_command_is_executed_twice_or_on_another_history() {
    for seed in 0..20 * campaign() {
        many_writers(seed, false).await;
    }
}

#[tokio::test]
async fn a_rejection_on_an_old_state_is_confirmed_before_it_is_returned() {
    // At most 2 links: the kept state has 2, the database is set to another history of 1 by... nobody can take links
    // away, so the old state is the shorter one: it would accept, and the database rejects.
    let store = SqliteStore::open_in_memory().await.unwrap();
    let id = Id::natural("a");
    let keeps = Repository::<Chain>::new(&store).cached(1);
    let other = Repository::<Chain>::new(&store);
    keeps.execute(id, &Command::Forge(1)).await.unwrap();
    other.execute(id, &Command::Forge(2)).await.unwrap();
    let no = keeps.execute(id, &Command::ForgeUpTo(3, 2)).await.unwrap_err();
    assert_eq!(no.rejection(), Some(&TooLong(2)));
}

#[tokio::test]
async fn a_pinned_version_is_measured_against_the_database() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let id = Id::natural("a");
    let keeps = Repository::<Chain>::new(&store).cached(1);
    let other = Repository::<Chain>::new(&store);
    keeps.execute(id, &Command::Forge(1)).await.unwrap();
    other.execute(id, &Command::Forge(2)).await.unwrap();
    let done = keeps.execute(id, &Command::Forge(3)).expected_version(ExpectedVersion::Exact(2)).await.unwrap();
    assert_eq!(done.version, 3);
    other.execute(id, &Command::Forge(4)).await.unwrap();
    let lost = keeps.execute(id, &Command::Forge(5)).expected_version(ExpectedVersion::Exact(3)).await.unwrap_err();
    assert!(lost.store_error().unwrap().is_conflict(), "{lost}");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_lane_in_order() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let id = Id::natural("a");
    let keeps = Arc::new(Repository::<Chain>::new(&store).cached(1));
    for polls in 0..60 {
        let mut abandoned = Box::pin(async {
            for link in 0..4 {
                keeps.execute(id, &Command::Forge(polls * 100 + link)).await.unwrap();
            }
        });
        for _ in 0..polls {
            let poll = std::future::poll_fn(|context| std::task::Poll::Ready(abandoned.as_mut().poll(context)));
            if poll.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(abandoned);
        keeps.execute(id, &Command::Forge(polls * 100 + 50)).await.unwrap();
    }
    let chain = keeps.load(id).await.unwrap().state;
    assert!(chain.broken_at.is_empty(), "{:?}", chain.broken_at);
    let mut links = chain.links.clone();
    links.sort_unstable();
    links.dedup();
    assert_eq!(links.len(), chain.links.len(), "no link twice");
    assert!((0..60).all(|polls| chain.links.contains(&(polls * 100 + 50))));
}

/// Answers the first append that forges a certain link with contention, and does everything else as the store does.
#[derive(Debug, Clone)]
struct ContendsOnce {
    store: SqliteStore,
    link: &'static str,
    has_contended: Arc<AtomicBool>,
}

#[async_trait]
impl EventStore for ContendsOnce {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        let is_meant = batch[0].events.iter().any(|event| event.payload().contains(self.link));
        if is_meant && !self.has_contended.swap(true, Ordering::Relaxed) {
            return vec![Err(Error::Contention { source: None })];
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

#[tokio::test]
async fn who_decides_again_is_not_taken_for_who_was_followed() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let id = Id::natural("a");
    let contends = ContendsOnce { store: store.clone(), link: "\"link\":3,", has_contended: Arc::default() };
    let keeps = Repository::<Chain>::new(&contends).cached(1);
    keeps.execute(id, &Command::Forge(0)).await.unwrap();
    // The kept state is old: 1 is to lose, and 2, which was decided on 1, with it. 3 was decided on 2, and is sent again
    // only after 2 has been decided anew and stands where the first 2 would have stood.
    Repository::<Chain>::new(&store).execute(id, &Command::Forge(9)).await.unwrap();
    let after = |millis| {
        let delay = Duration::from_millis(millis);
        keeps.clone().retry(Retry { min_delay: delay, max_delay: delay, ..Retry::default() })
    };
    let (first, second, third) = (after(500), after(1), after(100));
    let (one, two, three) = (Command::Forge(1), Command::Forge(2), Command::Forge(3));
    let (one, two, three) = tokio::join!(
        first.execute(id, &one).into_future(),
        second.execute(id, &two).into_future(),
        third.execute(id, &three).into_future(),
    );
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert!(contends.has_contended.load(Ordering::Relaxed));
    let chain = Repository::<Chain>::new(&store).load(id).await.unwrap().state;
    assert_eq!(chain.links.len(), 5);
    assert!(chain.broken_at.is_empty(), "{chain:?}");
}

#[tokio::test]
async fn a_cache_without_end_is_no_memory_without_end() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let keeps = Repository::<Chain>::new(&store).cached(usize::MAX);
    keeps.execute(Id::natural("a"), &Command::Forge(1)).await.unwrap();
}

#[tokio::test]
async fn commands_that_find_no_state_kept_are_decided_in_turn_as_well() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    // No attempt is made twice: a conflict would be returned.
    let keeps = Repository::<Chain>::new(&store).cached(1).retry(Retry::never());
    let id = Id::natural("a");
    let commands: Vec<_> = (0..64).map(Command::Forge).collect();
    let all = commands.iter().map(|command| keeps.execute(id, command).into_future());
    for done in futures_util::future::join_all(all).await {
        done.unwrap();
    }
    let chain = keeps.load(id).await.unwrap().state;
    assert_eq!(chain.links.len(), 64);
    assert!(chain.broken_at.is_empty(), "{chain:?}");
}

/// Counts what it was evolved by, and panics half-way through the event after the first, once.
#[derive(Debug, Default)]
struct Fragile {
    evolved: u64,
}

static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Touch {
    Touched { evolved_by: u64 },
}

impl Aggregate for Fragile {
    const TYPE: &'static str = "fragile";
    type Command = ();
    type Event = Touch;
    type Rejection = TooLong;

    fn decide(&self, (): &()) -> Result<Vec<Touch>, TooLong> {
        Ok(vec![Touch::Touched { evolved_by: self.evolved }])
    }

    fn evolve(&mut self, _: &Touch) {
        self.evolved += 1;
        assert!(self.evolved != 1 || HAS_PANICKED.swap(true, Ordering::Relaxed), "half-way");
    }
}

#[tokio::test]
async fn a_state_in_which_evolve_panicked_is_not_kept() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let keeps = Repository::<Fragile>::new(&store).cached(1);
    let id = Id::natural("a");
    keeps.execute(id, &()).await.unwrap();
    let other = keeps.clone();
    tokio::spawn(async move { other.execute(id, &()).await.map(drop) }).await.unwrap_err();
    keeps.execute(id, &()).await.unwrap();
    let events = annals::EventStoreExt::collect_stream(&store, &StreamQuery::of(id)).await.unwrap();
    let second: serde_json::Value = serde_json::from_str(events[1].payload()).unwrap();
    assert_eq!(second["evolved_by"], 1, "decided on one event");
}
