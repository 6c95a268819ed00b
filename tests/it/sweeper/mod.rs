//! Sweeping away what has expired: batches, bounds, several at once, outages.

pub mod expired;
#[cfg(feature = "postgres")]
mod operating;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use annals::{Error, Retention, Sweeper, store::Expiring};
use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

/// Rows that are only counted.
#[derive(Debug, Clone, Default)]
struct Fake(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    responses: AtomicU64,
    receipts: AtomicU64,
    /// What each call was for, and how many rows it asked for.
    calls: Mutex<Vec<(Expiring, u32)>>,
    /// Said by the next calls, the last first.
    errors: Mutex<Vec<Error>>,
    called: Notify,
}

impl Fake {
    fn with(responses: u64, receipts: u64) -> Self {
        let fake = Self::default();
        fake.0.responses.store(responses, Ordering::SeqCst);
        fake.0.receipts.store(receipts, Ordering::SeqCst);
        fake
    }

    fn calls(&self) -> Vec<(Expiring, u32)> {
        std::mem::take(&mut self.0.calls.lock().unwrap())
    }
}

#[async_trait]
impl Retention for Fake {
    async fn sweep(&self, what: Expiring, limit: u32) -> Result<u64, Error> {
        self.0.calls.lock().unwrap().push((what, limit));
        self.0.called.notify_one();
        if let Some(error) = self.0.errors.lock().unwrap().pop() {
            return Err(error);
        }
        let rows = match what {
            Expiring::Responses => &self.0.responses,
            Expiring::Receipts => &self.0.receipts,
            _ => return Ok(0),
        };
        let gone = rows.load(Ordering::SeqCst).min(limit.into());
        rows.fetch_sub(gone, Ordering::SeqCst);
        Ok(gone)
    }
}

#[tokio::test]
async fn http_h06_a_pass_sweeps_batch_by_batch_and_each_kind_in_turn() {
    use Expiring::{Inbox, Receipts, Responses, Steps, Timers};
    let store = Fake::with(2_500, 1_000);
    let between = Duration::from_millis(2);
    let swept = Sweeper::new(&store).pause_between_batches(between).sweep().await.unwrap();
    assert_eq!(swept.rows, [(Responses, 2_500), (Receipts, 1_000), (Steps, 0), (Timers, 0), (Inbox, 0)]);
    assert_eq!((swept.total(), swept.ended_early), (3_500, false));
    let calls = [Responses, Receipts, Steps, Timers, Inbox, Responses, Receipts, Responses];
    let calls: Vec<_> = calls.map(|kind| (kind, 1_000)).into();
    assert_eq!(store.calls(), calls);
    assert!(swept.took >= 5 * between, "five pauses in {:?}", swept.took);
}

#[tokio::test]
async fn http_h06_a_pass_ends_in_time_and_the_next_goes_on() {
    let store = Fake::with(10_000, 0);
    let sweeper = Sweeper::new(&store).batch(10).kinds([Expiring::Responses]).longest_pass(Duration::from_nanos(1));
    let swept = sweeper.sweep().await.unwrap();
    // One batch in any case, and none that begins when the time is over.
    assert_eq!((swept.total(), swept.ended_early), (10, true));
    let sweeper = sweeper.longest_pass(Duration::from_secs(60));
    let again = sweeper.pause_between_batches(Duration::ZERO).batch(10_000).sweep().await.unwrap();
    assert_eq!(swept.total() + again.total(), 10_000);
}

#[tokio::test]
async fn a_sweeper_comes_again_waits_outages_out_and_ends_when_told() {
    let store = Fake::with(5, 0);
    store.0.errors.lock().unwrap().push(Error::Unavailable { source: None });
    let sweeper = Sweeper::new(&store).kinds([Expiring::Responses]).every(Duration::from_millis(10));
    let (stop, stopped) = oneshot::channel::<()>();
    let start = tokio::time::Instant::now();
    let task = tokio::spawn(async move { sweeper.run(async { drop(stopped.await) }).await });
    for _ in 0..4 {
        store.0.called.notified().await;
    }
    // A pause of a second and more after the outage.
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(store.0.responses.load(Ordering::SeqCst), 0);
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), task).await.expect("it ends when told").unwrap().unwrap();
}

#[tokio::test]
async fn a_sweeper_ends_with_what_does_not_pass() {
    let store = Fake::default();
    store.0.errors.lock().unwrap().push(Error::corrupt("a page"));
    let error = Sweeper::new(&store).run(std::future::pending()).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error}");
}

#[tokio::test]
async fn a_sweeper_that_makes_no_sense_is_refused_before_any_row() {
    let store = Fake::default();
    let sweeper = || Sweeper::new(&store);
    for wrong in [
        sweeper().batch(0),
        sweeper().batch(10_001),
        sweeper().kinds([]),
        sweeper().every(Duration::ZERO),
        sweeper().every(Duration::MAX),
        sweeper().longest_pass(Duration::ZERO),
        sweeper().longest_pass(Duration::MAX),
        sweeper().pause_between_batches(Duration::from_secs(61)),
    ] {
        assert!(matches!(wrong.sweep().await, Err(Error::Invalid { .. })), "{wrong:?}");
        assert!(matches!(wrong.run(std::future::pending()).await, Err(Error::Invalid { .. })), "{wrong:?}");
    }
    assert_eq!(store.calls(), []);
}

/// Two sweepers at once, each with small batches: every expired row goes once, none that is kept does.
async fn two_at_once<S: Retention + annals::ResponseStore + Clone + 'static>(store: S, clock: &annals::ManualClock) {
    expired::fill(&store, "gone", 60, Duration::from_secs(10)).await;
    expired::fill(&store, "kept", 7, Duration::from_secs(1_000)).await;
    clock.advance(Duration::from_secs(10));
    let sweeper = || Sweeper::new(&store).batch(4).pause_between_batches(Duration::ZERO);
    let (one, other) = tokio::join!(
        tokio::spawn({
            let sweeper = sweeper();
            async move { sweeper.sweep().await }
        }),
        tokio::spawn({
            let sweeper = sweeper();
            async move { sweeper.sweep().await }
        })
    );
    let (one, other) = (one.unwrap().unwrap(), other.unwrap().unwrap());
    // One that met only rows of the other ended sooner; the rest is for the next pass.
    let rest = sweeper().sweep().await.unwrap();
    assert_eq!(one.total() + other.total() + rest.total(), 60, "{one:?} {other:?}");
    assert_eq!(expired::count(&store).await, 7);
    assert_eq!(sweeper().sweep().await.unwrap().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_h07_two_sweepers_share_the_work() {
    let clock = Arc::new(expired::clock());
    let folder = tempfile::tempdir().unwrap();
    let options = annals::SqliteStore::options().shared_clock(Arc::<annals::ManualClock>::clone(&clock));
    two_at_once(options.open(folder.path().join("a.db")).await.unwrap(), &clock).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn http_h07_two_sweepers_share_the_work_on_postgresql() {
    let clock = Arc::new(expired::clock());
    let database = crate::postgres_server::Database::create().await;
    let options = annals::PostgresStore::options().shared_clock(Arc::<annals::ManualClock>::clone(&clock));
    two_at_once(options.connect(database.url()).await.unwrap(), &clock).await;
}
