//! Abandoned requests are finished without their clients.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use annals::{
    Error, Fingerprint, IdempotencyKey, ResponseStore, Scope, ScopedKey,
    process::{Completer, Resume, Resumed},
    store::{
        AbandonedRequest, ClaimedResponse, LetGo, ResponseAction, ResponseClaim, ResponseLease, ResponseQuery,
        ResponseRow, StoredRequest, StoredResponse,
    },
};
use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};

/// Lists abandoned requests, the ones that lapsed first before others; whatever else is asked for is a mistake.
#[derive(Debug, Default)]
struct Lapsed {
    keys: Mutex<Vec<String>>,
    is_damaged: bool,
}

fn abandoned(key: &str) -> AbandonedRequest {
    AbandonedRequest {
        scope: Scope::new("acct").unwrap(),
        key: IdempotencyKey::new(key).unwrap(),
        fingerprint: Fingerprint::of_parts(&[key.as_bytes()]),
        recipe: 1,
        attempts: 1,
        request: StoredRequest {
            method: "POST".to_owned(),
            uri: "/".to_owned(),
            headers: Vec::new(),
            body: Arc::from([]),
        },
    }
}

fn not_asked_for<T>() -> Result<T, Error> {
    Err(Error::invalid("a completer only lists"))
}

#[async_trait]
impl ResponseStore for Lapsed {
    async fn claim_response(&self, _: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        not_asked_for()
    }

    async fn find_response(&self, _: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        not_asked_for()
    }

    async fn renew_response(&self, _: &ResponseLease, _: Duration) -> Result<bool, Error> {
        not_asked_for()
    }

    async fn complete_response(&self, _: &ResponseLease, _: &StoredResponse, _: Duration) -> Result<bool, Error> {
        not_asked_for()
    }

    async fn let_go_of_response(&self, _: &ResponseLease, _: LetGo) -> Result<bool, Error> {
        not_asked_for()
    }

    async fn bury_response(&self, _: &ScopedKey, _: u64, _: &StoredResponse, _: Duration) -> Result<bool, Error> {
        not_asked_for()
    }

    async fn abandoned_requests(&self, _: Duration, limit: u32) -> Result<Vec<AbandonedRequest>, Error> {
        if self.is_damaged {
            return Err(Error::corrupt("a page cannot be read"));
        }
        assert!((1..=1_000).contains(&limit));
        let keys = self.keys.lock().unwrap();
        Ok(keys.iter().take(limit as usize).map(|key| abandoned(key)).collect())
    }

    async fn list_responses(&self, _: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
        not_asked_for()
    }

    async fn operate_response(&self, _: &ScopedKey, _: ResponseAction, _: &str) -> Result<bool, Error> {
        not_asked_for()
    }
}

/// Finishes requests, but for some; counts how often each was taken up.
#[derive(Debug)]
struct Handler {
    store: Arc<Lapsed>,
    taken_up: Mutex<BTreeMap<String, u32>>,
    at_once: Semaphore,
    most_at_once: usize,
    begun: Notify,
    gate: Semaphore,
}

impl Handler {
    fn of(keys: &[&str], most_at_once: usize, open: usize) -> (Arc<Lapsed>, Arc<Self>) {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        let store = Arc::new(Lapsed { keys: Mutex::new(keys), is_damaged: false });
        let handler = Self {
            store: Arc::clone(&store),
            taken_up: Mutex::default(),
            at_once: Semaphore::new(most_at_once),
            most_at_once,
            begun: Notify::new(),
            gate: Semaphore::new(open),
        };
        (store, Arc::new(handler))
    }

    fn times(&self, key: &str) -> u32 {
        self.taken_up.lock().unwrap().get(key).copied().unwrap_or(0)
    }

    fn left(&self) -> usize {
        self.store.keys.lock().unwrap().len()
    }
}

