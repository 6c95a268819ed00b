//! From a key to an answer.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use futures_util::future::{Either, select};
use http::{Request, Response};
use tokio::{
    sync::{MutexGuard, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::Service;

use super::{
    InFlight, Refusal, RenderRefusal as _, answer,
    asked::Asked,
    flights::{self, Flight, Glance},
    layer::{Shared, refuse},
    run::Run,
    telemetry,
    transaction::Open,
};
use crate::store::{ClaimedResponse, Error, FinishedResponse, ResponseLease, RunningResponse, StoredBody};

/// How often others' work is looked at while a request waits for it: at first, and at the least.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// How long others of this process that ask for the same key are waited for, whether or not its answer is.
const TURN: Duration = Duration::from_secs(2);

/// When to come back after a failure of the store.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// One request, on its way to its answer.
pub(super) struct Flow {
    pub(super) shared: Arc<Shared>,
    pub(super) asked: Asked,
}

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Response<Body>>;

/// The right to carry a request out.
pub(super) struct Right {
    pub(super) lease: ResponseLease,
    /// When it was asked for.
    pub(super) asked_at: Instant,
    /// In which all of it happens, where there is one.
    pub(super) transaction: Option<Box<dyn Open>>,
}

/// What was found under the key.
enum Found {
    Mine(Right),
    Finished(Arc<FinishedResponse>),
    /// Somebody else is at work, for so long still unless they go on.
    Running {
        is_same: bool,
        left: Duration,
        is_here: bool,
    },
    /// Nobody is at work any more, but the attempts are used up.
    UsedUp(RunningResponse),
    TooManyKeys,
    /// Whoever has the key has not committed yet.
    Held,
    Failed(Error),
}

/// What becomes of a request.
enum Decided {
    Answer(Box<Response<Body>>),
    /// It is carried out here.
    Mine(Box<Run>),
    /// Its client has gone while it was waiting.
    Nobody,
}

impl From<Response<Body>> for Decided {
    fn from(answer: Response<Body>) -> Self {
        Self::Answer(Box::new(answer))
    }
}

impl Flow {
    /// Finds the answer, and sends it to whoever still waits for it.
    pub(super) async fn answer<S>(self, inner: S, mut reply: Reply)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let key = self.asked.key.clone();
        let shared = Arc::clone(&self.shared);
        let flight = shared.flights.join(&key);
        let answer = match self.decide(&flight, &mut reply).await {
            Decided::Answer(answer) => Some(*answer),
            Decided::Mine(run) => Some(run.carry_out(inner).await),
            Decided::Nobody => None,
        };
        // Before it is sent: whoever asks once it is there is told what the store says then.
        shared.flights.leave(&key, flight);
        if let Some(answer) = answer {
            // Where nobody waits for it any more, it is there for the next retry.
            drop(reply.send(answer));
        }
    }

    async fn decide(mut self, flight: &Arc<Flight>, reply: &mut Reply) -> Decided {
        let began = Instant::now();
        let until = match self.shared.settings.in_flight {
            InFlight::Wait(longest) => began + longest,
            InFlight::Reject => began,
        };
        let mut pause = LOOKS.0;
        loop {
            let mut changes = flight.changes();
            let patience = until.max(Instant::now() + TURN);
            let turn = pin!(timeout_at(patience, flight.turn()));
            let found = match select(turn, pin!(reply.closed())).await {
                Either::Left((Ok(turn), _)) => self.look(turn).await,
                // Others have asked for so long: somebody has it, or the store is slow.
                Either::Left((Err(_), _)) => Found::Held,
                Either::Right(_) => return Decided::Nobody,
            };
            let left = until.saturating_duration_since(Instant::now());
            let (retry_after, longest) = match found {
                Found::Mine(right) => {
                    telemetry::waited(began.elapsed());
                    return Decided::Mine(Box::new(Run::new(self, right, Arc::clone(flight))));
                }
                Found::Finished(finished) => {
                    telemetry::waited(began.elapsed());
                    return self.replay(&finished).await.into();
                }
                Found::TooManyKeys => return self.refuse(&Refusal::TooManyKeys { retry_after: AFTER_FAILURE }),
                Found::Failed(error) => {
                    telemetry::store_failed(&error);
                    return self.refuse(&Refusal::StoreUnavailable { retry_after: AFTER_FAILURE });
                }
                Found::UsedUp(running) => match self.bury(&running).await {
                    Some(answer) => return answer.into(),
                    None => continue,
                },
                Found::Running { is_same: false, .. } => return self.refuse(&Refusal::KeyReused),
                // Who works here tells when it is done; others are looked after.
                Found::Running { is_here: true, .. } => (AFTER_FAILURE, left),
                Found::Running { left: lease_left, .. } => (lease_left, lease_left.max(LOOKS.0).min(pause)),
                Found::Held => (AFTER_FAILURE, pause),
            };
            if left.is_zero() {
                return self.refuse(&Refusal::InFlight { retry_after });
            }
            let changed = pin!(timeout(longest.min(left), changes.changed()));
            if let Either::Right(_) = select(changed, pin!(reply.closed())).await {
                return Decided::Nobody;
            }
            pause = (pause * 2).min(LOOKS.1);
        }
    }

    /// Asks the store, unless others of this process have just done so.
    async fn look(&mut self, mut turn: MutexGuard<'_, flights::Found>) -> Found {
        match turn.glance() {
            Glance::Here { fingerprint, recipe } => {
                let is_same = self.asked.is(&self.shared, fingerprint, recipe);
                return Found::Running { is_same, left: Duration::ZERO, is_here: true };
            }
            Glance::Elsewhere(running) => return self.running(running),
            Glance::Finished(finished) => return Found::Finished(finished),
            Glance::Held => return Found::Held,
            Glance::Failed(error) => return Found::Failed(error),
            Glance::Nothing => {}
        }
        let asked_at = Instant::now();
        let (claimed, transaction) = match self.claim().await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => {
                turn.held();
                return Found::Held;
            }
            Err(error) => {
                turn.failed(error.clone());
                return Found::Failed(error);
            }
        };
        telemetry::claimed(asked_at.elapsed());
        match claimed {
            ClaimedResponse::Mine(lease) => {
                turn.here(self.asked.fingerprint, self.asked.recipe);
                Found::Mine(Right { lease, asked_at, transaction })
            }
            ClaimedResponse::Finished(finished) => {
                turn.finished(Arc::clone(&finished));
                Found::Finished(finished)
            }
            ClaimedResponse::Running(running) => {
                turn.elsewhere(running.clone());
                self.running(running)
            }
            ClaimedResponse::TooManyKeys => Found::TooManyKeys,
        }
    }

    /// `None`: a transaction that is still open has claimed it.
    async fn claim(&self) -> Result<Option<(ClaimedResponse, Option<Box<dyn Open>>)>, Error> {
        let (store, claim) = (&self.shared.store, self.asked.claim(&self.shared));
        let Some(transactions) = &self.shared.transactions else {
            return Ok(Some((store.claim_response(&claim).await?, None)));
        };
        // First without a transaction: what has its answer needs none, and on SQLite would wait for the writer.
        match store.find_response(&self.asked.key).await? {
            Some(ClaimedResponse::Running(running)) if running.lease_left.is_zero() => {}
            Some(found) => return Ok(Some((found, None))),
            None => {}
        }
        let mut transaction = transactions.begin().await?;
        match transaction.claim(&claim).await {
            Ok(claimed) => Ok(Some((claimed, Some(transaction)))),
            Err(Error::Contention { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn running(&mut self, running: RunningResponse) -> Found {
        let is_same = self.asked.is(&self.shared, running.fingerprint, running.recipe);
        if is_same && running.lease_left.is_zero() {
            if running.attempt >= self.shared.settings.attempts {
                return Found::UsedUp(running);
            }
            // Stored by another recipe: the next look takes over under that one.
            self.asked.go_over_to(&self.shared, running.recipe);
        }
        Found::Running { is_same, left: running.lease_left, is_here: false }
    }

    /// Gives the stored answer again, if it was the answer to this request.
    pub(super) async fn replay(&self, finished: &FinishedResponse) -> Response<Body> {
        if !self.asked.is(&self.shared, finished.fingerprint, finished.recipe) {
            return refuse(&self.shared, &Refusal::KeyReused);
        }
        let answer = match &finished.response.body {
            StoredBody::Whole(body) => answer::from_stored(&finished.response, answer::whole(body)),
            StoredBody::Reference(reference) => self.render_again(reference).await,
            StoredBody::Tombstone => None,
        };
        let Some(mut answer) = answer else {
            return refuse(&self.shared, &Refusal::AnswerNotKept);
        };
        answer::mark_replayed(&mut answer, self.asked.headers());
        telemetry::replayed(finished.is_dead);
        answer
    }

    async fn render_again(&self, reference: &str) -> Option<Response<Body>> {
        let render = self.shared.render_again.as_ref()?;
        Some(render.render(&self.asked.key, reference).await)
    }

    /// Gives up a request that was begun too often. `None`: somebody has moved it on meanwhile.
    async fn bury(&self, running: &RunningResponse) -> Option<Response<Body>> {
        let Shared { store, settings, .. } = &*self.shared;
        let refusal = settings.errors.render(&Refusal::GivenUp, settings.policy_url.as_deref());
        let (parts, body) = refusal.into_parts();
        let stored = answer::to_stored(parts.status, &parts.headers, StoredBody::Whole(body.as_ref().into()), None);
        match store.bury_response(&self.asked.key, running.fence, &stored, settings.keep_for).await {
            Ok(true) => {
                telemetry::gave_up(running.attempt);
                Some(Response::from_parts(parts, Body::from(body)))
            }
            Ok(false) => {
                sleep(LOOKS.0).await;
                None
            }
            Err(error) => {
                telemetry::store_failed(&error);
                Some(refuse(&self.shared, &Refusal::StoreUnavailable { retry_after: AFTER_FAILURE }))
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Decided {
        refuse(&self.shared, refusal).into()
    }
}
