//! Errors as Stripe's clients read them.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use super::json;
use crate::http::{Problem, Refusal};

pub(super) const CONTENT_TYPE: &str = "application/json";

/// Who reads the type raises an exception of its own for some of these.
const IDEMPOTENCY: &str = "idempotency_error";
const REQUEST: &str = "invalid_request_error";
const SERVICE: &str = "api_error";
const CARD: &str = "card_error";

#[derive(Serialize)]
struct Body<'b> {
    error: Error<'b>,
}

#[derive(Serialize)]
struct Error<'b> {
    r#type: &'b str,
    code: &'b str,
    message: &'b str,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc_url: Option<String>,
}

/// A reused key is 400 here: Stripe's clients look for its type in 400 and 404 alone.
const fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::KeyReused => StatusCode::BAD_REQUEST,
        _ => refusal.status(),
    }
}

pub(super) const fn type_and_code(refusal: &Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::MissingKey => (REQUEST, "idempotency_key_missing"),
        Refusal::MalformedKey { .. } => (REQUEST, "idempotency_key_malformed"),
        Refusal::NoScope => (REQUEST, "unauthenticated"),
        Refusal::BodyTooLarge { .. } => (REQUEST, "body_too_large"),
        Refusal::UnreadableBody => (REQUEST, "body_unreadable"),
        Refusal::KeyReused => (IDEMPOTENCY, "idempotency_key_reused"),
        Refusal::InFlight { .. } => (IDEMPOTENCY, "idempotency_key_in_use"),
        Refusal::StoreUnavailable { .. } => (SERVICE, "idempotency_store_unavailable"),
        Refusal::OutcomeUnknown { .. } => (SERVICE, "idempotency_outcome_unknown"),
        Refusal::Fenced { .. } => (SERVICE, "idempotency_request_taken_over"),
        Refusal::AnswerNotKept => (SERVICE, "idempotency_answer_not_kept"),
        Refusal::GivenUp => (SERVICE, "idempotency_request_given_up"),
        Refusal::TooManyKeys { .. } => (REQUEST, "rate_limit"),
        Refusal::Failed => (SERVICE, "internal_error"),
    }
}

pub(super) fn refused(refusal: &Refusal, policy_url: Option<&str>) -> Response<Bytes> {
    let (kind, code) = type_and_code(refusal);
    let doc_url = policy_url.map(|url| format!("{url}#{}", refusal.name()));
    let message = refusal.detail();
    json(status_of(refusal), CONTENT_TYPE, &Body { error: Error { r#type: kind, code, message: &message, doc_url } })
}

pub(super) fn problem(problem: &Problem) -> Response<Bytes> {
    // Also where a command's receipt has found it, not the layer.
    let is_reuse = problem.name() == Refusal::KeyReused.name();
    let status = if is_reuse { StatusCode::BAD_REQUEST } else { problem.status };
    let kind = match problem.status {
        _ if is_reuse => IDEMPOTENCY,
        StatusCode::PAYMENT_REQUIRED => CARD,
        status if status.is_server_error() => SERVICE,
        _ => REQUEST,
    };
    let code = problem.name().replace('-', "_");
    let doc_url = problem.kind.starts_with("http").then(|| problem.kind.clone().into_owned());
    let message = problem.detail.as_deref().unwrap_or(&problem.title);
    json(status, CONTENT_TYPE, &Body { error: Error { r#type: kind, code: &code, message, doc_url } })
}
