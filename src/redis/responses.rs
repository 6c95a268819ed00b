//! The store of answers with Redis in front.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::time::timeout;

use super::{
    breaker::Breaker,
    entry::{self, Entry},
    flights::Flights,
    link::Link,
    notes::Notes,
    options::RedisOptions,
    telemetry::{self, Outcome},
    writer::{Fill, Writer},
};
use crate::store::{
    AbandonedRequest, ClaimedResponse, Error, FinishedResponse, LetGo, ResponseAction, ResponseClaim, ResponseLease,
    ResponseQuery, ResponseRow, ResponseStore, ScopedKey, StoredResponse,
};

/// The longest an operator waits for Redis to forget. Then it is told again in the background.
const LONGEST_REMOVAL: Duration = Duration::from_secs(1);
/// The longest Redis is waited for at the start.
const LONGEST_FIRST: Duration = Duration::from_secs(1);
const NAME: &str = "looking for answers";

/// Puts finished answers into Redis, in front of the store that holds them.
///
/// A retry of a finished request is then answered without the database. Everything else is the store's: who carries a
/// request out, and what became of it. Redis holds only what the store has committed, never for longer than the store
/// does, and what Redis has lost, or what it cannot answer in time, the store answers: so it may be stopped, flushed,
/// frozen or replaced at any time. Clones share one connection.
///
/// Answers lie in Redis as they were given. Keep it where only the service gets to.
///
/// An operator's action goes to the store, and then Redis forgets the answer. One that goes past this value, such as from
/// another program, reaches Redis when its entry ends: see [`RedisOptions::longest_kept`].
///
/// ```no_run
/// # async fn example(store: impl annals::ResponseStore + 'static) -> Result<(), annals::Error> {
/// use annals::RedisResponses;
///
/// let store = RedisResponses::connect("redis://127.0.0.1:6379", store).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisResponses {
    inner: Arc<dyn ResponseStore>,
    shared: Arc<Shared>,
    writer: Writer,
}

#[derive(Debug)]
struct Shared {
    options: RedisOptions,
    link: Arc<Link>,
    breaker: Breaker,
    flights: Flights,
    notes: Notes,
}

impl fmt::Debug for RedisResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisResponses").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl RedisResponses {
    /// Puts Redis in front of a store, with the defaults of [`RedisOptions`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the URL; mend it. Redis being away is no error.
    pub async fn connect(url: &str, inner: impl ResponseStore + 'static) -> Result<Self, Error> {
        RedisOptions::new().connect(url, inner).await
    }

    pub(super) async fn start(
        url: &str,
        inner: impl ResponseStore + 'static,
        options: RedisOptions,
    ) -> Result<Self, Error> {
        let link = Arc::new(Link::new(url, options.budget.max(Duration::from_secs(1)))?);
        let writer = Writer::start(Arc::clone(&link), &options);
        // Away now, it may be back later: nobody has to know.
        let _ = timeout(LONGEST_FIRST, link.first()).await;
        let breaker = Breaker::new(options.failures, options.pause);
        let (flights, notes) = (Flights::default(), Notes::default());
        let shared = Arc::new(Shared { options, link, breaker, flights, notes });
        Ok(Self { inner: Arc::new(inner), shared, writer })
    }

    /// Waits until what was to be written to Redis is written, or given up.
    ///
    /// A few seconds at the most. For the end of a process. What is given up costs a look into the database, no more.
    pub async fn drain(&self) {
        self.writer.drained().await;
    }

    fn name(&self, key: &ScopedKey) -> Arc<str> {
        // SHA-256 over scope and key, each with its length.
        format!("{}:{}", self.shared.options.prefix, key.derived_key("response in redis").as_str()).into()
    }

    /// Looks into Redis, within the budget, and counts what has become of that.
    async fn look(&self, name: &Arc<str>) -> (Option<Arc<FinishedResponse>>, Outcome) {
        let found = self.ask(name).await;
        let outcome = match &found {
            Ok(Some(_)) => Outcome::Hit,
            Ok(None) => Outcome::Miss,
            Err(()) => Outcome::Fallback,
        };
        telemetry::count(outcome, 1);
        (found.ok().flatten(), outcome)
    }

    async fn ask(&self, name: &Arc<str>) -> Result<Option<Arc<FinishedResponse>>, ()> {
        let Shared { options, link, breaker, .. } = &*self.shared;
        let permit = breaker.permit(Instant::now()).ok_or(())?;
        let reason = match timeout(options.budget, link.get(name)).await {
            Ok(Ok((found, now_us))) => {
                if permit.answered() {
                    telemetry::back(NAME);
                }
                // After the look: what is to be removed by the time it is given does not count.
                if self.writer.owed().has(name) {
                    return Ok(None);
                }
                return match found.map(|bytes| entry::decode(name, &bytes, now_us)) {
                    None | Some(Entry::Nothing) => Ok(None),
                    Some(Entry::Answer(answer)) => Ok(Some(Arc::new(answer))),
                    Some(Entry::Unreadable) => {
                        telemetry::unreadable();
                        Err(())
                    }
                };
            }
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => "no answer in time".to_owned(),
        };
        if permit.failed(Instant::now()) {
            // A connection that says nothing may lead nowhere.
            link.renew();
            telemetry::left_alone(NAME, &reason);
        }
        Err(())
    }

    /// Claims in the database, and has Redis hold what is finished.
    async fn claim_inner(&self, name: &Arc<str>, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        let as_of = Instant::now();
        let claimed = self.inner.claim_response(claim).await?;
        match &claimed {
            ClaimedResponse::Finished(finished) => self.fill(name, Arc::clone(finished), as_of),
            ClaimedResponse::Mine(lease) => self.shared.notes.claimed(lease.fence, claim.fingerprint, claim.recipe),
            ClaimedResponse::Running(_) | ClaimedResponse::TooManyKeys => {}
        }
        Ok(claimed)
    }

    async fn find_inner(&self, name: &Arc<str>, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        let as_of = Instant::now();
        let found = self.inner.find_response(key).await?;
        if let Some(ClaimedResponse::Finished(finished)) = &found {
            self.fill(name, Arc::clone(finished), as_of);
        }
        Ok(found)
    }

    fn fill(&self, name: &Arc<str>, finished: Arc<FinishedResponse>, as_of: Instant) {
        self.writer.fill(Fill { name: Arc::clone(name), finished, as_of });
    }
}

