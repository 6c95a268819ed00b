//! What is believed, and what is not.

use std::{sync::Arc, time::Duration};

use annals::{
    Clock, IncomingMessage, ManualClock,
    http::webhook::{WebhookError, WebhookSecret, WebhookVerifier},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::secret;

const BODY: &[u8] = br#"{"test": 2432232314}"#;
const MINUTES: Duration = Duration::from_secs(5 * 60);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn verifier() -> (WebhookVerifier, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(now()));
    (WebhookVerifier::new(secret(1)).clock(Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    HeaderMap::from_iter([
        ("webhook-id".parse().unwrap(), value(id)),
        ("webhook-timestamp".parse().unwrap(), value(timestamp)),
        ("webhook-signature".parse().unwrap(), value(signature)),
    ])
}

fn signed(secret: &WebhookSecret, id: &str, at: DateTime<Utc>) -> HeaderMap {
    headers(id, &at.timestamp().to_string(), &secret.sign(id, at, BODY))
}

#[test]
fn http_k10_what_was_signed_with_the_secret_just_now_is_believed() {
    let (verifier, _) = verifier();
    let webhook = verifier.verify(&signed(&secret(1), "msg_1", now()), BODY).unwrap();
    assert_eq!(webhook.message, IncomingMessage::new("msg_1", BODY).unwrap());
    assert_eq!(webhook.sent_at, now());
}

#[test]
fn http_k10_whatever_was_changed_is_not_believed() {
    let (verifier, _) = verifier();
    let (good, at) = (signed(&secret(1), "msg_1", now()), now().timestamp());
    let signature = good["webhook-signature"].to_str().unwrap().to_owned();
    assert!(verifier.verify(&good, BODY).is_ok());
    let mut body = BODY.to_vec();
    body.push(b' ');
    let earlier = (at - 1).to_string();
    let at = at.to_string();
    for (headers, body) in [
        (good.clone(), &body[..]),
        (good, b"".as_slice()),
        (headers("msg_2", &at, &signature), BODY),
        (headers("msg_1", &earlier, &signature), BODY),
        (signed(&secret(2), "msg_1", now()), BODY),
        (headers("msg_1", &at, &signature[..signature.len() - 4]), BODY),
        (headers("msg_1", &at, &signature.replace("v1,", "v1a,")), BODY),
        (headers("msg_1", &at, &signature.replace("v1,", "")), BODY),
        (headers("msg_1", &at, "v1, v1,=== v1,AAAA"), BODY),
        (headers("msg_1", &at, &format!("{}{signature}", "v1,AAAA ".repeat(16))), BODY),
    ] {
        let refused = verifier.verify(&headers, body).unwrap_err();
        assert_eq!((refused, refused.status()), (WebhookError::WrongSignature, StatusCode::UNAUTHORIZED));
    }
}

#[test]
fn http_k10_secrets_are_changed_on_either_side_first() {
    let (old, new) = (secret(1), secret(2));
    let (verifier, _) = verifier();
    let both = format!("{} v1a,xyz {}", new.sign("m", now(), BODY), old.sign("m", now(), BODY));
    let of_both = headers("m", &now().timestamp().to_string(), &both);
    assert!(verifier.verify(&of_both, BODY).is_ok(), "the sender first");
    assert!(verifier.verify(&signed(&new, "m", now()), BODY).is_err());
    let verifier = verifier.also(new.clone());
    for headers in [of_both, signed(&old, "m", now()), signed(&new, "m", now())] {
        assert!(verifier.verify(&headers, BODY).is_ok(), "the receiver first");
    }
}

#[test]
fn http_k10_what_was_signed_long_ago_or_in_the_future_is_not_believed() {
    let (verifier, clock) = verifier();
    let headers = signed(&secret(1), "msg_1", now());
    let future = signed(&secret(1), "msg_1", now() + Duration::from_secs(301));
    assert_eq!(verifier.verify(&future, BODY).unwrap_err(), WebhookError::TooNew);
    clock.advance(Duration::from_secs(1));
    assert!(verifier.verify(&future, BODY).is_ok());
    clock.advance(MINUTES - Duration::from_secs(1));
    assert!(verifier.verify(&headers, BODY).is_ok());
    clock.advance(Duration::from_micros(1));
    assert_eq!(verifier.verify(&headers, BODY).unwrap_err(), WebhookError::TooOld);
    assert!(verifier.tolerance(MINUTES * 2).verify(&headers, BODY).is_ok());
}

#[test]
fn http_k10_headers_and_bodies_have_their_form() {
    let (verifier, _) = verifier();
    let good = signed(&secret(1), "msg_1", now());
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut without = good.clone();
        without.remove(name);
        assert_eq!(verifier.verify(&without, BODY).unwrap_err(), WebhookError::Missing(name));
        let mut twice = good.clone();
        twice.append(name, good[name].clone());
        assert_eq!(verifier.verify(&twice, BODY).unwrap_err(), WebhookError::Missing(name));
    }
    let at = now().timestamp().to_string();
    for (id, timestamp, name) in [
        ("", &*at, "webhook-id"),
        ("msg.1", &*at, "webhook-id"),
        (&*"x".repeat(256), &*at, "webhook-id"),
        ("m", "", "webhook-timestamp"),
        ("m", "soon", "webhook-timestamp"),
        ("m", &*format!("+{at}"), "webhook-timestamp"),
        ("m", &*format!("0{at}"), "webhook-timestamp"),
        ("m", "-1", "webhook-timestamp"),
        ("m", "99999999999999", "webhook-timestamp"),
    ] {
        let refused = verifier.verify(&headers(id, timestamp, "v1,AAAA"), BODY).unwrap_err();
        assert_eq!((refused, refused.status()), (WebhookError::Malformed(name), StatusCode::BAD_REQUEST), "{id}");
    }
    let small = verifier.body_bytes(BODY.len() - 1);
    assert_eq!(small.verify(&good, BODY).unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
}
