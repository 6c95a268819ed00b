//! The settings of a layer, said one by one.

use std::{fmt, sync::Arc, time::Duration};

use http::{Method, request::Parts};
use tokio_util::task::TaskTracker;

use super::{
    BodyForm, Errors, FailurePolicy, IdempotencyLayer, InFlight, KeySource, KeySyntax, PolicyDocument, Settings,
    flights::Flights,
    layer::{FindScope, Shared},
    render_again::RenderAgain,
    telemetry,
    transaction::{Begins, Transactions},
};
use crate::store::{Error, ResponseStore, ResponseWork, Scope, StepStore, Transactional};

/// Sets an [`IdempotencyLayer`] up.
///
/// Made by [`IdempotencyLayer::builder`].
#[must_use]
pub struct IdempotencyLayerBuilder {
    store: Arc<dyn ResponseStore>,
    scope: Box<FindScope>,
    settings: Settings,
    steps: Option<Arc<dyn StepStore>>,
    transactions: Option<Arc<dyn Transactions>>,
    render_again: Option<Arc<dyn RenderAgain>>,
    keeps_requests: bool,
}

impl IdempotencyLayer {
    /// Begins to set a layer up, over a store of answers.
    ///
    /// `scope` says whose key a request's key is: the principal that authentication has found, from the request's
    /// extensions or headers. `None` where nobody is known: such a request is refused, never put under a name that it
    /// would share with others.
    pub fn builder(
        store: impl ResponseStore + 'static,
        scope: impl Fn(&Parts) -> Option<Scope> + Send + Sync + 'static,
    ) -> IdempotencyLayerBuilder {
        IdempotencyLayerBuilder {
            store: Arc::new(store),
            scope: Box::new(scope),
            settings: Settings::default(),
            steps: None,
            transactions: None,
            render_again: None,
            keeps_requests: false,
        }
    }

    /// What the layer was told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The rules of keys at this service, to be served where refusals link to.
    ///
    /// Clients have to be told how long answers are kept, and what counts as the same request.
    #[must_use]
    pub fn policy_document(&self) -> PolicyDocument {
        PolicyDocument::of(&self.shared.settings)
    }
}

impl IdempotencyLayerBuilder {
    /// Says whether requests without a key are refused.
    ///
    /// Default: yes; else they go through unprotected.
    pub const fn required(mut self, required: bool) -> Self {
        self.settings.required = required;
        self
    }

