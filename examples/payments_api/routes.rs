//! The endpoints.

use std::sync::Arc;

use annals::{
    Error, EventStore, ExecuteError, Repository,
    http::{IdempotencyLayer, Resumer},
};
use axum::{
    Extension, Json, Router,
    extract::{Path, State},
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    account::{Account, let_in},
    api_error::{ApiError, Style, styled},
    asked::{Asked, IfMatch, Payment, Public, Refund},
    charge::{Charge, ChargeCommand, ChargeRejection},
    object, openapi,
    past::Past,
    payment_intent::{PaymentIntent, PaymentIntentCommand},
};

/// Where the layer's rules are published, and what its refusals link to.
pub const POLICY: &str = "/idempotency";

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct Api {
    store: Arc<dyn EventStore>,
    charges: Repository<Charge>,
    payment_intents: Repository<PaymentIntent>,
}

impl Api {
    pub fn new(store: &Arc<dyn EventStore>) -> Self {
        Self { charges: Repository::new(store), payment_intents: Repository::new(store), store: Arc::clone(store) }
    }
}

/// The endpoints as they stand inside the layer: what carries a request out, whether its client waits for it or not.
fn endpoints(api: &Api, style: Style) -> Router {
    Router::new()
        .route("/charges", post(create_charge))
        .route("/charges/{id}", get(show_charge))
        .route("/payment_intents", post(create_payment_intent))
        .route("/payment_intents/{id}", get(show_payment_intent))
        .route("/refunds", post(refund))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        // What is stored has its style already: a replay looks as the first answer did.
        .route_layer(from_fn_with_state(style, styled))
        .with_state(api.clone())
}

/// What finishes requests whose clients have not come back. Whose a request was its scope says.
pub fn resumer(api: &Api, layer: &IdempotencyLayer, style: Style) -> Resumer<Router> {
    layer.resumer(Router::new().nest("/v1", endpoints(api, style)), |scope, request| {
        request.extensions.insert(Account(scope.principal().to_owned()));
    })
}

/// The whole service.
pub fn router(api: &Api, layer: &IdempotencyLayer, style: Style) -> Router {
    let v1 = endpoints(api, style).route_layer(layer.clone()).route_layer(from_fn(let_in));
    let (policy, contract) = (layer.policy_document(), openapi::document(style, layer));
    Router::new()
        .route("/healthz", get(health))
        .with_state(api.clone())
        .nest("/v1", v1)
        .route(POLICY, get(async || Json(policy)))
        .route("/openapi.json", get(async || Json(contract)))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .fallback(async || ApiError::not_found(None, "path"))
        .layer(from_fn_with_state(style, styled))
}

async fn create_charge(State(api): State<Api>, asked: Asked<Payment>) -> Result<Response, ApiError> {
    let Asked { request, asks } = asked;
    asks.magic.before().await;
    // The id follows from the key: a retry, in whatever process, meets the charge that its first attempt made.
    let id = request.id::<Charge>();
    let charged = asks.of(request.key().scope.principal());
    let executed = api
        .charges
        .execute(id, &ChargeCommand::Create { charged, card: asks.magic.card() })
        .idempotency_key(request.receipt_key())
        .fingerprint(request.fingerprint())
        .await?;
    asks.magic.after(&executed).await?;
    // The answer is made of the charge as it was right after this command, now or a year ago: so it is the same answer.
    let past = Past::at(&*api.store, id, executed.version).await?;
    let charge = object::charge(&past).ok_or_else(|| ApiError::not_found(None, "charge"))?;
    Ok(object::created(charge, id, "/v1/charges"))
}

async fn create_payment_intent(State(api): State<Api>, asked: Asked<Payment>) -> Result<Response, ApiError> {
    let Asked { request, asks } = asked;
    asks.magic.before().await;
    let id = request.id::<PaymentIntent>();
    let executed = api
        .payment_intents
        .execute(id, &PaymentIntentCommand::Create(asks.of(request.key().scope.principal())))
        .idempotency_key(request.receipt_key())
        .fingerprint(request.fingerprint())
        .await?;
    asks.magic.after(&executed).await?;
    let past = Past::at(&*api.store, id, executed.version).await?;
    let intent = object::payment_intent(&past).ok_or_else(|| ApiError::not_found(None, "payment intent"))?;
    Ok(object::created(intent, id, "/v1/payment_intents"))
}

async fn refund(
    State(api): State<Api>,
    IfMatch(expected): IfMatch,
    asked: Asked<Refund>,
) -> Result<Response, ApiError> {
    let Asked { request, asks } = asked;
    asks.magic.before().await;
    let Public(id) = asks.charge;
    let command = ChargeCommand::Refund {
        refund: request.derived_uuid("refund"),
        account: request.key().scope.principal().to_owned(),
        amount: asks.amount,
        metadata: asks.metadata,
    };
    let executed = api
        .charges
        .execute(id, &command)
        .expected_version(expected)
        .idempotency_key(request.receipt_key())
        .fingerprint(request.fingerprint())
        .await;
    let executed = match executed {
        // Some other thing has this id.
        Err(ExecuteError::Store(Error::Invalid { .. })) => return Err(ChargeRejection::NoSuchCharge.into()),
        executed => executed?,
    };
    asks.magic.after(&executed).await?;
    let past = Past::at(&*api.store, id, executed.version).await?;
    let refund = object::refund(&past).ok_or_else(|| ApiError::not_found(None, "refund"))?;
    Ok((StatusCode::CREATED, refund).into_response())
}

async fn show_charge(
    State(api): State<Api>,
    Extension(account): Extension<Account>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found(Some("id"), "charge");
    let Public(id) = id.parse().map_err(|_| unknown())?;
    let past = Past::<Charge>::now(&*api.store, id).await?;
    let is_theirs = |past: &Past<Charge>| past.state.charged.as_ref().is_some_and(|it| it.account == account.0);
    past.filter(is_theirs).as_ref().and_then(object::charge).ok_or_else(unknown)
}

async fn show_payment_intent(
    State(api): State<Api>,
    Extension(account): Extension<Account>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found(Some("id"), "payment intent");
    let Public(id) = id.parse().map_err(|_| unknown())?;
    let past = Past::<PaymentIntent>::now(&*api.store, id).await?;
    let is_theirs = |past: &Past<PaymentIntent>| past.state.intended.as_ref().is_some_and(|it| it.account == account.0);
    past.filter(is_theirs).as_ref().and_then(object::payment_intent).ok_or_else(unknown)
}

/// Whether the database answers.
async fn health(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    api.store.head().await?;
    Ok(Json(json!({ "status": "ok" })))
}
