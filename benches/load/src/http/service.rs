//! A small service in this process, on a loopback port: a charge for each request.

use std::{net::SocketAddr, sync::Arc};

use annals::{
    Id, IdempotencyKey, PostgresStore, RedisOptions, RedisResponses, Repository, ResponseStore, Scope, SqliteStore,
    Transactional,
    http::{IdempotencyLayer, IdempotentRequest, RequestWork},
    store::ResponseWork,
};
use annals_contest::Place;
use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
    routing::post,
    serve::ListenerExt as _,
};
use serde::Serialize;
use tokio::{net::TcpListener, task::AbortHandle};

use super::{
    charge::{Charge, Made},
    counted::{Calls, Counted},
    way::Way,
};

/// Where charges are made.
pub(super) const PATH: &str = "/v1/charges";

/// Who asks.
pub(super) const ACCOUNT: &str = "x-account";

/// The database within its directory.
const FILE: &str = "http.db";

/// The service as it runs.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    /// What the layer has asked of the database's answers.
    pub(super) calls: Arc<Calls>,
    redis: Option<RedisResponses>,
    store: Store,
    serving: AbortHandle,
}

enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Service {
    /// Opens the database and serves it in this way.
    pub(super) async fn start(way: Way, place: &Place, redis: Option<&str>) -> Result<Self> {
        let store = match place {
            Place::Directory(directory) => Store::Sqlite(SqliteStore::open(directory.join(FILE)).await?),
            Place::Url(url) => Store::Postgres(PostgresStore::connect(url).await?),
        };
        let inner: Arc<dyn ResponseStore> = match &store {
            Store::Sqlite(store) => Arc::new(store.clone()),
            Store::Postgres(store) => Arc::new(store.clone()),
        };
        let calls = Arc::new(Calls::default());
        let counted = Counted { inner, calls: Arc::clone(&calls) };
        let (responses, redis): (Arc<dyn ResponseStore>, _) = match way {
            Way::RedisReplays => {
                // Each measurement is a deployment of its own.
                let options = RedisOptions::new().prefix(format!("annals-load-{}", std::process::id()));
                let redis = options.connect(redis.context("there is no Redis")?, counted).await?;
                (Arc::new(redis.clone()), Some(redis))
            }
            Way::Without | Way::Layer | Way::Replays | Way::Transactional => (Arc::new(counted), None),
        };
        let router = match &store {
            Store::Sqlite(store) => router(store, way, responses)?,
            Store::Postgres(store) => router(store, way, responses)?,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let serving = tokio::spawn(axum::serve(listener, router).into_future()).abort_handle();
        Ok(Self { address, calls, redis, store, serving })
    }

    /// Waits until Redis has what was finished so far.
    pub(super) async fn settle(&self) {
        if let Some(redis) = &self.redis {
            redis.drain().await;
        }
    }

    /// Takes no more requests, and closes the database.
    pub(super) async fn end(self) {
        self.serving.abort();
        match &self.store {
            Store::Sqlite(store) => store.close().await,
            Store::Postgres(store) => store.close().await,
        }
    }
}

fn router<S>(store: &S, way: Way, responses: Arc<dyn ResponseStore>) -> Result<Router>
where
    S: Transactional + Clone + 'static,
    S::Work: ResponseWork + 'static,
{
    let make = match way {
        Way::Transactional => post(make_within::<S::Work>),
        Way::Without | Way::Layer | Way::Replays | Way::RedisReplays => post(make),
    };
    let router = Router::new().route(PATH, make).with_state(Repository::new(store));
    let layer = IdempotencyLayer::builder(responses, account);
    Ok(match way {
        Way::Without => router,
        Way::Layer | Way::Replays | Way::RedisReplays => router.layer(layer.build()?),
        Way::Transactional => router.layer(layer.in_transactions(store.clone()).build()?),
    })
}

fn account(parts: &Parts) -> Option<Scope> {
    Scope::new(parts.headers.get(ACCOUNT)?.to_str().ok()?).ok()
}

/// What a client is told.
#[derive(Serialize)]
struct Told {
    id: Id<Charge>,
    object: &'static str,
    status: &'static str,
    #[serde(flatten)]
    made: Made,
}

fn told(id: Id<Charge>, made: Made) -> Response {
    let told = Told { id, object: "charge", status: "succeeded", made };
    (StatusCode::CREATED, Json(told)).into_response()
}

/// One command under a key: the request's, or one that is made up.
async fn make(
    State(charges): State<Repository<Charge>>,
    request: Option<IdempotentRequest>,
    Json(made): Json<Made>,
) -> Result<Response, StatusCode> {
    let id = request.as_ref().map_or_else(Id::new, IdempotentRequest::id);
    let execute = charges.execute(id, &made);
    let execute = match &request {
        Some(request) => execute.idempotency_key(request.receipt_key()).fingerprint(request.fingerprint()),
        None => execute.idempotency_key(IdempotencyKey::random()),
    };
    execute.await.map_err(failed)?;
    Ok(told(id, made))
}

async fn make_within<W: ResponseWork + 'static>(
    State(charges): State<Repository<Charge>>,
    request: IdempotentRequest,
    work: RequestWork<W>,
    Json(made): Json<Made>,
) -> Result<Response, StatusCode> {
    let id = request.id();
    let execute = charges.execute(id, &made);
    let execute = execute.idempotency_key(request.receipt_key()).fingerprint(request.fingerprint());
    let mut work = work.lock().await.map_err(failed)?;
    execute.within(&mut *work).await.map_err(failed)?;
    drop(work);
    Ok(told(id, made))
}

fn failed(error: impl std::fmt::Display) -> StatusCode {
    eprintln!("a charge was not made: {error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
