//! A request that is carried out, from its handler to its stored answer.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::future::{Either, select};
use http::{HeaderValue, Request, Response, header::RETRY_AFTER};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tower::Service;

use super::{
    FailurePolicy, Refusal, Verdict,
    answer::{self, Kept},
    flights::Flight,
    flow::{AFTER_FAILURE, Flow, Right},
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

/// How long an answer that was given is tried to be stored, at the least.
const STORED_WITHIN: Duration = Duration::from_secs(600);

/// How often a commit whose reply was lost is looked for.
const LOOKS_FOR_COMMIT: usize = 5;

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
    /// Something may have happened though the verdict says that it can be tried again.
    may_have_happened: bool,
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

    /// Runs the handler and stores what it answers.
    pub(super) async fn carry_out<S>(mut self, mut inner: S) -> Response<Body>
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
        let handler = tokio::spawn(telemetry::in_the_same_span(async move { inner.call(for_handler).await }));
        match transaction {
            None => self.under_lease(handler, &request).await,
            Some(transaction) => self.in_transaction(handler, &request, transaction).await,
        }
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
        let Handled { mut response, verdict, may_have_happened } = self.judge(ended, request);
        match verdict {
            Verdict::Final => {}
            Verdict::Retryable | Verdict::NotStored => {
                // An earlier attempt may have come further than this one knows.
                let is_touched = request.has_steps() || !right.lease.is_new_run || may_have_happened;
                let resumes = verdict == Verdict::Retryable && is_touched;
                self.let_go(if resumes { LetGo::Resume } else { LetGo::Free }, holding.left()).await;
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
        self.store(answer).await
    }

    /// Lets go of the claim, before the answer is sent: whoever asks again at once finds the key free.
    async fn let_go(&self, how: LetGo, left: Duration) {
        let let_go = self.flow.shared.store.let_go_of_response(&self.right.lease, how).await;
        self.flight.settle(None).await;
        let Err(error) = let_go else { return };
        telemetry::not_let_go_of(&error);
        let (shared, lease) = (Arc::clone(&self.flow.shared), self.right.lease.clone());
        // As long as it makes a difference.
        let until = Instant::now() + left;
        drop(self.flow.shared.tasks.spawn(async move {
            for pause in pauses().build() {
                sleep(pause).await;
                let is_over = Instant::now() >= until;
                if is_over || shared.store.let_go_of_response(&lease, how).await.is_ok() {
                    return;
                }
            }
        }));
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
                // Another service's answer, or another layer's, that says itself that it is not the last.
                let may_have_happened = said.is_none() && answer::is_to_be_repeated(&response);
                let verdict = match said.unwrap_or_else(of_status) {
                    // Half of it is undone: whoever takes over goes on with that.
                    _ if request.is_being_undone() => Verdict::Unknown,
                    Verdict::Final if may_have_happened => Verdict::Retryable,
                    verdict => verdict,
                };
                Handled { response, verdict, may_have_happened }
            }
            Err(_panic) => {
                telemetry::panicked();
                let response = refuse(&self.flow.shared, &Refusal::Failed);
                Handled { response, verdict: of_itself(Verdict::Unknown), may_have_happened: true }
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
    async fn store(&self, answer: Answer) -> Response<Body> {
        let Answer { stored, response } = answer;
        let (store, keep_for) = (&self.flow.shared.store, self.flow.shared.settings.keep_for);
        match store.complete_response(&self.right.lease, &stored, keep_for).await {
            Ok(true) => {
                self.flight.settle(Some(self.finished(stored))).await;
                response
            }
            Ok(false) => self.fenced().await,
            Err(error) => {
                telemetry::completion_delayed(&error);
                self.store_later(stored);
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
    fn store_later(&self, stored: StoredResponse) {
        let shared = Arc::clone(&self.flow.shared);
        let (lease, flight) = (self.right.lease.clone(), Arc::clone(&self.flight));
        let finished = self.finished(stored);
        let until = Instant::now() + STORED_WITHIN.max(lease.length * 2);
        let work = async move {
            let mut pauses = pauses().build();
            let stored = loop {
                match shared.store.complete_response(&lease, &finished.response, shared.settings.keep_for).await {
                    Ok(is_ours) => break Some(is_ours),
                    Err(_) if Instant::now() >= until => break None,
                    Err(_) => sleep(pauses.next().unwrap_or(STORED_WITHIN)).await,
                }
            };
            match stored {
                Some(true) => {}
                Some(false) => telemetry::fenced(),
                None => telemetry::never_stored(),
            }
            flight.settle((stored == Some(true)).then_some(finished)).await;
            shared.flights.leave(&lease.key, flight);
        };
        drop(self.flow.shared.tasks.spawn(work));
    }

    /// The right is lost: what was done under it is not to be answered. Whoever has it now may have answered already.
    async fn fenced(&self) -> Response<Body> {
        telemetry::fenced();
        self.flight.settle(None).await;
        let found = self.flow.shared.store.find_response(&self.flow.asked.key).await;
        match found.inspect_err(telemetry::store_failed) {
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
        let done = async {
            let ended = (&mut handler).await;
            let Handled { response, verdict, .. } = self.judge(ended, request);
            let is_failure = response.status().is_server_error();
            match verdict {
                Verdict::Final => Ok((self.read(response).await, is_failure)),
                _ => Err(response),
            }
        };
        // Until its answer is read to the end: the transaction keeps others waiting.
        let done = timeout_at(self.right.asked_at + shared.settings.longest_run, done).await;
        let (answer, is_failure) = match done {
            Ok(Ok(done)) => done,
            unfinished => {
                handler.abort();
                // Rolled back: as if it had never been begun.
                transaction.abandon();
                self.flight.settle(None).await;
                return match unfinished {
                    Ok(Err(response)) => response,
                    _ => refuse(shared, &Refusal::Failed),
                };
            }
        };
        let stored = match is_failure {
            // A failure is stored, but nothing that led to it.
            true => {
                transaction.abandon();
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
            true => Refusal::OutcomeUnknown { retry_after: AFTER_FAILURE },
            false => Refusal::StoreUnavailable { retry_after: AFTER_FAILURE },
        };
        match is_ours {
            true => answer.response,
            false => refuse(&self.flow.shared, &refusal),
        }
    }

    async fn find(&self, key: &ScopedKey) -> Option<ClaimedResponse> {
        for pause in pauses().build().take(LOOKS_FOR_COMMIT) {
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

/// The pauses while the store fails.
fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
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
