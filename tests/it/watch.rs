//! Waiting for events: what wakes the watcher, and what it costs.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use annals::{
    Append, Appended, Error, EventStore as _, EventStoreExt as _, IdempotencyKey, Limits, LogQuery, LogRead, NewEvent,
    Polling, Position, Receipt, SqliteStore, StreamQuery, StreamRead, Transactional as _, Work as _,
    store::{Backend, Front, LoadQuery, LoadVisitor, SnapshotRef, Visit},
};
use async_trait::async_trait;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

/// Longer than any wait may take here, short enough to call it lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// So seldom that no test sees it.
const NEVER: Polling = Polling { every: Duration::from_secs(3_600), idle: Duration::from_secs(3_600) };

/// A log whose head the test sets, and which tells the test of every look at it.
#[derive(Debug)]
struct Head {
    now: Mutex<Result<u64, Error>>,
    looks: mpsc::UnboundedSender<()>,
    count: AtomicUsize,
    /// What a database may tell of other processes.
    told: Notify,
}

#[async_trait]
impl Backend for Head {
    async fn head(&self) -> Result<Position, Error> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let _ = self.looks.send(());
        self.now.lock().unwrap().clone().map(Position::new)
    }

    async fn noticed(&self) {
        self.told.notified().await;
    }

    async fn write(&self, _: &[Append]) -> Vec<Result<Appended, Error>> {
        unreachable!("these tests write nothing here")
    }

    async fn read_stream(&self, _: &StreamQuery, _: Visit<'_>) -> Result<StreamRead, Error> {
        unreachable!("these tests read no stream")
    }

    async fn load(&self, _: &LoadQuery, _: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        unreachable!("these tests read no stream")
    }

    async fn save_snapshot(&self, _: SnapshotRef<'_>) -> Result<(), Error> {
        unreachable!("these tests keep no snapshots")
    }

    async fn read_log(&self, _: &LogQuery, _: Visit<'_>) -> Result<LogRead, Error> {
        unreachable!("these tests read no log")
    }

    async fn receipt(&self, _: Uuid, _: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        unreachable!("these tests ask for no receipts")
    }
}

struct Fixture {
    front: Arc<Front<Head>>,
    looks: mpsc::UnboundedReceiver<()>,
}

fn fixture(polling: Polling) -> Fixture {
    let (sender, looks) = mpsc::unbounded_channel();
    let head = Head { now: Mutex::new(Ok(10)), looks: sender, count: AtomicUsize::new(0), told: Notify::new() };
    Fixture { front: Arc::new(Front::new(head, Limits::default()).polling(polling)), looks }
}

impl Fixture {
    fn wait_for(&self, after: u64) -> JoinHandle<Result<Position, Error>> {
        let front = Arc::clone(&self.front);
        tokio::spawn(async move { front.wait_for(Position::new(after)).await })
    }

    fn set(&self, head: Result<u64, Error>) {
        *self.front.backend().now.lock().unwrap() = head;
    }

    fn count(&self) -> usize {
        self.front.backend().count.load(Ordering::SeqCst)
    }