#[async_trait]
impl ResponseStore for RedisResponses {
    async fn claim_response(&self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        let name = self.name(&claim.key);
        let leader = match self.shared.flights.join(&name) {
            Ok(leader) => leader,
            Err(follower) => {
                if let Some((answer, outcome)) = follower.wait().await {
                    telemetry::count(outcome, 1);
                    return Ok(ClaimedResponse::Finished(answer));
                }
                return self.claim_inner(&name, claim).await;
            }
        };
        let (answer, outcome) = self.look(&name).await;
        if let Some(answer) = answer {
            leader.found(&answer, outcome);
            return Ok(ClaimedResponse::Finished(answer));
        }
        let claimed = self.claim_inner(&name, claim).await?;
        if let ClaimedResponse::Finished(answer) = &claimed {
            leader.found(answer, outcome);
        }
        Ok(claimed)
    }

    async fn find_response(&self, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        let name = self.name(key);
        let leader = match self.shared.flights.join(&name) {
            Ok(leader) => leader,
            Err(follower) => {
                if let Some((answer, outcome)) = follower.wait().await {
                    telemetry::count(outcome, 1);
                    return Ok(Some(ClaimedResponse::Finished(answer)));
                }
                return self.find_inner(&name, key).await;
            }
        };
        let (answer, outcome) = self.look(&name).await;
        if let Some(answer) = answer {
            leader.found(&answer, outcome);
            return Ok(Some(ClaimedResponse::Finished(answer)));
        }
        let found = self.find_inner(&name, key).await?;
        if let Some(ClaimedResponse::Finished(answer)) = &found {
            leader.found(answer, outcome);
        }
        Ok(found)
    }

    async fn renew_response(&self, lease: &ResponseLease, keep_for: Duration) -> Result<bool, Error> {
        self.inner.renew_response(lease, keep_for).await
    }

    async fn complete_response(
        &self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        let note = self.shared.notes.completing(lease.fence, Instant::now());
        let is_stored = self.inner.complete_response(lease, response, keep_for).await?;
        self.shared.notes.forget(lease.fence);
        // Only now: before, it might never be committed.
        if let (true, Some(note)) = (is_stored, note) {
            let finished = FinishedResponse {
                fingerprint: note.fingerprint,
                recipe: note.recipe,
                fence: lease.fence,
                is_dead: false,
                response: response.clone(),
                left: keep_for,
            };
            let as_of = note.completed_from.unwrap_or_else(Instant::now);
            self.fill(&self.name(&lease.key), Arc::new(finished), as_of);
        }
        Ok(is_stored)
    }

    async fn let_go_of_response(&self, lease: &ResponseLease, how: LetGo) -> Result<bool, Error> {
        let let_go = self.inner.let_go_of_response(lease, how).await;
        // Nothing is removed: whoever has the lease is at work, so there is no answer that Redis could hold.
        self.shared.notes.forget(lease.fence);
        let_go
    }

    async fn bury_response(
        &self,
        key: &ScopedKey,
        fence: u64,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        // Nothing is removed: what is given up was running, so there is no answer that Redis could hold.
        self.inner.bury_response(key, fence, response, keep_for).await
    }

    async fn abandoned_requests(&self, lapsed_for: Duration, limit: u32) -> Result<Vec<AbandonedRequest>, Error> {
        self.inner.abandoned_requests(lapsed_for, limit).await
    }

    async fn list_responses(&self, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
        self.inner.list_responses(query).await
    }

    async fn operate_response(&self, key: &ScopedKey, action: ResponseAction, operator: &str) -> Result<bool, Error> {
        let done = self.inner.operate_response(key, action, operator).await;
        // Also after an error: it may have been done.
        self.writer.remove(&self.name(key));
        let _ = timeout(LONGEST_REMOVAL, self.drain()).await;
        done
    }
}
