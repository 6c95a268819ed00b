//! Refusals and problems in each shape.

use std::{io, sync::Arc, time::Duration};

use annals::{
    AggregateName, Error, ExecuteError, ExpectedVersion, Fault, Position,
    http::{Errors, Problem, Refusal, RenderRefusal},
};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// An application's own shape.
#[derive(Debug)]
pub(super) struct Teapot;

impl RenderRefusal for Teapot {
    fn render(&self, refusal: &Refusal, _policy_url: Option<&str>) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(refusal.name().as_bytes()));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    }
}

const POLICY: Option<&str> = Some("/idempotency");

fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[test]
fn refusals_have_the_statuses_types_and_codes_that_clients_go_by() {
    let (request, service, idempotency) = ("invalid_request_error", "api_error", "idempotency_error");
    let expected = [
        ("missing-key", 400, 400, request, "idempotency_key_missing", false),
        ("malformed-key", 400, 400, request, "idempotency_key_malformed", false),
        ("no-scope", 401, 401, request, "unauthenticated", false),
        ("body-too-large", 413, 413, request, "body_too_large", false),
        ("unreadable-body", 400, 400, request, "body_unreadable", true),
        ("key-reused", 422, 400, idempotency, "idempotency_key_reused", false),
        ("in-flight", 409, 409, idempotency, "idempotency_key_in_use", true),
        ("store-unavailable", 503, 503, service, "idempotency_store_unavailable", true),
        ("outcome-unknown", 503, 503, service, "idempotency_outcome_unknown", true),
        ("taken-over", 409, 409, service, "idempotency_request_taken_over", true),
        ("answer-not-kept", 410, 410, service, "idempotency_answer_not_kept", false),
        ("given-up", 500, 500, service, "idempotency_request_given_up", false),
        ("too-many-keys", 429, 429, request, "rate_limit", true),
        ("failed", 500, 500, service, "internal_error", true),
    ];
    let samples = Refusal::samples();
    assert_eq!(samples.len(), expected.len());
    for (refusal, (name, ietf_status, stripe_status, kind, code, retry)) in samples.iter().zip(expected) {
        let ietf = Errors::Ietf.render(refusal, POLICY);
        assert_eq!(ietf.status(), ietf_status, "{name}");
        assert_eq!(ietf.headers()["content-type"], "application/problem+json");
        let problem = body(&ietf);
        assert_eq!(problem["type"], format!("/idempotency#{name}"));
        assert_eq!((&problem["title"], &problem["status"]), (&json!(refusal.title()), &json!(ietf_status)));
        assert_eq!(problem["detail"], refusal.detail().as_ref());

        let stripe = Errors::Stripe.render(refusal, POLICY);
        assert_eq!(stripe.status(), stripe_status, "{name}");
        assert_eq!(stripe.headers()["content-type"], "application/json");
        let error = &body(&stripe)["error"];
        assert_eq!((&error["type"], &error["code"]), (&json!(kind), &json!(code)));
        assert_eq!(error["message"], refusal.detail().as_ref());
        assert_eq!(error["doc_url"], format!("/idempotency#{name}"));

        for response in [ietf, stripe, Errors::Custom(Arc::new(Teapot)).render(refusal, POLICY)] {
            let headers = response.headers();
            assert_eq!(headers["link"], "</idempotency>; rel=\"describedby\"");
            assert_eq!(headers["stripe-should-retry"], if retry { "true" } else { "false" }, "{name}");
            assert_eq!(headers["x-should-retry"], headers["stripe-should-retry"]);
            assert_eq!(headers.contains_key("retry-after"), refusal.retry_after().is_some(), "{name}");
            assert_eq!(headers.contains_key("www-authenticate"), ietf_status == 401);
        }
    }
    let nowhere = Errors::Ietf.render(&Refusal::MissingKey, None);
    assert_eq!(body(&nowhere)["type"], "urn:annals:idempotency:missing-key");
    assert!(!nowhere.headers().contains_key("link"));
    assert!(body(&Errors::Stripe.render(&Refusal::MissingKey, None))["error"].get("doc_url").is_none());
}

#[test]
fn a_wait_is_told_in_whole_seconds_from_one_on() {
    for (wait, told) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_001, "60")] {
        let refusal = Refusal::InFlight { retry_after: Duration::from_millis(wait) };
        for errors in [Errors::Ietf, Errors::Stripe] {
            assert_eq!(errors.render(&refusal, None).headers()["retry-after"], told, "{wait}");
        }
    }
    let longest = Refusal::Fenced { retry_after: Duration::MAX };
    assert_eq!(Errors::Ietf.render(&longest, None).headers()["retry-after"], u64::MAX.to_string());
}

