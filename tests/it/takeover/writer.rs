//! Events for consumers, a bounded number of them ahead.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use annals::{Append, EventStore, EventStoreExt as _, ExpectedVersion, NewEvent, Position};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::LONGEST_WAIT;

/// How many aggregates there are.
const AGGREGATES: usize = 40;

/// So many events are written before they were told.
pub const AHEAD_EVENTS: u64 = 400;

/// The most events of an append.
const APPEND_EVENTS: usize = 4;

/// Appends to aggregates at random, each append sent until it is answered.
pub struct Writer {
    is_over: Arc<AtomicBool>,
    told: watch::Sender<u64>,
    task: JoinHandle<Position>,
}

impl Writer {
    /// Writes until it is ended, or until there are so many events.
    pub fn start<S: EventStore + Clone + 'static>(store: &S, seed: u64, most: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = watch::channel(0).0;
        let task = tokio::spawn(write(store.clone(), seed, most, Arc::clone(&is_over), told.subscribe()));
        Self { is_over, told, task }
    }

    /// What is to be called with each event that was told.
    pub fn told(&self) -> impl Fn() + Send + Sync + 'static {
        let told = self.told.clone();
        move || told.send_modify(|told| *told += 1)
    }

    /// How many events were told, again and again.
    #[cfg(feature = "postgres")]
    pub fn counts(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// Lets it write without waiting for anybody.
    pub fn need_not_wait(&self) {
        self.told.send_replace(u64::MAX / 2);
    }

    /// Waits until it has written all it was to write. The position of the last event.
    pub async fn written(self) -> Position {
        tokio::time::timeout(LONGEST_WAIT, self.task).await.expect("the writer gets on").unwrap()
    }

    /// Ends it. The position of the last event.
    pub async fn end(self) -> Position {
        self.is_over.store(true, Ordering::Relaxed);
        // Whoever waits looks again.
        self.told.send_modify(|_| ());
        self.written().await
    }
}

async fn write<S: EventStore>(
    store: S,
    seed: u64,
    most: u64,
    is_over: Arc<AtomicBool>,
    mut told: watch::Receiver<u64>,
) -> Position {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut versions = vec![(Uuid::nil(), 0_u64); AGGREGATES];
    versions.iter_mut().for_each(|(id, _)| *id = Uuid::now_v7());
    let (mut written, mut last) = (0, Position::START);
    while written < most && !is_over.load(Ordering::Relaxed) {
        let room = told.wait_for(|told| written < told + AHEAD_EVENTS || is_over.load(Ordering::Relaxed));
        drop(room.await.unwrap());
        let (id, version) = &mut versions[random.usize(..AGGREGATES)];
        let events = (0..random.usize(1..=APPEND_EVENTS)).map(|_| NewEvent::new("noted", &json!({})).unwrap());
        // At a version: sent again, it is there once.
        let expected = if *version == 0 { ExpectedVersion::New } else { ExpectedVersion::Exact(*version) };
        let append = Append::new("note", *id).expected(expected).events(events);
        let appended = answered(&store, append).await;
        written += appended.version - *version;
        (*version, last) = (appended.version, appended.position.unwrap());
    }
    last
}

/// Sends an append again while the database is away.
async fn answered<S: EventStore>(store: &S, append: Append) -> annals::Appended {
    let begun = std::time::Instant::now();
    loop {
        match store.append_one(append.clone()).await {
            Ok(appended) => return appended,
            Err(error) => {
                // The database is away.
                assert!(error.is_retryable() || error.is_outcome_unknown(), "{error:?}");
                assert!(begun.elapsed() < LONGEST_WAIT, "{error:?}");
                tokio::task::yield_now().await;
            }
        }
    }
}
