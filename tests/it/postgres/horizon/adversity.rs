//! What makes the order of the log hard to keep: slow transactions of many events, rollbacks, lost races, and others'
//! transactions that stay open.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use annals::{EventStore as _, ExpectedVersion, PostgresStore, Transactional as _, Work as _};
use fastrand::Rng;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{append, append_to, pause};

/// Writers that hold transactions open, and writers that go through the store's queue; half of each on either store.
const SLOW_WRITERS: u64 = 12;
const QUICK_WRITERS: u64 = 4;
/// What the quick ones fight for: lost races draw positions too, and leave holes.
const CONTESTED: u128 = 6;

/// What the writers of one run share.
#[derive(Debug)]
pub struct Load {
    pub events: u64,
    pub committed: AtomicU64,
    pub rolled_back: AtomicUsize,
    pub committed_works: AtomicUsize,
    /// All writers are gone.
    pub is_over: AtomicBool,
}

impl Load {
    pub fn of(events: u64) -> Arc<Self> {
        Arc::new(Self {
            events,
            committed: AtomicU64::new(0),
            rolled_back: AtomicUsize::new(0),
            committed_works: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    fn goes_on(&self) -> bool {
        self.committed.load(Ordering::SeqCst) < self.events
    }

    /// Runs all writers until there are events enough.
    pub async fn run(self: &Arc<Self>, url: &str, seed: u64) {
        let mut stores = Vec::new();
        for _ in 0..2 {
            // Their own pools, as two processes would have them.
            stores.push(PostgresStore::options().works(8).writers(2).connect(url).await.unwrap());
        }
        let mut writers = JoinSet::new();
        for number in 0..SLOW_WRITERS + QUICK_WRITERS {
            let store = stores[usize::from(number % 2 == 1)].clone();
            let random = Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(number));
            if number < SLOW_WRITERS {
                writers.spawn(write_slowly(Arc::clone(self), store, random));
            } else {
                writers.spawn(write_quickly(Arc::clone(self), store, random));
            }
        }
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
        for store in stores {
            store.close().await;
        }
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// Transactions of several appends, with pauses between them; one in ten is rolled back.
async fn write_slowly(load: Arc<Load>, store: PostgresStore, mut random: Rng) {
    while load.goes_on() {
        let mut work = store.begin().await.unwrap();
        let mut events = 0;
        for _ in 0..random.u32(1..=4) {
            let count = if random.bool() { 1 } else { random.usize(1..=24) };
            let append = append(count);
            // By one statement of the store or another.
            let append = if random.bool() { append.expected(ExpectedVersion::New) } else { append };
            work.append(&append).await.unwrap();
            events += count as u64;
            match random.u8(0..100) {
                0..2 => pause(work.connection(), 0.2).await,
                2..50 => pause(work.connection(), random.f64() * 0.02).await,
                _ => {}
            }
        }
        if random.u8(0..10) == 0 {
            drop(work);
            load.rolled_back.fetch_add(1, Ordering::SeqCst);
        } else {
            work.commit().await.unwrap();
            load.committed.fetch_add(events, Ordering::SeqCst);
            load.committed_works.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Batches through the queue: some to aggregates that others write to as well, some twice to one.
async fn write_quickly(load: Arc<Load>, store: PostgresStore, mut random: Rng) {
    while load.goes_on() {
        let batch = (0..random.usize(1..=5)).map(|_| {
            let id = if random.bool() { Uuid::from_u128(random.u128(1..=CONTESTED)) } else { Uuid::now_v7() };
            append_to(id, random.usize(1..=4))
        });
        let batch: Vec<_> = batch.collect();
        let counts: Vec<_> = batch.iter().map(|append| append.events.len() as u64).collect();
        for (answer, events) in store.append(batch).await.into_iter().zip(counts) {
            match answer {
                Ok(_) => _ = load.committed.fetch_add(events, Ordering::SeqCst),
                // Others were in the way for too long: what was drawn for it stays a hole.
                Err(busy) => assert!(busy.is_retryable(), "{busy:?}"),
            }
        }
        for _ in 0..random.u32(0..50) {
            tokio::task::yield_now().await;
        }
    }
}

/// Transactions that have nothing to do with events and are open all the time.
pub struct Unrelated(Vec<PgConnection>);

impl Unrelated {
    pub async fn open(url: &str) -> Self {
        let mut open = Vec::new();
        for begin in [
            // With a transaction number of its own: what holds back readers who go by `xmin`.
            "BEGIN; SELECT pg_current_xact_id(); CREATE TABLE unrelated (number int)",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id(), (SELECT max(position) FROM annals_events)",
            // Locks of others: on keys that begin alike, and on as good as the same number in one piece.
            "BEGIN; SELECT pg_advisory_xact_lock_shared(1, 0);
             SELECT pg_advisory_xact_lock_shared('annals_positions'::regclass::oid::bigint << 32)",
        ] {
            let mut connection = PgConnection::connect(url).await.unwrap();
            connection.execute(sqlx::raw_sql(begin)).await.unwrap();
            open.push(connection);
        }
        Self(open)
    }

    /// Ends them, after a look that they are still open.
    pub async fn end(self) {
        for mut connection in self.0 {
            let state =
                sqlx::query_scalar::<_, bool>("SELECT now() < statement_timestamp()").fetch_one(&mut connection);
            assert!(state.await.unwrap(), "it was open all the time");
            connection.execute("ROLLBACK").await.unwrap();
        }
    }
}
