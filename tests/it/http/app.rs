//! An application behind the layer, and requests to it.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use annals::{
    Scope,
    http::{IdempotencyLayer, IdempotencyLayerBuilder, IdempotentRequest},
};
use axum::{Router, body::Body, response::IntoResponse};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::place::Process;

/// What a handler is called with.
pub struct Call {
    /// Which call it is, from 1.
    pub number: usize,
    /// The request under its key, where there is one.
    pub request: Option<IdempotentRequest>,
    pub body: Bytes,
}

type Handler = dyn Fn(Call) -> BoxFuture<'static, Response<Body>> + Send + Sync;

/// An application with one handler, behind a layer.
#[derive(Clone)]
pub struct App {
    pub layer: IdempotencyLayer,
    router: Router,
    calls: Arc<AtomicUsize>,
}

/// The tenant that a header names: nobody where it is missing.
pub fn tenant(parts: &Parts) -> Option<Scope> {
    Scope::new(parts.headers.get("x-tenant")?.to_str().ok()?).ok()
}

/// A layer over a place, with the settings that most cases assume.
pub fn layer(process: &Process) -> IdempotencyLayerBuilder {
    IdempotencyLayer::builder(Arc::clone(&process.responses), tenant).policy_url("/idempotency")
}

impl App {
    /// An application whose handler is called for every path and method.
    pub fn new<F, R>(layer: IdempotencyLayerBuilder, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        Self::within(layer, handler, |router| router)
    }

    /// An application with more layers around.
    pub fn within<F, R>(
        layer: IdempotencyLayerBuilder,
        handler: impl Fn(Call) -> F + Send + Sync + 'static,
        around: impl FnOnce(Router) -> Router,
    ) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        let layer = layer.build().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let handler: Arc<Handler> = Arc::new(move |call| {
            let answered = handler(call);
            Box::pin(async move { answered.await.into_response() })
        });
        let counter = Arc::clone(&calls);
        let serve = move |request: Request<Body>| {
            let (handler, number) = (Arc::clone(&handler), counter.fetch_add(1, Ordering::SeqCst) + 1);
            async move {
                let (parts, body) = request.into_parts();
                let request = parts.extensions.get::<IdempotentRequest>().cloned();
                let body = body.collect().await.unwrap().to_bytes();
                handler(Call { number, request, body }).await
            }
        };
        let router = around(Router::new().fallback(serve).layer(layer.clone()));
        Self { layer, router, calls }
    }

    /// How often the handler was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Sends a request, and reads the answer to its end.
    pub async fn send(&self, ask: Ask) -> Got {
        let response = self.router.clone().oneshot(ask.into_request()).await.unwrap();
        Got::read(response).await
    }

    /// Sends a request whose answer is waited for elsewhere.
    pub fn spawn(&self, ask: Ask) -> tokio::task::JoinHandle<Got> {
        let app = self.clone();
        tokio::spawn(async move { app.send(ask).await })
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask {
    /// A charge of a tenant, as JSON.
    pub fn charge(key: &str) -> Self {
        Self::post("/v1/charges").header("idempotency-key", key).json("{\"amount\":100}")
    }

    pub fn post(uri: &str) -> Self {
        Self::new(Method::POST, uri)
    }

    /// A request of the tenant without a body.
    pub fn new(method: Method, uri: &str) -> Self {
        let plain = Self { method, uri: uri.to_owned(), headers: HeaderMap::new(), body: Bytes::new() };
        plain.header("x-tenant", "tenant")
    }

    /// One more line of a header.
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(name, http::HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub fn tenant(self, name: &str) -> Self {
        self.without("x-tenant").header("x-tenant", name)
    }

    pub fn json(self, body: impl Into<Bytes>) -> Self {
        self.without("content-type").header("content-type", "application/json").body(body)
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn into_request(self) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri.parse().unwrap();
        *request.headers_mut() = self.headers;
        request
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn is_replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// When to come back, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").map(|seconds| seconds.parse().unwrap())
    }
}

/// How many answers there are of each kind: replayed ones apart.
pub fn tally(answers: &[Got]) -> BTreeMap<(u16, bool), usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry((answer.status, answer.is_replayed())).or_default() += 1;
    }
    tally
}

/// Stops handlers until it is opened, and tells when they have come.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub fn shut() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// A handler comes to the gate, and waits until it is opened for one more.
    pub async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// Waits until so many more have come.
    pub async fn come(&self, handlers: u32) {
        self.arrived.acquire_many(handlers).await.unwrap().forget();
    }

    /// Lets so many through.
    pub fn let_through(&self, handlers: usize) {
        self.open.add_permits(handlers);
    }
}

/// A created object, named by which call made it.
pub fn created(call: &Call) -> impl IntoResponse + use<> {
    (StatusCode::CREATED, format!("charge {}", call.number))
}