#[test]
fn http_e04_a_conflict_of_the_domain_is_told_from_a_request_in_flight() {
    let in_flight = Refusal::InFlight { retry_after: Duration::from_secs(1) };
    let sold_out = io::Error::other("none is left");
    let domain =
        Problem::from_rejection(StatusCode::CONFLICT, "https://api.example/problems#sold-out", "Sold out", &sold_out);
    let stale = Problem::from(&conflict());
    for errors in [Errors::Ietf, Errors::Stripe] {
        let ours = errors.render(&in_flight, POLICY);
        for problem in [&domain, &stale] {
            let theirs = errors.render_problem(problem);
            assert_eq!((ours.status(), theirs.status()), (StatusCode::CONFLICT, StatusCode::CONFLICT));
            let kind = |response: &Response<Bytes>| {
                let body = body(response);
                [body["type"].clone(), body["error"]["type"].clone(), body["error"]["code"].clone()]
            };
            assert_ne!(kind(&ours), kind(&theirs));
            // A client that goes by the status alone would send it again and again.
            assert_eq!(ours.headers()["stripe-should-retry"], "true");
            assert_eq!(theirs.headers()["stripe-should-retry"], "false");
            assert!(!theirs.headers().contains_key("retry-after"));
        }
    }
    let stripe = body(&Errors::Stripe.render_problem(&domain));
    assert_eq!(
        stripe,
        json!({"error": {
            "type": "invalid_request_error", "code": "sold_out", "message": "none is left",
            "doc_url": "https://api.example/problems#sold-out",
        }})
    );
}

fn aggregate() -> AggregateName {
    AggregateName::new("order", Uuid::from_u128(7))
}

fn conflict() -> Error {
    Error::Conflict { aggregate: aggregate(), expected: ExpectedVersion::Exact(3), actual: 5 }
}

#[test]
fn a_stores_errors_are_problems_by_what_callers_do_about_them() {
    let secret = || io::Error::other("password=secret");
    for (error, status, retry) in [
        (conflict(), 409, false),
        (Error::KeyReused { aggregate: aggregate() }, 422, false),
        (Error::contention(secret()), 503, true),
        (Error::unavailable(secret()), 503, true),
        (Error::outcome_unknown(secret()), 503, true),
        (
            Error::Behind { consumer: "sales".to_owned(), awaited: Position::new(2), reached: Position::new(1) },
            503,
            true,
        ),
        (Error::invalid("amount is not positive"), 400, false),
        (Error::codec("an order", secret()), 500, false),
        (Error::backend(Fault::Io, secret()), 500, false),
        (Error::corrupt("secret"), 500, false),
        (Error::Schema { message: "secret".to_owned(), source: None }, 500, false),
    ] {
        let problem = Problem::from(&error);
        let response = Errors::Ietf.render_problem(&problem);
        assert_eq!(response.status(), status, "{error:?}");
        assert_eq!(response.headers().contains_key("retry-after"), retry, "{error:?}");
        assert_eq!(response.headers()["x-should-retry"], retry.to_string());
        let told = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(!told.contains("secret") && !told.contains("about:blank"), "{told}");
        let stripe = Errors::Stripe.render_problem(&problem);
        let (stripe_status, kind) = match (&error, status) {
            (Error::KeyReused { .. }, _) => (400, "idempotency_error"),
            (_, 500..) => (status, "api_error"),
            _ => (status, "invalid_request_error"),
        };
        assert_eq!((stripe.status().as_u16(), &body(&stripe)["error"]["type"]), (stripe_status, &json!(kind)));
        assert_eq!(problem.clone().into_response().status(), status);
        let conditional = problem.when_conditional().status.as_u16();
        assert_eq!(conditional, if status == 409 { 412 } else { status });
    }
}

#[test]
fn a_commands_error_is_the_domains_or_the_stores() {
    let declined = |rejection: &io::Error| {
        Problem::from_rejection(StatusCode::PAYMENT_REQUIRED, "urn:shop:declined", "Card was declined", rejection)
    };
    let rejected = ExecuteError::Rejected { rejection: io::Error::other("no funds"), replayed: true };
    let problem = Problem::from_execute(&rejected, declined);
    assert_eq!(body(&Errors::Ietf.render_problem(&problem))["detail"], "no funds");
    assert_eq!(body(&Errors::Stripe.render_problem(&problem))["error"]["type"], "card_error");
    let failed = ExecuteError::<io::Error>::Store(conflict());
    assert_eq!(Problem::from_execute(&failed, declined).status, StatusCode::CONFLICT);
}
