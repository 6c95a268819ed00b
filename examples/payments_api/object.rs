//! Objects as clients see them: members in one order, always.

use annals::{Id, http::version_tag};
use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, LOCATION},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    asked::{Prefix, public},
    charge::{Charge, Charged, Notes, Refunded},
    past::Past,
    payment_intent::PaymentIntent,
};

impl Prefix for Charge {
    const PREFIX: &'static str = "ch_";
}

impl Prefix for PaymentIntent {
    const PREFIX: &'static str = "pi_";
}

/// A charge or a payment intent.
#[derive(Debug, Serialize)]
struct PaymentObject<'p> {
    id: String,
    object: &'static str,
    amount: u32,
    currency: &'static str,
    status: &'static str,
    /// When the store recorded it, in seconds since 1970.
    created: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_refunded: Option<u32>,
    metadata: &'p Notes,
}

#[derive(Debug, Serialize)]
struct RefundObject<'p> {
    id: String,
    object: &'static str,
    amount: u32,
    currency: &'static str,
    status: &'static str,
    created: i64,
    charge: String,
    metadata: &'p Notes,
}

/// A charge. `None`: nothing was charged.
pub fn charge(past: &Past<Charge>) -> Option<Response> {
    let charged = past.state.charged.as_ref()?;
    let object = payment(past, charged, "charge", "succeeded", Some(past.state.refunded));
    Some(with_version(past.version, &object))
}

/// A payment intent. `None`: there is none.
pub fn payment_intent(past: &Past<PaymentIntent>) -> Option<Response> {
    let intended = past.state.intended.as_ref()?;
    let object = payment(past, intended, "payment_intent", "requires_payment_method", None);
    Some(with_version(past.version, &object))
}

/// The refund at whose version the charge is. The ETag is the charge's.
pub fn refund(past: &Past<Charge>) -> Option<Response> {
    let (charged, refunded) = (past.state.charged.as_ref()?, past.state.last_refund.as_ref()?);
    let Refunded { refund, amount, metadata } = refunded;
    let object = RefundObject {
        id: public("re_", *refund),
        object: "refund",
        amount: amount.units(),
        currency: charged.currency.code(),
        status: "succeeded",
        created: past.changed.timestamp(),
        charge: public(Charge::PREFIX, past.id),
        metadata,
    };
    Some(with_version(past.version, &object))
}

fn payment<'p, A: Prefix>(
    past: &Past<A>,
    charged: &'p Charged,
    object: &'static str,
    status: &'static str,
    amount_refunded: Option<u32>,
) -> PaymentObject<'p> {
    PaymentObject {
        id: public(A::PREFIX, past.id),
        object,
        amount: charged.amount.units(),
        currency: charged.currency.code(),
        status,
        created: past.created.timestamp(),
        amount_refunded,
        metadata: &charged.metadata,
    }
}

/// An object that was just made, and where it is found.
pub fn created<A: Prefix>(mut response: Response, id: Id<A>, collection: &str) -> Response {
    *response.status_mut() = StatusCode::CREATED;
    let location = format!("{collection}/{}", public(A::PREFIX, id));
    response.headers_mut().extend(HeaderValue::try_from(location).ok().map(|location| (LOCATION, location)));
    response
}

/// The version of an aggregate is its ETag.
fn with_version(version: u64, object: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_string(object) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (ETAG, version_tag(version))];
    (headers, body).into_response()
}
