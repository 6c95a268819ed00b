//! What a handler knows of the key its request came under.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use uuid::Uuid;

use super::layer::Shared;
use crate::{
    domain::{Aggregate, Id},
    process::Steps,
    store::{Error, Fingerprint, IdempotencyKey, ResponseLease, ScopedKey, StepRun},
};

/// A request that is carried out under an idempotency key.
///
/// [`IdempotencyLayer`](super::IdempotencyLayer) puts it into the request's extensions; an axum handler takes it as an
/// argument, or as an `Option` where the key is optional. Whoever asks it for anything has begun: an answer from then on is
/// the handler's own, also a 400 or 404.
///
/// It carries the key on to the second level, the receipt of a command: so that the effect happens once also where the
/// process dies between the commit and the answer, or the answer was forgotten since.
///
/// ```
/// # use annals::{Aggregate, ExecuteError, Repository};
/// use annals::http::IdempotentRequest;
/// use axum::http::StatusCode;
///
/// async fn charge<Charge: Aggregate>(
///     request: IdempotentRequest,
///     charges: Repository<Charge>,
///     command: Charge::Command,
/// ) -> Result<String, StatusCode> {
///     let id = request.id::<Charge>();
///     let done = charges
///         .execute(id, &command)
///         .idempotency_key(request.receipt_key())
///         .fingerprint(request.fingerprint())
///         .await;
///     match done {
///         // As it was right after the command, also if more has happened to it since.
///         Ok(done) => Ok(format!("{:?} at version {}", id, done.version)),
///         Err(ExecuteError::Rejected { .. }) => Err(StatusCode::PAYMENT_REQUIRED),
///         Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct IdempotentRequest(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lease: ResponseLease,
    fingerprint: Fingerprint,
    steps: Option<Steps>,
    has_begun: AtomicBool,
}

impl IdempotentRequest {
    pub(super) fn new(lease: ResponseLease, fingerprint: Fingerprint, shared: &Shared) -> Self {
        let steps = shared.steps.as_ref().map(|store| {
            // A run is taken up again for as long as its row is there: a lease, and then as long as an answer.
            let keep_for = (shared.settings.keep_for + shared.settings.longest_run) * 2;
            let run = StepRun { run_id: lease.run_id, fence: lease.fence, keep_for: Some(keep_for) };
            let (key, store) = (lease.key.clone(), Arc::clone(store));
            // Of the request as well: where a key is used anew for another, its calls are others too, and where it is used
            // anew for the same, the services called still know them.
            let keys = move |name: &str| key.derived_key(&format!("{name} {}", fingerprint.to_hex()));
            match lease.is_new_run {
                true => Steps::of_first_attempt(store, run, keys),
                false => Steps::of_later_attempt(store, run, keys),
            }
        });
        Self(Arc::new(Inner { lease, fingerprint, steps, has_begun: AtomicBool::new(false) }))
    }

    /// The client's key, and whose it is.
    #[must_use]
    pub fn key(&self) -> &ScopedKey {
        self.begin();
        &self.0.lease.key
    }

    /// The key for the command's receipt: of this scope and key alone.
    ///
    /// Keep receipts at least as long as answers, and a lease more; as they are kept by default, for ever.
    #[must_use]
    pub fn receipt_key(&self) -> IdempotencyKey {
        self.key().receipt_key()
    }

    /// What the client sent, for the command's receipt.
    ///
    /// Of the bytes on the wire: it stays the same when a command gets new fields.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.begin();
        self.0.fingerprint
    }

    /// An aggregate's id that follows from the key.
    ///
    /// Every attempt creates the same aggregate.
    #[must_use]
    pub fn id<A: Aggregate>(&self) -> Id<A> {
        Id::from_uuid(self.derived_uuid(A::TYPE))
    }

    /// A UUID that follows from the key and a name.
    ///
    /// For whatever would be made at random otherwise.
    #[must_use]
    pub fn derived_uuid(&self, name: &str) -> Uuid {
        self.key().derived_uuid(name)
    }

    /// Which attempt this is, from 1.
    ///
    /// A later one has taken over from one that did not come to its end.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.begin();
        self.0.lease.attempt
    }

    /// The steps of this request, for handlers that call other services.
    ///
    /// Each call gets a key that stays the same over all attempts, and what came of it is recorded.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the layer was not told where to keep them:
    /// [`IdempotencyLayerBuilder::steps`](super::IdempotencyLayerBuilder::steps).
    pub fn steps(&self) -> Result<Steps, Error> {
        self.begin();
        let none = || Error::invalid("the layer was not told where to keep steps");
        self.0.steps.clone().ok_or_else(none)
    }

    /// Notes that the handler has begun, where it asks for nothing else.
    pub fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Relaxed);
    }

    /// Whether a step of this request may have had an effect.
    pub(super) fn has_steps(&self) -> bool {
        self.0.steps.as_ref().is_some_and(Steps::is_touched)
    }

    /// Whether the request is half undone: then no answer is its last.
    pub(super) fn is_being_undone(&self) -> bool {
        self.0.steps.as_ref().is_some_and(Steps::is_being_undone)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Relaxed)
    }
}

/// Says that a handler asks for a key where no layer has taken one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotIdempotent;

impl IntoResponse for NotIdempotent {
    fn into_response(self) -> Response {
        // A fault of the set-up, not of the client.
        (StatusCode::INTERNAL_SERVER_ERROR, Body::from("the request was not taken under an idempotency key"))
            .into_response()
    }
}

fn take(parts: &Parts) -> Option<IdempotentRequest> {
    parts.extensions.get::<IdempotentRequest>().cloned()
}

impl<S: Sync> FromRequestParts<S> for IdempotentRequest {
    type Rejection = NotIdempotent;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotIdempotent> {
        take(parts).ok_or(NotIdempotent)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotentRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(take(parts))
    }
}
