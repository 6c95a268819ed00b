//! A store of answers that fails where it is told to, and counts what it is asked.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use annals::{
    Error, ResponseStore, ScopedKey,
    store::{
        AbandonedRequest, ClaimedResponse, LetGo, ResponseAction, ResponseClaim, ResponseLease, ResponseQuery,
        ResponseRow, StoredResponse,
    },
};
use async_trait::async_trait;
use tokio::sync::Semaphore;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never gets there.
    NotSent,
    /// It is done, but nobody hears of it.
    ReplyLost,
}

/// A store of answers that fails.
#[derive(Debug)]
pub struct Faults {
    inner: Arc<dyn ResponseStore>,
    planned: Mutex<BTreeMap<&'static str, Vec<Fault>>>,
    asked: Mutex<BTreeMap<&'static str, usize>>,
    renewals: Semaphore,
    injected: AtomicUsize,
}

impl Faults {
    pub fn new(inner: Arc<dyn ResponseStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            planned: Mutex::default(),
            asked: Mutex::default(),
            renewals: Semaphore::new(0),
            injected: AtomicUsize::new(0),
        })
    }

    /// Has the next calls of an operation fail.
    pub fn plan(&self, operation: &'static str, fault: Fault, times: usize) {
        self.planned.lock().unwrap().entry(operation).or_default().extend(vec![fault; times]);
    }

    /// How often an operation was asked for.
    pub fn asked(&self, operation: &'static str) -> usize {
        self.asked.lock().unwrap().get(operation).copied().unwrap_or(0)
    }

    /// How many calls there were, of whatever operation.
    pub fn calls(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }

    /// How many faults there were.
    pub fn injected(&self) -> usize {
        self.injected.load(Ordering::SeqCst)
    }

    /// Waits for so many more renewals.
    pub async fn renewed(&self, times: u32) {
        self.renewals.acquire_many(times).await.unwrap().forget();
    }

    async fn call<T>(&self, operation: &'static str, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        *self.asked.lock().unwrap().entry(operation).or_default() += 1;
        let planned = self.planned.lock().unwrap().get_mut(operation).and_then(|planned| planned.pop());
        match planned {
            None => call.await,
            Some(fault) => {
                self.injected.fetch_add(1, Ordering::SeqCst);
                if fault == Fault::NotSent {
                    return Err(Error::unavailable(io::Error::other("it is not there")));
                }
                call.await?;
                Err(Error::outcome_unknown(io::Error::other("the reply was lost")))
            }
        }
    }
}

#[async_trait]
impl ResponseStore for Faults {
    async fn claim_response(&self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        self.call("claim", self.inner.claim_response(claim)).await
    }

    async fn find_response(&self, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        self.call("find", self.inner.find_response(key)).await
    }

    async fn renew_response(&self, lease: &ResponseLease, keep_for: Duration) -> Result<bool, Error> {
        let renewed = self.call("renew", self.inner.renew_response(lease, keep_for)).await;
        self.renewals.add_permits(1);
        renewed
    }

    async fn complete_response(
        &self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        self.call("complete", self.inner.complete_response(lease, response, keep_for)).await
    }

    async fn let_go_of_response(&self, lease: &ResponseLease, how: LetGo) -> Result<bool, Error> {
        self.call("let go", self.inner.let_go_of_response(lease, how)).await
    }

    async fn bury_response(
        &self,
        key: &ScopedKey,
        fence: u64,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        self.call("bury", self.inner.bury_response(key, fence, response, keep_for)).await
    }

    async fn abandoned_requests(&self, lapsed_for: Duration, limit: u32) -> Result<Vec<AbandonedRequest>, Error> {
        self.call("abandoned", self.inner.abandoned_requests(lapsed_for, limit)).await
    }

    async fn list_responses(&self, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
        self.call("list", self.inner.list_responses(query)).await
    }

    async fn operate_response(&self, key: &ScopedKey, action: ResponseAction, operator: &str) -> Result<bool, Error> {
        self.call("operate", self.inner.operate_response(key, action, operator)).await
    }
}
