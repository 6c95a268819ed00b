//! The client and its settings.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, Method};

use super::{KeyForm, RequestBuilder, RetryBudget, key_header::IDEMPOTENCY_KEY, pauses::Pauses};
use crate::store::{CallName, CallQuery, Clock, Error, IdempotencyKey, KeyStore, PendingCall, SystemClock};

/// Sends requests again until their outcome is known.
///
/// Each under one key, which is kept before anything is sent.
///
/// Clones share the connections, the store of keys and the budget of retries. Needs a tokio runtime with its timer.
#[derive(Clone)]
pub struct RetryingClient {
    http: reqwest::Client,
    keys: Arc<dyn KeyStore>,
    settings: Arc<Settings>,
}

/// The longest of any time that can be set.
const LONGEST: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) name: Arc<str>,
    pub(super) attempts: u32,
    pub(super) deadline: Duration,
    pub(super) attempt_timeout: Duration,
    pub(super) lease_margin: Duration,
    pub(super) pauses: Pauses,
    pub(super) budget: RetryBudget,
    pub(super) answer_bytes: usize,
    pub(super) keys_last: Duration,
    pub(super) key_header: HeaderName,
    pub(super) key_form: KeyForm,
    pub(super) secrets: Vec<HeaderName>,
    pub(super) clock: Arc<dyn Clock>,
}

impl RetryingClient {
    /// Puts retries around a client of reqwest's.
    ///
    /// Its TLS, proxies, default headers and timeouts stay.
    ///
    /// `keys` is the application's store, such as `SqliteStore`; or [`MemoryKeys`](super::MemoryKeys), which forgets.
    #[must_use]
    pub fn new(http: reqwest::Client, keys: impl KeyStore + 'static) -> Self {
        let settings = Settings {
            name: "default".into(),
            attempts: 8,
            deadline: Duration::from_secs(60),
            attempt_timeout: Duration::from_secs(30),
            lease_margin: Duration::from_secs(10),
            pauses: Pauses::new(fastrand::Rng::new()),
            budget: RetryBudget::default(),
            answer_bytes: 16 << 20,
            keys_last: Duration::from_secs(23 * 60 * 60),
            key_header: IDEMPOTENCY_KEY,
            key_form: KeyForm::default(),
            secrets: Vec::new(),
            clock: Arc::new(SystemClock),
        };
        Self { http, keys: Arc::new(keys), settings: Arc::new(settings) }
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }

