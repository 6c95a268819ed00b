//! A request that is carried out, from its handler to its stored answer.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::future::{Either, select};
use http::{HeaderValue, Request, Response, header::RETRY_AFTER};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower::Service;

use super::{
    FailurePolicy, Refusal, Verdict,
    answer::{self, Kept},
    flights::Flight,
    flow::{AFTER_FAILURE, Flow, Reply, Right},
    holding::Holding,
    layer::{infallible, refuse},
    refusal::whole_seconds,
    render_again::Reference,
    request::IdempotentRequest,
    telemetry,
    transaction::Open,
};
use crate::store::{
    ClaimedResponse, Error, FinishedResponse, LetGo, ResponseLease, ScopedKey, StoredBody, StoredResponse,
};

/// A request whose right to be carried out is ours.
pub(super) struct Run {
    flow: Flow,
    right: Right,
    flight: Arc<Flight>,
}

/// What a handler came to.
struct Handled {
    response: Response<Body>,
    verdict: Verdict,
}

/// An answer for the store, and the same for the client.
struct Answer {
    stored: StoredResponse,
    response: Response<Body>,
}

impl Run {
    pub(super) const fn new(flow: Flow, right: Right, flight: Arc<Flight>) -> Self {
        Self { flow, right, flight }
    }

