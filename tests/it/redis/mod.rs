//! Redis in front of a store of answers, with real servers that are stopped, emptied, frozen and replaced.

mod answers;
mod bounds;
mod doubles;
mod late;
mod memory;
mod outages;
mod program;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use annals::{
    Fingerprint, IdempotencyKey, RedisOptions, RedisResponses, ResponseStore, Scope, ScopedKey,
    store::{ClaimedResponse, FinishedResponse, ResponseClaim, ResponseLease, StoredBody, StoredResponse},
};
use redis::aio::MultiplexedConnection;

use memory::Memory;

const HOUR: Duration = Duration::from_secs(3600);
/// What nothing here takes.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A prefix of a test's own.
fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A store in memory behind the run's Redis.
async fn behind_redis() -> (Memory, RedisResponses, String) {
    let (memory, prefix) = (Memory::default(), prefix());
    let options = RedisOptions::new().prefix(&prefix).budget(Duration::from_secs(5));
    let store = options.connect(&crate::redis_server::url(), memory.clone()).await.unwrap();
    (memory, store, prefix)
}

fn key(name: &str) -> ScopedKey {
    ScopedKey::new(Scope::new("acct_1").unwrap(), IdempotencyKey::new(name).unwrap())
}

fn claim(key: &ScopedKey) -> ResponseClaim {
    ResponseClaim {
        key: key.clone(),
        fingerprint: Fingerprint::of_parts(&[b"request"]),
        recipe: 1,
        lease: Duration::from_secs(60),
        keep_for: HOUR,
        attempts: 5,
        scope_keys: None,
        request: None,
    }
}

fn answer(body: &str) -> StoredResponse {
    let headers = vec![("content-type".to_owned(), Arc::from(&b"text/plain"[..]))];
    StoredResponse { status: 201, headers, body: StoredBody::Whole(Arc::from(body.as_bytes())) }
}

async fn take(store: &dyn ResponseStore, key: &ScopedKey) -> ResponseLease {
    match store.claim_response(&claim(key)).await.unwrap() {
        ClaimedResponse::Mine(lease) => lease,
        other => panic!("expected the right, not {other:?}"),
    }
}

async fn replay(store: &dyn ResponseStore, key: &ScopedKey) -> Arc<FinishedResponse> {
    match store.claim_response(&claim(key)).await.unwrap() {
        ClaimedResponse::Finished(finished) => finished,
        other => panic!("expected an answer, not {other:?}"),
    }
}

/// Carries a request out, and waits until what follows is written.
async fn finish(store: &RedisResponses, key: &ScopedKey, body: &str) -> ResponseLease {
    let lease = take(store, key).await;
    assert!(store.complete_response(&lease, &answer(body), HOUR).await.unwrap());
    store.drain().await;
    lease
}

async fn connection(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// The keys of a prefix.
async fn keys(url: &str, prefix: &str) -> Vec<String> {
    redis::cmd("KEYS").arg(format!("{prefix}:*")).query_async(&mut connection(url).await).await.unwrap()
}

/// Looks until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < LONGEST_WAIT, "{what}: not within {LONGEST_WAIT:?}");
        tokio::task::yield_now().await;
    }
}
