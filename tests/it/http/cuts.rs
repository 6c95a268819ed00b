//! PostgreSQL's replies to the layer, cut on the way: one execution, and a retry gets the answer.

use std::time::{Duration, Instant};

use annals::{
    Append, Appended, Error, EventStoreExt as _, ExpectedVersion, PostgresStore, PostgresWork, StreamQuery, Work as _,
    http::{IdempotencyLayer, IdempotencyLayerBuilder, IdempotentRequest, RequestWork},
};
use axum::{Router, extract::State, response::IntoResponse, routing::post};
use http::StatusCode;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::app::{Ask, Got, tenant};
use crate::{
    faults::notes,
    postgres::faults::{
        in_time,
        proxy::{Cut, Kind, Proxy},
    },
    postgres_server::Server,
};

/// Somebody whose reply to the claim is lost knows nothing of it: this long the key is taken for nobody.
const LEASE: Duration = Duration::from_millis(400);

/// The longest that a key can be taken.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A service that reaches its database through a proxy.
struct Cuttable {
    server: Server,
    proxy: Proxy,
    app: Router,
}

fn append(request: &IdempotentRequest) -> Append {
    notes(request.derived_uuid("note"), ExpectedVersion::New, 1, 10)
}

/// What was done, so that two of it would be told apart.
fn told(request: &IdempotentRequest, appended: Result<Appended, Error>) -> (StatusCode, String) {
    match appended {
        Ok(Appended { position, .. }) => {
            (StatusCode::CREATED, format!("{} {}", request.derived_uuid("note"), position.unwrap().get()))
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// The handler of a service that stores its events under the request's key.
async fn under_the_key(State(store): State<PostgresStore>, request: IdempotentRequest) -> impl IntoResponse {
    let append = append(&request).idempotency_key(request.receipt_key());
    told(&request, store.append_one(append).await)
}

/// The handler of a service that stores its events in the request's transaction.
async fn in_the_transaction(request: IdempotentRequest, work: RequestWork<PostgresWork>) -> impl IntoResponse {
    let mut work = work.lock().await.unwrap();
    told(&request, work.append(&append(&request)).await)
}

impl Cuttable {
    async fn start(is_in_transaction: bool) -> Self {
        let server = Server::options().tcp().in_memory().start().await.unwrap();
        let proxy = Proxy::start(server.tcp_address().unwrap(), 1).await;
        let store = PostgresStore::connect(&server.tcp_url(proxy.address(), "postgres")).await.unwrap();
        let settings: IdempotencyLayerBuilder = IdempotencyLayer::builder(store.clone(), tenant).lease(LEASE);
        let (settings, route) = match is_in_transaction {
            true => (settings.in_transactions(store.clone()), post(in_the_transaction)),
            false => (settings, post(under_the_key)),
        };
        let app = Router::new().route("/v1/charges", route).layer(settings.build().unwrap()).with_state(store);
        Self { server, proxy, app }
    }

    async fn send(&self, key: &str) -> Got {
        Got::read(self.app.clone().oneshot(Ask::charge(key).into_request()).await.unwrap()).await
    }

    /// Has a reply cut, and asks until there is an answer; returns what was said first.
    async fn survive(&self, kind: Kind, cut: Cut, number: usize) -> u16 {
        let key = format!("{kind:?}-{cut:?}-{number}");
        self.proxy.cut_next(kind, cut);
        let first = self.send(&key).await;
        assert_eq!(self.proxy.cuts().last(), Some(&(kind, cut)), "{key}: nothing was cut");
        // Whether a transaction was committed nobody knows where its commit was cut, unless it is there already: 503, too.
        assert!(matches!(first.status, 201 | 409 | 503), "{key}: {first:?}");
        let is_of_handler = kind == Kind::Append;
        let is_to_be_retried = is_of_handler || first.header("x-should-retry") == Some("true");
        assert!(first.status == 201 || is_to_be_retried, "{key}: {first:?}");
        in_time("what was late", self.proxy.late_have_arrived()).await;

        let began = Instant::now();
        let answer = loop {
            let answer = self.send(&key).await;
            if !matches!(answer.status, 409 | 503) {
                break answer;
            }
            assert!(began.elapsed() < LONGEST_WAIT, "{key}: the key is stuck");
            tokio::task::yield_now().await;
        };
        assert_eq!(answer.status, 201, "{key}: {answer:?}");
        assert!(first.status != 201 || first.text() == answer.text(), "{key}: {first:?} and then {answer:?}");
        let again = self.send(&key).await;
        assert_eq!((again.is_replayed(), again.text()), (true, answer.text()), "{key}");
        let id: Uuid = answer.text().split(' ').next().unwrap().parse().unwrap();
        let store = PostgresStore::options().readers(1).connect(&self.server.url("postgres")).await.unwrap();
        assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 1, "{key}: carried out once");
        store.close().await;
        first.status
    }
}

/// Cuts each kind of request at each place.
async fn cut_everything(is_in_transaction: bool, kinds: &[Kind]) {
    let service = Cuttable::start(is_in_transaction).await;
    let mut said = Vec::new();
    for kind in kinds {
        for (number, cut) in Cut::ALL.into_iter().enumerate() {
            said.push((*kind, cut, service.survive(*kind, cut, number).await));
        }
    }
    println!("figures: in_transaction={is_in_transaction} {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_d11_a_claim_or_completion_whose_reply_is_cut_ends_in_one_execution_and_its_answer() {
    cut_everything(false, &[Kind::Claim, Kind::Append, Kind::Completion]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_d11_a_transaction_whose_commit_is_cut_ends_in_one_execution_and_its_answer() {
    cut_everything(true, &[Kind::Claim, Kind::Append, Kind::Completion, Kind::Commit]).await;
}
