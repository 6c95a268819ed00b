//! Counts what the layer asks of a store of answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
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

/// Calls to a store: to claim, to complete, and for anything else.
#[derive(Debug, Default)]
pub(super) struct Calls([AtomicU64; 3]);

const CLAIM: usize = 0;
const COMPLETE: usize = 1;
const OTHER: usize = 2;

impl Calls {
    /// How many there were since the last time.
    pub(super) fn take(&self) -> [u64; 3] {
        self.0.each_ref().map(|calls| calls.swap(0, Ordering::Relaxed))
    }

    fn count(&self, call: usize) {
        self.0[call].fetch_add(1, Ordering::Relaxed);
    }
}

/// A store whose calls are counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) inner: Arc<dyn ResponseStore>,
    pub(super) calls: Arc<Calls>,
}

#[async_trait]
impl ResponseStore for Counted {
    async fn claim_response(&self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        self.calls.count(CLAIM);
        self.inner.claim_response(claim).await
    }

    async fn find_response(&self, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        self.calls.count(OTHER);
        self.inner.find_response(key).await
    }

    async fn renew_response(&self, lease: &ResponseLease, keep_for: Duration) -> Result<bool, Error> {
        self.calls.count(OTHER);
        self.inner.renew_response(lease, keep_for).await
    }

    async fn complete_response(
        &self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        self.calls.count(COMPLETE);
        self.inner.complete_response(lease, response, keep_for).await
    }

    async fn let_go_of_response(&self, lease: &ResponseLease, how: LetGo) -> Result<bool, Error> {
        self.calls.count(OTHER);
        self.inner.let_go_of_response(lease, how).await
    }

    async fn bury_response(
        &self,
        key: &ScopedKey,
        fence: u64,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        self.calls.count(OTHER);
        self.inner.bury_response(key, fence, response, keep_for).await
    }

    async fn abandoned_requests(&self, lapsed_for: Duration, limit: u32) -> Result<Vec<AbandonedRequest>, Error> {
        self.calls.count(OTHER);
        self.inner.abandoned_requests(lapsed_for, limit).await
    }

    async fn list_responses(&self, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
        self.calls.count(OTHER);
        self.inner.list_responses(query).await
    }

    async fn operate_response(&self, key: &ScopedKey, action: ResponseAction, operator: &str) -> Result<bool, Error> {
        self.calls.count(OTHER);
        self.inner.operate_response(key, action, operator).await
    }
}