    /// Sets the methods whose keys count. Default: POST and PATCH.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.settings.methods = methods.into_iter().collect();
        self
    }

    /// Sets where keys are looked for. Default: the header `Idempotency-Key`.
    pub fn key_sources(mut self, sources: impl IntoIterator<Item = KeySource>) -> Self {
        self.settings.key_sources = sources.into_iter().collect();
        self
    }

    /// Sets how keys are written in headers. Default: quoted or bare.
    pub const fn key_syntax(mut self, syntax: KeySyntax) -> Self {
        self.settings.key_syntax = syntax;
        self
    }

    /// Refuses keys of fewer bytes, which are easily guessed or met by chance.
    ///
    /// Default: none.
    pub const fn shortest_key(mut self, bytes: usize) -> Self {
        self.settings.shortest_key = Some(bytes);
        self
    }

    /// Sets the headers that are a part of the request. Default: none.
    pub fn fingerprint_headers(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.settings.fingerprint_headers = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Sets JSON pointers to what may differ between attempts. Default: none.
    pub fn leave_out(mut self, pointers: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.settings.leave_out = pointers.into_iter().map(|pointer| pointer.as_ref().to_owned()).collect();
        self
    }

    /// Sets how bodies are compared. Default: by their meaning.
    pub const fn body_form(mut self, form: BodyForm) -> Self {
        self.settings.body_form = form;
        self
    }

    /// Bounds the bodies of requests, in bytes: larger ones are refused.
    ///
    /// Default: 1 MiB.
    pub const fn request_bytes(mut self, most: usize) -> Self {
        self.settings.request_bytes = most;
        self
    }

    /// Bounds the bodies of answers that are stored, in bytes. Default: 1 MiB.
    ///
    /// A larger one, or one that does not say how long it is, is given once; a retry is told that it was, and nothing is
    /// carried out again.
    pub const fn response_bytes(mut self, most: usize) -> Self {
        self.settings.response_bytes = most;
        self
    }

    /// Sets how long answers are kept, from when they were given. Default: 24 hours.
    ///
    /// No shorter than clients try: afterwards the same key is a new request, and only receipts still know of it.
    pub const fn keep_for(mut self, time: Duration) -> Self {
        self.settings.keep_for = time;
        self
    }

    /// Sets how long a claim lasts without a sign of life. Default: 60 s.
    ///
    /// A sign is given with each third of it. So long a key is taken after a crash.
    pub const fn lease(mut self, time: Duration) -> Self {
        self.settings.lease = time;
        self
    }

    /// Sets how long a handler may take.
    ///
    /// Default: 15 minutes. Then its lease is no longer renewed, and it is ended.
    pub const fn longest_run(mut self, time: Duration) -> Self {
        self.settings.longest_run = time;
        self
    }

    /// Sets how often a request is begun before it is given up. Default: 5.
    ///
    /// The first time included.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = attempts;
        self
    }

    /// Sets what is done with a retry while the first attempt is at work.
    ///
    /// Default: it is refused with 409.
    pub const fn in_flight(mut self, in_flight: InFlight) -> Self {
        self.settings.in_flight = in_flight;
        self
    }

    /// Sets what becomes of 5xx answers and panics.
    ///
    /// Default: a retry carries the request out again.
    pub const fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.settings.failure_policy = policy;
        self
    }

    /// Sets the shape of refusals. Default: problem details (RFC 9457).
    pub fn errors(mut self, errors: Errors) -> Self {
        self.settings.errors = errors;
        self
    }

    /// Bounds how many keys a principal may have at once.
    ///
    /// More are refused with 429. Default: any number. Counted over all endpoints, with each new key: up to a few ten thousand that costs little.
    pub const fn keys_per_scope(mut self, most: u32) -> Self {
        self.settings.keys_per_scope = Some(most);
        self
    }

    /// Makes the same key at two endpoints two keys.
    ///
    /// Default: it is one, and refused for the second request.
    pub const fn per_endpoint(mut self) -> Self {
        self.settings.per_endpoint = true;
        self
    }

    /// Sets where the policy is published; refusals link to it.
    pub fn policy_url(mut self, url: impl Into<String>) -> Self {
        self.settings.policy_url = Some(url.into());
        self
    }

    /// Says for how long this service's clients go on trying.
    ///
    /// A warning where answers are not kept that long.
    pub const fn client_horizon(mut self, time: Duration) -> Self {
        self.settings.client_horizon = Some(time);
        self
    }

    /// Sets where the steps of handlers are kept that call other services.
    ///
    /// A request then has [`steps`](super::IdempotentRequest::steps), and a later attempt goes on where an earlier one ended.
    pub fn steps(mut self, store: impl StepStore + 'static) -> Self {
        self.steps = Some(Arc::new(store));
        self
    }

    /// Carries each request out in a transaction of this store.
    ///
    /// Claim, events and answer commit together.
    ///
    /// It has to be the same database. The handler writes through [`RequestWork`](super::RequestWork). The slower road:
    /// the transaction holds a connection, on SQLite the one writer, for as long as the handler runs: others, with whatever
    /// key, then wait, and get 503 in the end. Neither with [`steps`](Self::steps) nor with
    /// [`keep_requests`](Self::keep_requests). An outcome that is not known is rolled back, and the key is free at once.
    pub fn in_transactions<T>(mut self, store: T) -> Self
    where
        T: Transactional + 'static,
        T::Work: ResponseWork + 'static,
    {
        self.transactions = Some(Arc::new(Begins(store)));
        self
    }

    /// Sets what makes answers anew that a handler has only referred to.
    ///
    /// With a [`Reference`](super::Reference), instead of having them stored.
    pub fn render_again(mut self, render: impl RenderAgain + 'static) -> Self {
        self.render_again = Some(Arc::new(render));
        self
    }

    /// Stores requests until they have their answer.
    ///
    /// So that they can be [finished](IdempotencyLayer::resumer) without their clients.
    ///
    /// Body, method, path, content type and the headers that count; never `Authorization` or cookies.
    pub const fn keep_requests(mut self) -> Self {
        self.keeps_requests = true;
        self
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where settings make no sense by themselves or together: mend them, before the first request.
    pub fn build(self) -> Result<IdempotencyLayer, Error> {
        self.settings.check()?;
        if self.transactions.is_some() && (self.steps.is_some() || self.keeps_requests) {
            // Steps are written while the handler runs, by themselves: on SQLite they would wait for the transaction that
            // waits for them, and after a rollback nobody would find them.
            return Err(Error::invalid(
                "a request in a transaction leaves nothing behind when it fails: neither steps nor itself to be finished",
            ));
        }
        telemetry::built(&self.settings.warnings());
        let shared = Shared {
            store: self.store,
            rules: self.settings.fingerprint_rules()?,
            settings: self.settings,
            keeps_requests: self.keeps_requests,
            steps: self.steps,
            scope: self.scope,
            transactions: self.transactions,
            render_again: self.render_again,
            flights: Flights::default(),
            tasks: TaskTracker::new(),
        };
        Ok(IdempotencyLayer { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for IdempotencyLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