    /// Runs the handler, stores what it answers, and sends that to whoever still waits for it.
    pub(super) async fn carry_out<S>(mut self, mut inner: S, reply: Reply)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        telemetry::begun(self.right.lease.attempt);
        let request = IdempotentRequest::new(self.right.lease.clone(), self.flow.asked.fingerprint, &self.flow.shared);
        let mut for_handler = self.flow.asked.for_handler(request.clone());
        let transaction = self.right.transaction.take();
        transaction.iter().for_each(|transaction| transaction.lend(for_handler.extensions_mut()));
        // Apart: a panic is caught, and it can be ended from outside.
        let handler = tokio::spawn(inner.call(for_handler));
        let answer = match transaction {
            None => self.under_lease(handler, &request).await,
            Some(transaction) => self.in_transaction(handler, &request, transaction).await,
        };
        // Where nobody waits for it any more, it is there for the next retry.
        drop(reply.send(answer));
    }

    async fn under_lease(&self, mut handler: Handler, request: &IdempotentRequest) -> Response<Body> {
        let (shared, right) = (&self.flow.shared, &self.right);
        let timing = (right.asked_at, shared.settings.longest_run);
        let store = Arc::clone(&shared.store);
        let mut holding = Holding::new(store, right.lease.clone(), shared.settings.keep_for, timing);
        let Some(ended) = while_held(&mut holding, &mut handler).await else {
            // Before anybody else can begin.
            handler.abort();
            drop(handler.await);
            return self.fenced().await;
        };
        let Handled { mut response, verdict } = self.judge(ended, request);
        match verdict {
            Verdict::Final => {}
            Verdict::Retryable | Verdict::NotStored => {
                // An earlier attempt may have come further than this one knows.
                let resumes = verdict == Verdict::Retryable && (request.has_steps() || request.attempt() > 1);
                let how = if resumes { LetGo::Resume } else { LetGo::Free };
                // Where it fails, the lease lapses by itself.
                drop(shared.store.let_go_of_response(&right.lease, how).await);
                self.flight.settle(None).await;
                return response;
            }
            Verdict::Unknown => {
                self.flight.settle(None).await;
                let seconds = whole_seconds(holding.left());
                response.headers_mut().entry(RETRY_AFTER).or_insert(HeaderValue::from(seconds));
                return response;
            }
        }
        let Some(answer) = while_held(&mut holding, self.read(response)).await else {
            return self.fenced().await;
        };
        self.store(&holding, answer).await
    }

    /// Says what an answer means for the key.
    fn judge(&self, ended: Ended, request: &IdempotentRequest) -> Handled {
        let policy = self.flow.shared.settings.failure_policy;
        let of_itself = |verdict| match (verdict, policy) {
            (Verdict::Unknown, FailurePolicy::StoreAll) => Verdict::Final,
            (verdict, _) => verdict,
        };
        match ended.map(infallible) {
            Ok(mut response) => {
                let said = response.extensions_mut().remove::<Verdict>();
                let of_status = || of_itself(Verdict::of_status(response.status(), request.has_begun()));
                let verdict = match said.unwrap_or_else(of_status) {
                    // Half of it is undone: whoever takes over goes on with that.
                    _ if request.is_being_undone() => Verdict::Unknown,
                    verdict => verdict,
                };
                Handled { response, verdict }
            }
            Err(_panic) => {
                telemetry::panicked();
                Handled { response: refuse(&self.flow.shared, &Refusal::Failed), verdict: of_itself(Verdict::Unknown) }
            }
        }
    }

    /// Makes of a response what is stored, and what is sent.
    async fn read(&self, response: Response<Body>) -> Answer {
        let shared = &self.flow.shared;
        let request_id = self.flow.asked.request_id();
        let (mut parts, body) = response.into_parts();
        let reference = parts.extensions.remove::<Reference>().filter(|_| shared.render_again.is_some());
        let (stored, body) = match (reference, answer::read(body, shared.settings.response_bytes).await) {
            (Some(Reference(reference)), Ok(body)) => (StoredBody::Reference(reference), body.into_body()),
            (None, Ok(Kept::Whole(body))) => (StoredBody::Whole(body.as_ref().into()), Body::from(body)),
            (None, Ok(Kept::Not(body))) => (StoredBody::Tombstone, body),
            (_, Err(_)) => {
                // It is done, but nobody will ever read what it was.
                let response = refuse(shared, &Refusal::AnswerNotKept);
                let stored =
                    answer::to_stored(parts.status, &parts.headers, StoredBody::Tombstone, request_id.as_ref());
                return Answer { stored, response };
            }
        };
        let stored = answer::to_stored(parts.status, &parts.headers, stored, request_id.as_ref());
        Answer { stored, response: Response::from_parts(parts, body) }
    }

    /// Stores an answer under the lease, before it is sent.
    async fn store(&self, holding: &Holding, answer: Answer) -> Response<Body> {
        let Answer { stored, response } = answer;
        let (store, keep_for) = (&self.flow.shared.store, self.flow.shared.settings.keep_for);
        let lease = &self.right.lease;
        let (completed, stored) = match store.complete_response(lease, &stored, keep_for).await {
            // Too many headers to be stored. It is done all the same.
            Err(Error::Invalid { .. }) => {
                let body = StoredBody::Tombstone;
                let tombstone = StoredResponse { status: stored.status, headers: Vec::new(), body };
                (store.complete_response(lease, &tombstone, keep_for).await, tombstone)
            }
            completed => (completed, stored),
        };
        match completed {
            Ok(true) => {
                self.flight.settle(Some(self.finished(stored))).await;
                response
            }
            Ok(false) => self.fenced().await,
            Err(error) => {
                telemetry::completion_delayed(&error);
                self.store_later(stored, holding.ceiling());
                response
            }
        }
    }

    fn finished(&self, response: StoredResponse) -> Arc<FinishedResponse> {
        let (asked, left) = (&self.flow.asked, self.flow.shared.settings.keep_for);
        let fence = self.right.lease.fence;
        let (fingerprint, recipe) = (asked.fingerprint, asked.recipe);
        Arc::new(FinishedResponse { fingerprint, recipe, fence, is_dead: false, response, left })
    }

    /// Goes on storing an answer that was given: until it is stored, another has taken over, or the time is over.
    ///
    /// Meanwhile the key is taken in this process; elsewhere until its lease lapses.
    fn store_later(&self, stored: StoredResponse, until: Instant) {
        let shared = Arc::clone(&self.flow.shared);
        let (lease, flight) = (self.right.lease.clone(), Arc::clone(&self.flight));
        let finished = self.finished(stored);
        let work = async move {
            let pauses = ExponentialBuilder::default()
                .with_jitter()
                .with_min_delay(Duration::from_millis(20))
                .with_max_delay(Duration::from_secs(5))
                .without_max_times();
            for pause in pauses.build() {
                if Instant::now() >= until {
                    break;
                }
                sleep(pause).await;
                match shared.store.complete_response(&lease, &finished.response, shared.settings.keep_for).await {
                    Ok(true) => return flight.settle(Some(finished)).await,
                    Ok(false) => break,
                    Err(_) => {}
                }
            }
            telemetry::fenced();
            flight.settle(None).await;
        };
        drop(self.flow.shared.tasks.spawn(work));
    }

    /// The right is lost: what was done under it is not to be answered. Whoever has it now may have answered already.
    async fn fenced(&self) -> Response<Body> {
        telemetry::fenced();
        self.flight.settle(None).await;
        match self.flow.shared.store.find_response(&self.flow.asked.key).await {
            Ok(Some(ClaimedResponse::Finished(finished))) => self.flow.replay(&finished).await,
            _ => refuse(&self.flow.shared, &Refusal::Fenced { retry_after: AFTER_FAILURE }),
        }
    }

    async fn in_transaction(
        &self,
        mut handler: Handler,
        request: &IdempotentRequest,
        transaction: Box<dyn Open>,
    ) -> Response<Body> {
        let shared = &self.flow.shared;
        let Ok(ended) = tokio::time::timeout(shared.settings.longest_run, &mut handler).await else {
            handler.abort();
            drop(handler.await);
            drop(transaction);
            return self.fenced().await;
        };
        let is_failure = match &ended {
            Ok(Ok(response)) => response.status().is_server_error(),
            Ok(Err(never)) => match *never {},
            Err(_) => true,
        };
        let Handled { response, verdict } = self.judge(ended, request);
        if verdict != Verdict::Final {
            // Rolled back: as if it had never been begun.
            drop(transaction);
            self.flight.settle(None).await;
            return response;
        }
        let answer = self.read(response).await;
        let stored = match is_failure {
            // A failure is stored, but nothing that led to it.
            true => {
                drop(transaction);
                self.store_alone(&answer.stored).await
            }
            false => transaction.complete(&self.right.lease, &answer.stored, shared.settings.keep_for).await,
        };
        match stored {
            Ok(true) => {
                self.flight.settle(Some(self.finished(answer.stored))).await;
                answer.response
            }
            Ok(false) => self.fenced().await,
            Err(error) => self.committed(&error, answer).await,
        }
    }

    async fn store_alone(&self, stored: &StoredResponse) -> Result<bool, Error> {
        let (store, settings) = (&self.flow.shared.store, &self.flow.shared.settings);
        match store.claim_response(&self.flow.asked.claim(&self.flow.shared)).await? {
            ClaimedResponse::Mine(lease) => store.complete_response(&lease, stored, settings.keep_for).await,
            _ => Ok(false),
        }
    }

    /// A commit has failed, or nobody knows: what is stored tells.
    async fn committed(&self, error: &Error, answer: Answer) -> Response<Body> {
        telemetry::completion_delayed(error);
        let ResponseLease { key, fence, .. } = &self.right.lease;
        let found = if error.is_outcome_unknown() { self.find(key).await } else { None };
        let is_ours = matches!(&found, Some(ClaimedResponse::Finished(finished)) if finished.fence == *fence);
        self.flight.settle(None).await;
        let refusal = match error.is_outcome_unknown() {
            true => Refusal::Failed,
            false => Refusal::StoreUnavailable { retry_after: AFTER_FAILURE },
        };
        match is_ours {
            true => answer.response,
            false => refuse(&self.flow.shared, &refusal),
        }
    }

    async fn find(&self, key: &ScopedKey) -> Option<ClaimedResponse> {
        let pauses = ExponentialBuilder::default().with_jitter().with_min_delay(Duration::from_millis(20)).build();
        for pause in pauses {
            if let Ok(found) = self.flow.shared.store.find_response(key).await {
                return found;
            }
            sleep(pause).await;
        }
        None
    }
}

impl Kept {
    fn into_body(self) -> Body {
        match self {
            Self::Whole(body) => Body::from(body),
            Self::Not(body) => body,
        }
    }
}

type Ended = Result<Result<Response<Body>, Infallible>, tokio::task::JoinError>;
type Handler = JoinHandle<Result<Response<Body>, Infallible>>;

/// Waits for something while a lease is kept. `None`: the lease is lost.
async fn while_held<T>(holding: &mut Holding, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(holding.until_lost())).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
