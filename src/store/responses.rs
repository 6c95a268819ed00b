//! The port of stored answers.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    AbandonedRequest, ClaimedResponse, Error, LetGo, ResponseAction, ResponseClaim, ResponseLease, ResponseQuery,
    ResponseRow, ScopedKey, StoredResponse, Work,
};

/// Keeps answers to requests under their keys, and says who carries one out.
///
/// Object-safe. Times are the database server's, or the store's clock where that is another than the machine's.
#[async_trait]
pub trait ResponseStore: fmt::Debug + Send + Sync {
    /// Takes the right to carry a request out, or says what has become of it.
    ///
    /// One statement. It takes a key that is new, or has expired and is not leased, or whose lease has lapsed, if it is the
    /// same request and was not begun too often. Each time with a new fence.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`]: another transaction holds the key: it is in flight. [`Error::Unavailable`],
    /// [`Error::OutcomeUnknown`]: claim again; what was taken lapses.
    async fn claim_response(&self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error>;

    /// Reads what stands under a key, without taking it. `None`: nothing, or what has expired and is not leased.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn find_response(&self, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error>;

    /// Gives a sign of life. `false`: the right is lost.
    ///
    /// # Errors
    ///
    /// A failed write: try again before the lease lapses.
    async fn renew_response(&self, lease: &ResponseLease, keep_for: Duration) -> Result<bool, Error>;

    /// Stores the answer, kept for so long from now. `false`: the right is lost, and the answer is not to be given.
    ///
    /// Stored once more under the same fence, it is simply there.
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`]: call again.
    async fn complete_response(
        &self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error>;

    /// Lets go of a claim that has no answer. `false`: the right was lost before.
    ///
    /// # Errors
    ///
    /// A failed write: the lease lapses by itself.
    async fn let_go_of_response(&self, lease: &ResponseLease, how: LetGo) -> Result<bool, Error>;

    /// Gives a request up that was begun too often: its answer from now on is this one.
    ///
    /// `false`: it moved on since its fence was seen, or its lease has not lapsed.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn bury_response(
        &self,
        key: &ScopedKey,
        fence: u64,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error>;

    /// Reads requests that were stored to be finished without their client, and whose lease lapsed so long ago.
    ///
    /// The ones that lapsed first come first; 1 to 1,000 of them.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn abandoned_requests(&self, lapsed_for: Duration, limit: u32) -> Result<Vec<AbandonedRequest>, Error>;

    /// Lists rows, by scope and key.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn list_responses(&self, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Error>;

    /// Does what an operator asks, and notes it beside the row. `false`: the row is not there, or not in such a state.
    ///
    /// # Errors
    ///
    /// A failed write: look, and call again.
    async fn operate_response(&self, key: &ScopedKey, action: ResponseAction, operator: &str) -> Result<bool, Error>;
}

/// Claims and completes inside an open transaction of the store.
///
/// So the claim, the events and the answer commit together.
#[async_trait]
pub trait ResponseWork: Work {
    /// As [`ResponseStore::claim_response`]. Where another transaction has claimed the key, it is waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`]: it took too long; the transaction can only be dropped.
    async fn claim_response(&mut self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error>;

    /// As [`ResponseStore::complete_response`].
    ///
    /// # Errors
    ///
    /// A failed write: the transaction can only be dropped.
    async fn complete_response(
        &mut self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error>;
}

#[async_trait]
impl<S: ResponseStore + ?Sized> ResponseStore for Arc<S> {
    async fn claim_response(&self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        (**self).claim_response(claim).await
    }

    async fn find_response(&self, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        (**self).find_response(key).await
    }

    async fn renew_response(&self, lease: &ResponseLease, keep_for: Duration) -> Result<bool, Error> {
        (**self).renew_response(lease, keep_for).await
    }

    async fn complete_response(
        &self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        (**self).complete_response(lease, response, keep_for).await
    }

    async fn let_go_of_response(&self, lease: &ResponseLease, how: LetGo) -> Result<bool, Error> {
        (**self).let_go_of_response(lease, how).await
    }

    async fn bury_response(
        &self,
        key: &ScopedKey,
        fence: u64,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        (**self).bury_response(key, fence, response, keep_for).await
    }

    async fn abandoned_requests(&self, lapsed_for: Duration, limit: u32) -> Result<Vec<AbandonedRequest>, Error> {
        (**self).abandoned_requests(lapsed_for, limit).await
    }

    async fn list_responses(&self, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
        (**self).list_responses(query).await
    }

    async fn operate_response(&self, key: &ScopedKey, action: ResponseAction, operator: &str) -> Result<bool, Error> {
        (**self).operate_response(key, action, operator).await
    }
}