    /// Names the service, and the account there, that this client is for.
    ///
    /// Default: `default`.
    /// Keys are told apart by it, and a client takes up the calls of its own name alone: so the credentials of one service
    /// are never sent to another. 1 to 200 bytes.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        self.set(|settings| settings.name = name.into())
    }

    /// The most attempts of a call, the first included. Default: 8.
    ///
    /// Those that are told that the first one is still being carried out do not count.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        self.set(|settings| settings.attempts = attempts)
    }

    /// How long a call may take with all its attempts and pauses.
    ///
    /// Up to an hour. Default: 60 s.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        self.set(|settings| settings.deadline = deadline)
    }

    /// How long an attempt may take, to the last byte of the answer.
    ///
    /// Up to an hour. Default: 30 s.
    #[must_use]
    pub fn attempt_timeout(self, timeout: Duration) -> Self {
        self.set(|settings| settings.attempt_timeout = timeout)
    }

    /// How much longer than an attempt the right to send lasts.
    ///
    /// Up to an hour. Default: 10 s.
    /// When a process has died, its calls can be resumed after that.
    #[must_use]
    pub fn lease_margin(self, margin: Duration) -> Self {
        self.set(|settings| settings.lease_margin = margin)
    }

    /// The most of the first pause, and of any. Default: 100 ms and 8 s.
    ///
    /// Each pause may be twice as long as the one before; how long it is, from nothing to that, is drawn.
    #[must_use]
    pub fn pauses(self, first: Duration, longest: Duration) -> Self {
        self.set(|settings| (settings.pauses.first, settings.pauses.longest) = (first, longest))
    }

    /// The most that `Retry-After` is heeded: up to an hour. Default: 60 s.
    ///
    /// Who is asked to wait longer comes back after that.
    #[must_use]
    pub fn longest_retry_after(self, longest: Duration) -> Self {
        self.set(|settings| settings.pauses.longest_asked = longest)
    }

    /// Draws pauses from a seed, for tests.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.set(|settings| settings.pauses.seed(seed))
    }

    /// Bounds the retries of all calls together.
    ///
    /// Default: one of its own, [`RetryBudget::default`].
    #[must_use]
    pub fn budget(self, budget: RetryBudget) -> Self {
        self.set(|settings| settings.budget = budget)
    }

    /// The most bytes of an answer's body. Default: 16 MiB.
    #[must_use]
    pub fn answer_bytes(self, most: usize) -> Self {
        self.set(|settings| settings.answer_bytes = most)
    }

    /// How long the service keeps keys.
    ///
    /// Default: 23 h, an hour less than the 24 h that many promise.
    /// A call that is older is never sent again: the service may have forgotten it, and would carry it out a second time.
    #[must_use]
    pub fn keys_last(self, time: Duration) -> Self {
        self.set(|settings| settings.keys_last = time)
    }

    /// The header that keys are sent in. Default: `Idempotency-Key`.
    #[must_use]
    pub fn key_header(self, name: HeaderName) -> Self {
        self.set(|settings| settings.key_header = name)
    }

    /// How keys stand in their header. Default: [`KeyForm::Bare`].
    #[must_use]
    pub fn key_form(self, form: KeyForm) -> Self {
        self.set(|settings| settings.key_form = form)
    }

    /// Headers that are not kept, since they are secret.
    ///
    /// Never kept are values that are marked as sensitive, and names that speak of authorization, cookies, tokens, secrets,
    /// passwords, signatures, credentials or API keys.
    #[must_use]
    pub fn secret_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.set(|settings| settings.secrets.extend(names))
    }

    /// The clock that dates in `Retry-After` are compared with.
    ///
    /// Where the server does not tell its own time.
    #[must_use]
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        self.set(|settings| settings.clock = Arc::new(clock))
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url.as_ref())
    }

    /// Begins a GET: it is sent again without a key, and not kept.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Begins a POST.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Begins a PUT.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// Begins a PATCH.
    pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// Begins a DELETE.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// Lists calls whose outcome is not known, the oldest first.
    ///
    /// Up to 1,000, behind one that was listed before.
    /// Also those that somebody is sending just now: they have a lease that lasts still.
    ///
    /// # Errors
    ///
    /// A failed read, or a limit out of its bounds.
    pub async fn pending(&self, after: Option<&PendingCall>, limit: u32) -> Result<Vec<PendingCall>, Error> {
        let client = Arc::clone(&self.settings.name);
        let after = after.map(|call| (call.created_at, call.name.key.clone()));
        self.keys.pending_calls(&CallQuery { client, after, limit }).await
    }

    /// Removes a call, whatever has become of it. `false`: there is none.
    ///
    /// For those whose outcome was found out in another way, and those that are [kept until they are confirmed].
    ///
    /// [kept until they are confirmed]: RequestBuilder::until_confirmed
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    pub async fn forget(&self, key: &IdempotencyKey) -> Result<bool, Error> {
        self.keys.forget_call(&self.call_name(key.clone())).await
    }

    pub(super) fn call_name(&self, key: IdempotencyKey) -> CallName {
        CallName { client: Arc::clone(&self.settings.name), key }
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) fn keys(&self) -> &dyn KeyStore {
        &*self.keys
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Settings {
    /// Makes sure that the settings make sense.
    pub(super) fn check(&self) -> Result<(), String> {
        let pauses = &self.pauses;
        for (what, time) in [
            ("deadline", self.deadline),
            ("timeout of an attempt", self.attempt_timeout),
            ("margin of the lease", self.lease_margin),
            ("longest pause", pauses.longest),
            ("longest Retry-After", pauses.longest_asked),
        ] {
            if time > LONGEST {
                return Err(format!("the {what} is at most an hour, not {time:?}"));
            }
        }
        if self.attempts == 0 || self.deadline.is_zero() || self.attempt_timeout.is_zero() {
            return Err("a call has at least one attempt, and time for it".to_owned());
        }
        Ok(())
    }

    /// The lease of one attempt, with a pause before it.
    pub(super) fn lease(&self, pause: Duration) -> Duration {
        pause + self.attempt_timeout + self.lease_margin
    }
}

impl fmt::Debug for RetryingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryingClient").field("settings", &self.settings).finish_non_exhaustive()
    }
}
