//! Refunds: commands on the charge.

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::json;

use super::service::{OPENING, Post, Service};

/// A charge of 2000, by its id.
async fn charged(service: &Service) -> String {
    let charge = service.made(Post::charge("charge", "amount=2000&currency=eur")).await;
    charge["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_charge_is_refunded_in_parts() {
    let service = Service::new().await;
    let charge = charged(&service).await;
    let body = format!("charge={charge}&amount=500&metadata[reason]=late");
    let made = service.post(Post::refund("one", body)).await;
    assert_eq!((made.status, made.header("etag")), (StatusCode::CREATED, Some("\"2\"")));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("re_"), "{id}");
    let expected = json!({
        "id": id, "object": "refund", "amount": 500, "currency": "eur", "status": "succeeded", "created": OPENING,
        "charge": charge, "metadata": { "reason": "late" },
    });
    assert_eq!(made.json(), expected);
    let rest = service.made(Post::refund("two", format!("charge={charge}"))).await;
    assert_eq!(rest["amount"], 1500, "without an amount: all that is left");
    let shown = service.get(&format!("/v1/charges/{charge}")).await;
    assert_eq!((&shown.json()["amount_refunded"], shown.header("etag")), (&json!(2000), Some("\"3\"")));
}

#[tokio::test]
async fn refunds_at_once_never_come_to_more_than_was_charged() {
    let service = Service::new().await;
    let charge = charged(&service).await;
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let answers = join_all(keys.map(|key| {
        let body = format!("charge={charge}&amount=300");
        service.post(Post::refund(key, body))
    }));
    let answers = answers.await;
    let made = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let refused = answers.iter().filter(|answer| answer.status == StatusCode::UNPROCESSABLE_ENTITY).count();
    assert_eq!((made, refused), (6, 4));
    assert_eq!(service.get(&format!("/v1/charges/{charge}")).await.json()["amount_refunded"], 1800);
}

#[tokio::test]
async fn a_refund_of_nothing_is_refused() {
    let service = Service::with(&["--errors", "stripe"]).await;
    let charge = charged(&service).await;
    let none = "ch_00000000000000000000000000000001";
    let intent = service.made(Post::form("/v1/payment_intents", "pi", "amount=1&currency=eur")).await;
    let intent = intent["id"].as_str().unwrap().replace("pi_", "ch_");
    let of = |key, charge: &str, amount: u32| Post::refund(key, format!("charge={charge}&amount={amount}"));
    let cases = [
        (of("none", none, 1), StatusCode::NOT_FOUND, "resource_missing", "charge"),
        (of("intent", &intent, 1), StatusCode::NOT_FOUND, "resource_missing", "charge"),
        (Post { token: "sk_test_2", ..of("theirs", &charge, 1) }, StatusCode::NOT_FOUND, "resource_missing", "charge"),
        (of("more", &charge, 2001), StatusCode::BAD_REQUEST, "amount_too_large", "amount"),
        (Post::refund("all", format!("charge={charge}")), StatusCode::CREATED, "", ""),
        (of("again", &charge, 1), StatusCode::BAD_REQUEST, "charge_already_refunded", "charge"),
        (of("id", "ch_1", 1), StatusCode::BAD_REQUEST, "parameter_invalid", "charge"),
    ];
    for (post, status, code, param) in cases {
        let answer = service.post(post.clone()).await;
        assert_eq!(answer.status, status, "{}: {}", post.key, answer.body);
        if status != StatusCode::CREATED {
            let error = &answer.json()["error"];
            assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)), "{}", post.key);
            assert_eq!(error["type"], "invalid_request_error");
        }
    }
    assert_eq!(service.events().await, ["charge-created", "payment-intent-created", "charge-refunded"]);
}

#[tokio::test]
async fn if_match_names_the_version_that_is_refunded() {
    let service = Service::new().await;
    let charge = charged(&service).await;
    let refund = |version, key| {
        let body = format!("charge={charge}&amount=500");
        Post { if_match: Some(version), ..Post::refund(key, body) }
    };
    service.made(refund("\"1\"", "one")).await;
    let late = service.post(refund("\"1\"", "two")).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{}", late.body);
    assert_eq!(late.json()["type"], "urn:annals:problem:conflict");
    // The key was not used up: who has read the charge again asks again under it.
    service.made(refund("\"2\"", "two")).await;
    assert!(service.post(refund("\"2\"", "two")).await.is_replay());
    service.made(refund("*", "three")).await;
    assert_eq!(service.post(refund("2", "four")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(service.events().await.len(), 4);
}
