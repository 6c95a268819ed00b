//! A store of answers in memory, which counts what it is asked and can be held up and taken away.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use annals::{
    Error, Fingerprint, ResponseStore, ScopedKey,
    store::{
        AbandonedRequest, ClaimedResponse, FinishedResponse, LetGo, ResponseAction, ResponseClaim, ResponseLease,
        ResponseQuery, ResponseRow, RunningResponse, StoredResponse,
    },
};
use async_trait::async_trait;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

#[derive(Debug, Clone)]
struct Row {
    fingerprint: Fingerprint,
    fence: u64,
    attempt: u32,
    /// The answer, until when it is kept, and whether it was given up; `None`: somebody is at work.
    answer: Option<(StoredResponse, Instant, bool)>,
}

#[derive(Debug, Default)]
struct Inner {
    rows: Mutex<HashMap<ScopedKey, Row>>,
    fence: AtomicU64,
    calls: AtomicU64,
    is_down: AtomicBool,
    /// The next completion commits, and says that it does not know.
    loses_reply: AtomicBool,
}

/// Where completions stop until they are let through, before and after the commit.
#[derive(Debug, Clone)]
pub struct Gates {
    pub before: Arc<Semaphore>,
    pub after: Arc<Semaphore>,
    /// How many have come to the second.
    pub committed: watch::Sender<u64>,
}

#[derive(Debug, Clone, Default)]
pub struct Memory {
    inner: Arc<Inner>,
    gates: Option<Gates>,
}

impl Memory {
    /// The same rows, with completions that stop until they are let through.
    pub fn gated(&self) -> (Self, Gates) {
        let closed = || Arc::new(Semaphore::new(0));
        let gates = Gates { before: closed(), after: closed(), committed: watch::Sender::new(0) };
        (Self { inner: Arc::clone(&self.inner), gates: Some(gates.clone()) }, gates)
    }

    /// How often it was asked since it was last asked this.
    pub fn calls(&self) -> u64 {
        self.inner.calls.swap(0, Ordering::SeqCst)
    }

    pub fn take_away(&self, is_down: bool) {
        self.inner.is_down.store(is_down, Ordering::SeqCst);
    }

    pub fn lose_a_reply(&self) {
        self.inner.loses_reply.store(true, Ordering::SeqCst);
    }

    /// Whether nothing stands under a key, or nothing that counts.
    pub fn is_expired(&self, key: &ScopedKey) -> bool {
        let rows = self.inner.rows.lock().unwrap();
        rows.get(key).is_none_or(|row| row.answer.as_ref().is_some_and(|(_, until, _)| Instant::now() >= *until))
    }

    fn asked(&self) -> Result<std::sync::MutexGuard<'_, HashMap<ScopedKey, Row>>, Error> {
        self.inner.calls.fetch_add(1, Ordering::SeqCst);
        if self.inner.is_down.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { source: None });
        }
        Ok(self.inner.rows.lock().unwrap())
    }
}

fn standing(row: &Row) -> Option<ClaimedResponse> {
    let Row { fingerprint, fence, attempt, ref answer } = *row;
    let Some((response, until, is_dead)) = answer else {
        let lease_left = Duration::from_secs(60);
        return Some(ClaimedResponse::Running(RunningResponse { fingerprint, recipe: 1, fence, attempt, lease_left }));
    };
    let left = until.saturating_duration_since(Instant::now());
    let (response, is_dead) = (response.clone(), *is_dead);
    let finished = FinishedResponse { fingerprint, recipe: 1, fence, is_dead, response, left };
    (!left.is_zero()).then(|| ClaimedResponse::Finished(Arc::new(finished)))
}

#[async_trait]
impl ResponseStore for Memory {
    async fn claim_response(&self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        let mut rows = self.asked()?;
        if let Some(found) = rows.get(&claim.key).and_then(standing) {
            return Ok(found);
        }
        let fence = self.inner.fence.fetch_add(1, Ordering::SeqCst) + 1;
        let row = Row { fingerprint: claim.fingerprint, fence, attempt: 1, answer: None };
        rows.insert(claim.key.clone(), row);
        let (key, length) = (claim.key.clone(), claim.lease);
        Ok(ClaimedResponse::Mine(ResponseLease {
            key,
            fence,
            run_id: Uuid::nil(),
            attempt: 1,
            is_new_run: true,
            length,
        }))
    }

    async fn find_response(&self, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        Ok(self.asked()?.get(key).and_then(standing))
    }

    async fn renew_response(&self, lease: &ResponseLease, _: Duration) -> Result<bool, Error> {
        Ok(self.asked()?.get(&lease.key).is_some_and(|row| row.fence == lease.fence))
    }

    async fn complete_response(
        &self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        if let Some(gates) = &self.gates {
            gates.before.acquire().await.unwrap().forget();
        }
        let is_mine = {
            let mut rows = self.asked()?;
            let row = rows.get_mut(&lease.key).filter(|row| row.fence == lease.fence);
            // Stored once more under its fence it is simply there.
            row.map(|row| {
                row.answer.get_or_insert_with(|| (response.clone(), Instant::now() + keep_for, false));
            })
            .is_some()
        };
        if let Some(gates) = &self.gates {
            gates.committed.send_modify(|committed| *committed += 1);
            gates.after.acquire().await.unwrap().forget();
        }
        if self.inner.loses_reply.swap(false, Ordering::SeqCst) {
            return Err(Error::OutcomeUnknown { source: None });
        }
        Ok(is_mine)
    }

    async fn let_go_of_response(&self, lease: &ResponseLease, _: LetGo) -> Result<bool, Error> {
        Ok(self.asked()?.remove(&lease.key).is_some())
    }

    async fn bury_response(
        &self,
        key: &ScopedKey,
        _: u64,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        let mut rows = self.asked()?;
        Ok(rows
            .get_mut(key)
            .map(|row| row.answer = Some((response.clone(), Instant::now() + keep_for, true)))
            .is_some())
    }

    async fn abandoned_requests(&self, _: Duration, _: u32) -> Result<Vec<AbandonedRequest>, Error> {
        Ok(Vec::new())
    }

    async fn list_responses(&self, _: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
        Ok(Vec::new())
    }

    async fn operate_response(&self, key: &ScopedKey, _: ResponseAction, _: &str) -> Result<bool, Error> {
        Ok(self.asked()?.remove(key).is_some())
    }
}
