//! The service in this process, on a database in memory whose clock stands still.

use std::{sync::Arc, time::Duration};

use annals::{
    Clock as _, EventStore, IdempotencyKey, LogQuery, ManualClock, ResponseStore, Scope, ScopedKey,
    http::IdempotencyLayer,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header::CONTENT_TYPE},
};
use chrono::{TimeZone as _, Utc};
use clap::Parser as _;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{
    account::Account,
    args::Args,
    routes::{Api, router},
    server::{self, Stores},
};

/// What the service's clock shows at first, in seconds since 1970.
pub const OPENING: i64 = 1_800_000_000;

pub const TOKEN: &str = "sk_test_1";

pub struct Service {
    pub layer: IdempotencyLayer,
    pub clock: Arc<ManualClock>,
    events: Arc<dyn EventStore>,
    responses: Arc<dyn ResponseStore>,
    router: Router,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// A POST under a key, about to be sent.
#[derive(Clone)]
pub struct Post {
    pub path: &'static str,
    pub key: &'static str,
    pub body: String,
    pub content_type: Option<&'static str>,
    pub token: &'static str,
    pub if_match: Option<&'static str>,
}

impl Post {
    pub fn form(path: &'static str, key: &'static str, body: impl Into<String>) -> Self {
        let content_type = Some("application/x-www-form-urlencoded");
        Self { path, key, body: body.into(), content_type, token: TOKEN, if_match: None }
    }

    pub fn charge(key: &'static str, body: impl Into<String>) -> Self {
        Self::form("/v1/charges", key, body)
    }

    pub fn refund(key: &'static str, body: impl Into<String>) -> Self {
        Self::form("/v1/refunds", key, body)
    }
}

impl Service {
    /// The service as it is with these arguments.
    pub async fn with(arguments: &[&str]) -> Self {
        let args = Args::parse_from([&["payments_api", "--database-url", "sqlite::memory:"], arguments].concat());
        let clock = Arc::new(ManualClock::new(Utc.timestamp_opt(OPENING, 0).unwrap()));
        let shared_clock = Arc::<ManualClock>::clone(&clock);
        let Stores { events, responses, .. } = Stores::open(&args, Some(shared_clock)).await.unwrap();
        let layer = server::layer(Arc::clone(&responses), &args).unwrap();
        let router = router(&Api::new(&events), &layer, args.errors);
        Self { layer, clock, events, responses, router }
    }

    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    pub async fn post(&self, post: Post) -> Answer {
        let mut request = Request::post(post.path).header("idempotency-key", post.key);
        request = request.header("authorization", format!("Bearer {}", post.token));
        if let Some(content_type) = post.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(version) = post.if_match {
            request = request.header("if-match", version);
        }
        self.send(request.body(Body::from(post.body)).unwrap()).await
    }

    /// Posts, and expects a new object.
    pub async fn made(&self, post: Post) -> Value {
        let answer = self.post(post).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.json()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, TOKEN).await
    }

    pub async fn request(&self, method: Method, path: &str, token: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The types of all events there are, in order.
    pub async fn events(&self) -> Vec<String> {
        let mut types = Vec::new();
        let query = LogQuery::all();
        let mut note = |event: annals::EventRef<'_>| {
            types.push(event.event_type.to_owned());
            Ok(())
        };
        self.events.read_log(&query, &mut note).await.unwrap();
        types
    }

    pub fn move_on(&self, by: Duration) {
        self.clock.set(self.clock.now() + by);
    }

    /// Lets the time pass for which answers are stored.
    pub fn forget_answers(&self) {
        self.move_on(Duration::from_secs(86_401));
    }

    /// Waits until a request under this key is being carried out.
    pub async fn until_claimed(&self, key: &str) {
        let scope = Scope::new(Account::of_token(TOKEN).0).unwrap();
        let key = ScopedKey::new(scope, IdempotencyKey::new(key).unwrap());
        let claimed = async {
            while self.responses.find_response(&key).await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), claimed).await.expect("the request is never claimed");
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }
}
