//! Random histories against the reference: every answer is the promised one, and so is the whole log afterwards.

mod history;
mod reference;
mod run;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use annals::{Clock, ManualClock, Repository, Retry, SqliteStore, testing::Faulty};
use chrono::{DateTime, Utc};
use history::Step;
use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};
use run::{Bench, Flow};

use crate::{campaign, faults::tally::Tally};

fn start() -> DateTime<Utc> {
    "2026-01-01T00:00:00.000001Z".parse().unwrap()
}

fn shared(clock: &Arc<ManualClock>) -> Arc<dyn Clock> {
    Arc::<ManualClock>::clone(clock)
}

/// Runs as many histories, and shrinks one that fails.
fn for_histories<S: Strategy>(cases: u32, strategy: &S, run: impl Fn(S::Value)) {
    let config = Config { cases: campaign::sized(cases), failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(strategy, |history| {
        run(history);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Patient, but without pauses.
const RETRY: Retry = Retry {
    max_attempts: 30,
    max_time: Duration::from_secs(60),
    min_delay: Duration::ZERO,
    max_delay: Duration::from_micros(10),
};

/// Three ways to run commands, which answer alike.
fn repositories<S: annals::EventStore + Clone + 'static>(store: &S) -> [Repository<Tally>; 3] {
    let plain = Repository::new(store).retry(RETRY);
    let cached = plain.clone().cached(2);
    let snapshots = plain.clone().snapshot_every(2);
    [plain, cached, snapshots]
}

#[test]
fn random_histories_in_memory_are_answered_as_promised() {
    let runtime = runtime();
    let clock = Arc::new(ManualClock::new(start()));
    // One store for all: each history has aggregates of its own and begins where the log ends.
    let store = runtime.block_on(SqliteStore::options().shared_clock(shared(&clock)).open_in_memory()).unwrap();
    let count = AtomicU64::new(0);
    for_histories(3_000, &history::history(1..16), |steps| {
        let way = usize::try_from(count.fetch_add(1, Ordering::Relaxed)).unwrap() % 3;
        let tallies = repositories(&store)[way].clone();
        runtime.block_on(async {
            let mut bench = Bench::new(&store, tallies, &clock, Flow::Calm).await;
            for step in &steps {
                bench.take(step).await;
            }
            bench.compare_all().await;
        });
    });
}

#[test]
fn random_histories_in_files_that_are_reopened_are_answered_as_promised() {
    let runtime = runtime();
    for_histories(150, &history::history(4..20), |steps| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let clock = Arc::new(ManualClock::new(start()));
        runtime.block_on(async {
            let open = || SqliteStore::options().shared_clock(shared(&clock)).open(&path);
            let store = open().await.unwrap();
            let mut bench = Bench::new(&store, repositories(&store)[0].clone(), &clock, Flow::Calm).await;
            for step in &steps {
                if matches!(step, Step::Reopen) {
                    bench.store().close().await;
                    let store = open().await.unwrap();
                    bench.reopened(&store, repositories(&store)[0].clone());
                }
                bench.take(step).await;
            }
            bench.compare_all().await;
            bench.store().close().await;
        });
    });
}

/// A batch as its appends.
fn one_by_one(step: &Step) -> Vec<Step> {
    match step {
        Step::Append(items) => items.iter().map(|item| Step::Append(vec![item.clone()])).collect(),
        step => vec![step.clone()],
    }
}

#[test]
fn random_histories_with_faults_end_as_without_them() {
    let runtime = runtime();
    let clock = Arc::new(ManualClock::new(start()));
    let inner = runtime.block_on(SqliteStore::options().shared_clock(shared(&clock)).open_in_memory()).unwrap();
    let count = AtomicU64::new(0);
    let faults = AtomicU64::new(0);
    for_histories(500, &history::history(1..16), |steps| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let store = Faulty::new(inner.clone(), number)
            .lost_replies(0.15)
            .lost_requests(0.1)
            .late_writes(0.1)
            .contention(0.1)
            .outages(0.1);
        let tallies = repositories(&store)[usize::try_from(number % 3).unwrap()].clone();
        runtime.block_on(async {
            let mut bench = Bench::new(&store, tallies, &clock, Flow::Rough).await;
            for step in steps.iter().flat_map(one_by_one) {
                bench.take(&step).await;
                // An attempt whose reply was lost may still come true. From here on it cannot.
                store.flush().await;
            }
            bench.compare_all().await;
        });
        faults.fetch_add(store.faults(), Ordering::Relaxed);
    });
    assert!(faults.into_inner() > u64::from(count.into_inner() > 10), "no fault was injected");
}

#[cfg(feature = "postgres")]
#[test]
fn random_histories_on_postgres_are_answered_as_promised() {
    let runtime = runtime();
    let clock = Arc::new(ManualClock::new(start()));
    let (_database, store) = runtime.block_on(async {
        let database = crate::postgres_server::Database::create().await;
        let options = annals::PostgresStore::options().shared_clock(shared(&clock));
        let store = options.connect(database.url()).await.unwrap();
        (database, store)
    });
    let count = AtomicU64::new(0);
    for_histories(300, &history::history(1..16), |steps| {
        let way = usize::try_from(count.fetch_add(1, Ordering::Relaxed)).unwrap() % 3;
        let tallies = repositories(&store)[way].clone();
        runtime.block_on(async {
            let mut bench = Bench::new(&store, tallies, &clock, Flow::Calm).await.learning_positions();
            for step in &steps {
                bench.take(step).await;
            }
            bench.compare_all().await;
        });
    });
}