#[async_trait]
impl Resume for Handler {
    async fn resume(&self, request: AbandonedRequest) -> Result<Resumed, Error> {
        let key = request.key.as_str().to_owned();
        *self.taken_up.lock().unwrap().entry(key.clone()).or_default() += 1;
        let _one = self.at_once.try_acquire().expect("no more at once than was said");
        self.begun.notify_one();
        let _open = self.gate.acquire().await.unwrap();
        assert!(!key.starts_with("panics"), "on purpose");
        if key.starts_with("fails") {
            return Err(Error::invalid("no handler for it"));
        }
        if key.starts_with("unfinished") {
            return Ok(Resumed::Unfinished);
        }
        if key.starts_with("hangs") {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        self.store.keys.lock().unwrap().retain(|other| *other != key);
        Ok(Resumed::Finished)
    }
}

fn completer(store: &Arc<Lapsed>, handler: &Arc<Handler>) -> Completer {
    let (store, handler) = (Arc::<Lapsed>::clone(store), Arc::<Handler>::clone(handler));
    let at_once = handler.most_at_once;
    Completer::new(store, handler).concurrency(at_once)
}

#[tokio::test]
async fn abandoned_requests_are_finished_so_many_at_once() {
    let keys: Vec<_> = (0..20).map(|number| format!("key-{number}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let (store, handler) = Handler::of(&keys, 3, 3);
    let finished = completer(&store, &handler).limit(15).finish().await.unwrap();
    assert_eq!((finished.resumed, finished.failed, finished.left), (15, 0, 0));
    assert_eq!(handler.left(), 5);
    assert!(keys.iter().all(|key| handler.times(key) <= 1));
}

#[tokio::test]
async fn a_request_that_keeps_failing_is_not_tried_at_once_and_hides_no_other() {
    let (store, handler) = Handler::of(&["fails", "panics", "hangs", "a", "b"], 2, 2);
    let completer = completer(&store, &handler).limit(3).longest(Duration::from_millis(20));
    let finished = completer.finish().await.unwrap();
    assert_eq!((finished.resumed, finished.failed, finished.left), (0, 3, 0));
    let finished = completer.finish().await.unwrap();
    assert_eq!((finished.resumed, finished.failed, finished.left), (2, 0, 3));
    let finished = completer.finish().await.unwrap();
    assert_eq!((finished.resumed, finished.failed, finished.left), (0, 0, 3));
    for key in ["fails", "panics", "hangs", "a", "b"] {
        assert_eq!(handler.times(key), 1, "{key}");
    }
}

#[tokio::test]
async fn a_request_that_stays_unfinished_waits_as_one_that_fails_does() {
    let (store, handler) = Handler::of(&["unfinished", "a"], 1, 1);
    let completer = completer(&store, &handler).limit(1);
    let finished = completer.finish().await.unwrap();
    assert_eq!((finished.resumed, finished.failed, finished.left), (1, 0, 0));
    let finished = completer.finish().await.unwrap();
    assert_eq!((finished.resumed, finished.failed, finished.left), (1, 0, 1), "it hides no other");
    for _ in 0..3 {
        let finished = completer.finish().await.unwrap();
        assert_eq!((finished.resumed, finished.failed, finished.left), (0, 0, 1));
    }
    assert_eq!((handler.times("unfinished"), handler.times("a")), (1, 1));
}

#[tokio::test]
async fn a_completer_that_is_told_to_stop_ends_what_is_under_way_and_begins_nothing() {
    let (store, handler) = Handler::of(&["a", "b", "c"], 1, 0);
    let completer = completer(&store, &handler).poll(Duration::from_millis(10));
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let run = tokio::spawn(async move { completer.run(async move { told.notified().await }).await });
    handler.begun.notified().await;
    stop.notify_one();
    // It has been told, and has looked: one thread, each in its turn.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    handler.gate.add_permits(1);
    run.await.unwrap().unwrap();
    assert_eq!((handler.times("a"), handler.times("b"), handler.left()), (1, 0, 2));
}

#[tokio::test]
async fn a_completer_goes_on_until_it_is_told_to_stop() {
    let (store, handler) = Handler::of(&["a"], 1, 1);
    let completer = completer(&store, &handler).poll(Duration::from_millis(10));
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let run = tokio::spawn(async move { completer.run(async move { told.notified().await }).await });
    handler.begun.notified().await;
    store.keys.lock().unwrap().push("b".to_owned());
    handler.begun.notified().await;
    stop.notify_one();
    run.await.unwrap().unwrap();
    assert_eq!((handler.times("b"), handler.left()), (1, 0));
}

#[tokio::test]
async fn a_completer_ends_where_the_store_is_damaged_or_its_settings_make_no_sense() {
    let (_, handler) = Handler::of(&[], 1, 1);
    let damaged = Arc::new(Lapsed { keys: Mutex::default(), is_damaged: true });
    let ended = completer(&damaged, &handler).run(std::future::pending()).await;
    assert!(matches!(ended, Err(Error::Backend { .. })), "{ended:?}");
    let wrong = [
        completer(&damaged, &handler).limit(0),
        completer(&damaged, &handler).limit(1_001),
        completer(&damaged, &handler).concurrency(0),
        completer(&damaged, &handler).poll(Duration::ZERO),
        completer(&damaged, &handler).longest(Duration::ZERO),
    ];
    for completer in wrong {
        assert!(matches!(completer.finish().await, Err(Error::Invalid { .. })), "{completer:?}");
    }
}
