//! The layer, and the service it makes of another.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::OriginalUri};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, Uri, header::CONTENT_LENGTH, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};

use super::{
    FingerprintRules, KeySource, Refusal, RenderRefusal as _, Settings,
    asked::Asked,
    flights::Flights,
    flow::Flow,
    key::{header_key, request_key},
    media::Media,
    render_again::RenderAgain,
    request::IdempotentRequest,
    telemetry,
    transaction::Transactions,
};
use crate::store::{ResponseStore, Scope, StepStore};

/// Finds out whose keys a request uses. `None`: nobody's, and the request is refused.
pub(super) type FindScope = dyn Fn(&Parts) -> Option<Scope> + Send + Sync;

/// What all services of one layer share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn ResponseStore>,
    pub(super) settings: Settings,
    /// What of a request counts.
    pub(super) rules: FingerprintRules,
    /// Requests are stored, so that they can be finished without their clients.
    pub(super) keeps_requests: bool,
    pub(super) steps: Option<Arc<dyn StepStore>>,
    pub(super) scope: Box<FindScope>,
    pub(super) transactions: Option<Arc<dyn Transactions>>,
    pub(super) render_again: Option<Arc<dyn RenderAgain>>,
    pub(super) flights: Flights,
    /// What is under way, also where its client has gone.
    pub(super) tasks: TaskTracker,
}

/// Carries each request with an `Idempotency-Key` out once.
///
/// Every retry gets the first answer.
///
/// A [tower](https://docs.rs/tower) layer. Put it inside what answers for each attempt anew (authentication, request
/// ids, CORS, compression of answers, decompression of bodies) and outside of the handlers:
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use annals::{Scope, SqliteStore, http::IdempotencyLayer};
/// use axum::{Router, http::request::Parts, routing::post};
///
/// /// Who was let in: the account, not the token.
/// #[derive(Clone)]
/// struct Account(String);
///
/// let store = SqliteStore::open_in_memory().await?;
/// let scope = |request: &Parts| Scope::new(&request.extensions.get::<Account>()?.0).ok();
/// let layer = IdempotencyLayer::builder(store, scope).policy_url("/idempotency").build()?;
/// let app: Router = Router::new().route("/v1/charges", post(|| async { "charged" })).layer(layer);
/// # Ok(())
/// # }
/// ```
///
/// It follows [draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
/// Clones share what is under way.
#[derive(Clone)]
pub struct IdempotencyLayer {
    pub(super) shared: Arc<Shared>,
}

impl IdempotencyLayer {
    /// Waits until what is under way has ended, also where its client has gone.
    ///
    /// `false`: not all has in this time.
    ///
    /// For the end of a process, after its server takes no more requests. What has not ended is left to its lease: a
    /// retry takes over once that has lapsed.
    pub async fn drain(&self, longest: Duration) -> bool {
        self.shared.tasks.close();
        timeout(longest, self.shared.tasks.wait()).await.is_ok()
    }

    /// How many requests are under way, also where their clients have gone.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.shared.tasks.len()
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer").field("under_way", &self.under_way()).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Idempotency<S> {
        Idempotency { inner, shared: Arc::clone(&self.shared) }
    }
}

/// Carries requests out once. Made by [`IdempotencyLayer`].
#[derive(Clone)]
pub struct Idempotency<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S: fmt::Debug> fmt::Debug for Idempotency<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for Idempotency<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready is called, its clone is not ready yet.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(serve(shared, inner, request.map(Body::new)).await) })
    }
}

/// Answers a request, through the inner service or without it.
async fn serve<S>(shared: Arc<Shared>, mut inner: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let asked = match ask(&shared, request).await {
        Ok(Question::Protected(asked)) => asked,
        Ok(Question::Plain(request)) => return infallible(inner.call(*request).await),
        Err(refusal) => return refuse(&shared, &refusal),
    };
    // In a task of its own: a client that hangs up does not stop what it has begun.
    let (reply, answered) = oneshot::channel();
    let flow = Flow { shared: Arc::clone(&shared), asked: *asked };
    shared.tasks.spawn(telemetry::in_the_same_span(flow.answer(inner, reply)));
    answered.await.unwrap_or_else(|_| refuse(&shared, &Refusal::Failed))
}

pub(super) fn infallible<T>(done: Result<T, Infallible>) -> T {
    match done {
        Ok(done) => done,
    }
}

/// Renders a refusal, and counts it.
pub(super) fn refuse(shared: &Shared, refusal: &Refusal) -> Response<Body> {
    telemetry::refused(refusal);
    shared.settings.errors.render(refusal, shared.settings.policy_url.as_deref()).map(Body::from)
}

enum Question {
    /// It goes through as if the layer were not there.
    Plain(Box<Request<Body>>),
    Protected(Box<Asked>),
}

/// Reads what a request asks for. No claim is made before all of it is there.
async fn ask(shared: &Shared, request: Request<Body>) -> Result<Question, Refusal> {
    let settings = &shared.settings;
    // Within a request that is carried out already there is nothing to ask: the layer stands twice in its way.
    let is_under_way = request.extensions().get::<IdempotentRequest>().is_some();
    if is_under_way || !settings.methods.contains(request.method()) {
        return Ok(Question::Plain(Box::new(request)));
    }
    let rules = settings.key_rules();
    let in_headers = header_key(request.headers(), rules)?;
    let is_in_bodies = settings.key_sources.iter().any(|source| matches!(source, KeySource::JsonMember(_)))
        && Media::of(request.headers()).is_json();
    if in_headers.is_none() && !is_in_bodies {
        return if settings.required { Err(Refusal::MissingKey) } else { Ok(Question::Plain(Box::new(request))) };
    }
    let (parts, body) = request.into_parts();
    // Before the body: whoever is not known may not make the server read.
    let scope = (shared.scope)(&parts).ok_or(Refusal::NoScope);
    if in_headers.is_some() || settings.required {
        scope.as_ref().map_err(Clone::clone)?;
    }
    let body = read_body(&parts, body, settings.request_bytes).await?;
    match request_key(&parts.headers, &body, rules)? {
        Some(key) => Ok(Question::Protected(Box::new(Asked::new(shared, (scope?, key), parts, body)))),
        None if settings.required => Err(Refusal::MissingKey),
        None => Ok(Question::Plain(Box::new(Request::from_parts(parts, Body::from(body))))),
    }
}

/// The path and query that the client sent: nested routers strip a prefix.
pub(super) fn original_uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

async fn read_body(parts: &Parts, body: Body, most: usize) -> Result<Bytes, Refusal> {
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(Refusal::BodyTooLarge { most });
    }
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge { most }),
        Err(_) => Err(Refusal::UnreadableBody),
    }
}
