//! Requests as a layer makes them: claimed, and completed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use annals::{
    Fingerprint, IdempotencyKey, ResponseStore, Scope, ScopedKey,
    store::{ClaimedResponse, ResponseClaim, StoredBody, StoredResponse},
};
use anyhow::{Result, bail, ensure};
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{sleep_until, timeout},
};
use uuid::Uuid;

/// How many claim at once.
pub(super) const TASKS: u64 = 8;

/// At which pace requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pace {
    /// So many a second, whatever becomes of the ones before; a claim's time counts from when it was due.
    Steady { per_second: u64 },
    /// Each task as fast as it is answered.
    Full,
}

const KEEP_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const LEASE: Duration = Duration::from_secs(60);

/// The longest that a claim and its completion are waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Claims and completes for so long; gives the times of the claims, in nanoseconds.
pub(super) async fn run(store: &Arc<dyn ResponseStore>, pace: Pace, time: Duration) -> Result<Vec<u64>> {
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (store, next) = (Arc::clone(store), Arc::clone(&next));
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = match pace {
                    Pace::Steady { per_second } => began + Duration::from_micros(number * 1_000_000 / per_second),
                    Pace::Full => Instant::now(),
                };
                if due.duration_since(began) >= time {
                    return anyhow::Ok(latencies);
                }
                if pace != Pace::Full {
                    sleep_until(due.into()).await;
                }
                latencies.push(timeout(LONGEST_WAIT, request(&*store, number, due)).await??);
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        latencies.append(&mut ended??);
    }
    ensure!(!latencies.is_empty(), "nothing was claimed");
    Ok(latencies)
}

/// Claims a new key and completes it. Gives how long the claim took.
async fn request(store: &dyn ResponseStore, number: u64, due: Instant) -> Result<u64> {
    let scope = Scope::new(format!("account-{}", number % 1_000))?;
    let key = IdempotencyKey::new(Uuid::new_v4().to_string())?;
    let claim = ResponseClaim {
        key: ScopedKey::new(scope, key),
        fingerprint: Fingerprint::of_parts(&[b"two seats in the first row"]),
        recipe: 1,
        lease: LEASE,
        keep_for: KEEP_FOR,
        attempts: 5,
        scope_keys: None,
        request: None,
    };
    let claimed = store.claim_response(&claim).await?;
    let took = u64::try_from(due.elapsed().as_nanos())?;
    let ClaimedResponse::Mine(lease) = claimed else { bail!("a new key was taken: {claimed:?}") };
    let response = StoredResponse {
        status: 201,
        headers: vec![("content-type".to_owned(), Arc::from(&b"application/json"[..]))],
        body: StoredBody::Whole(vec![b'x'; 160].into()),
    };
    ensure!(store.complete_response(&lease, &response, KEEP_FOR).await?, "a lease was lost");
    Ok(took)
}