    /// The watcher has looked, and goes back to wait.
    async fn looked(&mut self) {
        timeout(PATIENCE, self.looks.recv()).await.expect("the watcher looks").unwrap();
        settle().await;
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn woken(waiter: JoinHandle<Result<Position, Error>>) -> Result<u64, Error> {
    timeout(PATIENCE, waiter).await.expect("the waiter is woken").unwrap().map(Position::get)
}

#[tokio::test]
async fn one_look_answers_all_who_wait() {
    let mut at = fixture(NEVER);
    let waiters: Vec<_> = (0..100).map(|_| at.wait_for(10)).collect();
    at.looked().await;
    let before = at.count();
    assert!(before <= 2, "{before} looks for a hundred who came together");
    at.set(Ok(11));
    at.front.committed();
    for waiter in waiters {
        assert_eq!(woken(waiter).await.unwrap(), 11);
    }
    assert_eq!(at.count(), before + 1);
}

#[tokio::test]
async fn what_the_database_tells_wakes_those_who_wait() {
    let mut at = fixture(NEVER);
    for head in 10..15 {
        let waiter = at.wait_for(head);
        at.looked().await;
        at.set(Ok(head + 1));
        at.front.backend().told.notify_one();
        assert_eq!(woken(waiter).await.unwrap(), head + 1);
    }
}

#[tokio::test]
async fn polling_finds_what_nobody_tells_of() {
    let mut at = fixture(Polling { every: Duration::from_millis(1), idle: Duration::from_millis(2) });
    let waiter = at.wait_for(10);
    at.looked().await;
    at.set(Ok(12));
    assert_eq!(woken(waiter).await.unwrap(), 12);
}

#[tokio::test]
async fn each_waits_for_a_place_of_its_own() {
    let mut at = fixture(NEVER);
    let (near, far) = (at.wait_for(10), at.wait_for(20));
    at.looked().await;
    at.set(Ok(20));
    at.front.committed();
    assert_eq!(woken(near).await.unwrap(), 20);
    settle().await;
    assert!(!far.is_finished());
    at.set(Ok(21));
    at.front.committed();
    assert_eq!(woken(far).await.unwrap(), 21);
}

#[tokio::test]
async fn nobody_who_waits_is_no_work() {
    let mut at = fixture(Polling { every: Duration::from_millis(1), idle: Duration::from_millis(1) });
    let waiters: Vec<_> = (0..3).map(|_| at.wait_for(10)).collect();
    at.looked().await;
    for waiter in waiters {
        waiter.abort();
        assert!(waiter.await.unwrap_err().is_cancelled());
    }
    let before = at.count();
    at.front.committed();
    settle().await;
    let after = at.count();
    assert!(after <= before + 1, "{} looks for nobody", after - before);
    assert_eq!(woken(at.wait_for(9)).await.unwrap(), 10, "who comes later finds a watcher");
}

#[tokio::test]
async fn an_error_reaches_those_who_wait_and_nobody_after_them() {
    let mut at = fixture(NEVER);
    let waiters = [at.wait_for(10), at.wait_for(10)];
    at.looked().await;
    at.set(Err(Error::Unavailable { source: None }));
    at.front.committed();
    for waiter in waiters {
        assert!(woken(waiter).await.unwrap_err().is_retryable());
    }
    at.set(Ok(11));
    assert_eq!(woken(at.wait_for(10)).await.unwrap(), 11);
}

#[tokio::test]
async fn closing_ends_all_waiting() {
    let mut at = fixture(NEVER);
    let waiter = at.wait_for(10);
    at.looked().await;
    at.front.close().await;
    assert!(woken(waiter).await.unwrap_err().is_retryable());
    assert!(woken(at.wait_for(0)).await.unwrap_err().is_retryable());
}

#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ending, staying) = (runtime(), runtime());
    let mut at = fixture(NEVER);
    staying.block_on(async {
        // The watcher is this one's.
        let front = Arc::clone(&at.front);
        let first = ending.spawn(async move { front.wait_for(Position::new(10)).await });
        timeout(PATIENCE, at.looks.recv()).await.unwrap();
        let second = at.wait_for(10);
        // It is there: the watcher looks for it.
        timeout(PATIENCE, at.looks.recv()).await.unwrap();
        ending.shutdown_background();
        assert!(timeout(PATIENCE, first).await.unwrap().unwrap_err().is_cancelled());
        assert!(woken(second).await.unwrap_err().is_retryable());
        at.set(Ok(11));
        assert_eq!(woken(at.wait_for(10)).await.unwrap(), 11);
    });
    let mut waiting = Box::pin(at.front.wait_for(Position::START));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(refused) = waiting.as_mut().poll(&mut context) else { panic!("without a runtime") };
    assert!(refused.unwrap_err().is_retryable());
}

fn note(number: u64) -> Append {
    Append::new("note", Uuid::now_v7()).event(NewEvent::new("noted", &number).unwrap())
}

/// No poll comes in time here: it is the commit itself that wakes whoever waits.
#[tokio::test]
async fn commits_of_the_same_store_wake_without_polling() {
    let store = SqliteStore::options().polling(NEVER).open_in_memory().await.unwrap();
    for number in 0..10 {
        let head = store.head().await.unwrap();
        let waiter = tokio::spawn({
            let store = store.clone();
            async move { store.wait_for(head).await }
        });
        settle().await;
        if number % 2 == 0 {
            store.append_one(note(number)).await.unwrap();
        } else {
            let mut work = store.begin().await.unwrap();
            work.append(&note(number)).await.unwrap();
            work.commit().await.unwrap();
        }
        assert_eq!(woken(waiter).await.unwrap(), head.get() + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_when_a_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::options().polling(NEVER).open(folder.path().join("events.db")).await.unwrap();
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.wait_for(Position::START).await }
    });
    tokio::task::yield_now().await;
    store.close().await;
    assert!(woken(waiter).await.unwrap_err().is_retryable());
}
