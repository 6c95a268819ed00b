//! Claim, events and answer in one commit.

use std::{any::type_name, fmt, ops::DerefMut, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use http::{Extensions, request::Parts};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::request::NotIdempotent;
use crate::store::{ClaimedResponse, Error, ResponseClaim, ResponseLease, ResponseWork, StoredResponse, Transactional};

/// Begins the transactions in which requests are carried out; of whatever store.
#[async_trait]
pub(super) trait Transactions: Send + Sync {
    async fn begin(&self) -> Result<Box<dyn Open>, Error>;
}

/// An open transaction; of whatever store. Dropped, it leaves nothing behind.
#[async_trait]
pub(super) trait Open: Send + Sync {
    async fn claim(&mut self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error>;

    /// Lends it to the handler.
    fn lend(&self, extensions: &mut Extensions);

    /// Rolls back, also where the handler has kept what it was lent.
    fn abandon(self: Box<Self>);

    /// Stores the answer and commits. `false`: the right is lost, and nothing is written.
    async fn complete(
        self: Box<Self>,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error>;
}

/// A store that begins transactions for the layer.
pub(super) struct Begins<T>(pub(super) T);

#[async_trait]
impl<T> Transactions for Begins<T>
where
    T: Transactional + 'static,
    T::Work: ResponseWork + 'static,
{
    async fn begin(&self) -> Result<Box<dyn Open>, Error> {
        Ok(Box::new(Lent(Arc::new(Mutex::new(Some(self.0.begin().await?))))))
    }
}

/// Shared with the handler, which has it while it runs.
struct Lent<W>(Arc<Mutex<Option<W>>>);

#[async_trait]
impl<W: ResponseWork + 'static> Open for Lent<W> {
    async fn claim(&mut self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        match &mut *self.0.lock().await {
            Some(work) => work.claim_response(claim).await,
            None => Err(taken()),
        }
    }

    fn lend(&self, extensions: &mut Extensions) {
        extensions.insert(RequestWork(Arc::clone(&self.0)));
    }

    fn abandon(self: Box<Self>) {
        // Where a task of the handler's own is at work with it, it ends with that.
        if let Ok(mut work) = self.0.try_lock() {
            drop(work.take());
        }
    }

    async fn complete(
        self: Box<Self>,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        // A task of the handler's own may have kept it beyond its answer: then nothing of it counts.
        let Some(mut work) = self.0.try_lock().ok().and_then(|mut work| work.take()) else {
            return Err(taken());
        };
        if !work.complete_response(lease, response, keep_for).await? {
            return Ok(false);
        }
        work.commit().await?;
        Ok(true)
    }
}

fn taken() -> Error {
    Error::invalid("the request's transaction is still in use after its answer")
}

/// The transaction in which a request is carried out, for its handler.
///
/// Claim, events, the application's own rows and the stored answer commit together, or not at all: after a crash a retry
/// begins from nothing. The layer commits, after the handler has answered, if the answer is final; give the guard back
/// before. The slower road: the transaction holds a connection, on SQLite the database's one writer.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # mod example {
/// # use annals::{Aggregate, Repository};
/// use annals::{SqliteWork, http::{IdempotentRequest, RequestWork}};
/// use axum::http::StatusCode;
///
/// async fn charge<Charge: Aggregate>(
///     request: IdempotentRequest,
///     work: RequestWork<SqliteWork>,
///     charges: Repository<Charge>,
///     command: Charge::Command,
/// ) -> StatusCode {
///     let Ok(mut work) = work.lock().await else { return StatusCode::INTERNAL_SERVER_ERROR };
///     match charges.execute(request.id::<Charge>(), &command).within(&mut *work).await {
///         Ok(_) => StatusCode::CREATED,
///         Err(_) => StatusCode::SERVICE_UNAVAILABLE,
///     }
/// }
/// # }
/// ```
pub struct RequestWork<W>(Arc<Mutex<Option<W>>>);

impl<W: Send + 'static> RequestWork<W> {
    /// Takes the transaction, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] after the handler has answered: the transaction is over then.
    pub async fn lock(&self) -> Result<impl DerefMut<Target = W> + Send + use<W>, Error> {
        let guard = Arc::clone(&self.0).lock_owned().await;
        OwnedMutexGuard::try_map(guard, Option::as_mut).map_err(|_| Error::invalid("the request's transaction is over"))
    }
}

impl<W> Clone for RequestWork<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W> fmt::Debug for RequestWork<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestWork<{}>", type_name::<W>())
    }
}

impl<W: Send + 'static, S: Sync> FromRequestParts<S> for RequestWork<W> {
    type Rejection = NotIdempotent;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotIdempotent> {
        parts.extensions.get::<Self>().cloned().ok_or(NotIdempotent)
    }
}
