//! The same request again: what is stored, and what is made anew once that is forgotten.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use serde_json::json;

use super::service::{Post, Service};

const CHARGE: &str = "amount=2000&currency=eur&metadata[order]=42";

#[tokio::test]
async fn a_retry_gets_the_first_answer() {
    let service = Service::new().await;
    for (path, event) in [("/v1/charges", "charge-created"), ("/v1/payment_intents", "payment-intent-created")] {
        let post = Post::form(path, path.rsplit('/').next().unwrap(), CHARGE);
        let first = service.post(post.clone()).await;
        service.move_on(Duration::from_secs(3));
        let again = service.post(post).await;
        assert_eq!((again.status, again.is_replay(), first.is_replay()), (StatusCode::CREATED, true, false));
        assert_eq!(again.body, first.body);
        for name in ["etag", "location", "content-type"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        assert_eq!(service.events().await.iter().filter(|found| *found == event).count(), 1);
    }
}

#[tokio::test]
async fn a_forgotten_answer_is_made_anew_byte_by_byte() {
    let service = Service::new().await;
    let first = service.post(Post::charge("one", CHARGE)).await;
    let refund = format!("charge={}&amount=500", first.json()["id"].as_str().unwrap());
    let refunded = service.post(Post::refund("two", refund.clone())).await;
    service.made(Post::refund("three", refund.clone())).await;
    service.forget_answers();

    let again = service.post(Post::charge("one", CHARGE)).await;
    assert!(!again.is_replay(), "nothing is stored any more: the handler has run");
    assert_eq!((again.status, &again.body), (first.status, &first.body), "as it was then, without its refunds");
    assert_eq!(again.header("etag"), Some("\"1\""));
    let again = service.post(Post::refund("two", refund)).await;
    assert_eq!((again.status, &again.body), (refunded.status, &refunded.body));
    assert_eq!(service.events().await, ["charge-created", "charge-refunded", "charge-refunded"]);
}

#[tokio::test]
async fn a_key_is_for_one_request_also_after_its_answer_is_forgotten() {
    for (style, status) in [("ietf", StatusCode::UNPROCESSABLE_ENTITY), ("stripe", StatusCode::BAD_REQUEST)] {
        let service = Service::with(&["--errors", style]).await;
        let first = service.post(Post::charge("one", CHARGE)).await;
        let other = Post::charge("one", "amount=2001&currency=eur");
        for is_forgotten in [false, true] {
            if is_forgotten {
                service.forget_answers();
            }
            let reused = service.post(other.clone()).await;
            assert_eq!(reused.status, status, "{}", reused.body);
            if style == "stripe" {
                assert_eq!(reused.json()["error"]["type"], "idempotency_error");
            }
            let again = service.post(Post::charge("one", CHARGE)).await;
            assert_eq!(
                (again.status, again.body),
                (first.status, first.body.clone()),
                "the right one is in nobody's way"
            );
        }
        assert_eq!(service.events().await, ["charge-created"]);
    }
}

#[tokio::test]
async fn a_declined_card_stays_declined() {
    for style in ["ietf", "stripe"] {
        let service = Service::with(&["--errors", style]).await;
        let post = Post::charge("one", format!("{CHARGE}&metadata[fail]=decline"));
        let first = service.post(post.clone()).await;
        assert_eq!(first.status, StatusCode::PAYMENT_REQUIRED, "{}", first.body);
        let json = first.json();
        if style == "stripe" {
            assert_eq!(
                (&json["error"]["type"], &json["error"]["code"]),
                (&json!("card_error"), &json!("card_declined"))
            );
        } else {
            assert_eq!(json["type"], "urn:payments:problem:card-declined");
        }
        let again = service.post(post.clone()).await;
        assert_eq!((again.status, again.is_replay(), &again.body), (first.status, true, &first.body));
        service.forget_answers();
        let anew = service.post(post).await;
        assert_eq!((anew.status, anew.is_replay(), &anew.body), (first.status, false, &first.body));
        assert_eq!(service.events().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_request_that_is_under_way_is_not_begun_again() {
    let service = Arc::new(Service::new().await);
    let post = Post::charge("one", "amount=1&currency=eur&metadata[delay_ms]=60000");
    let first = tokio::spawn({
        let (service, post) = (Arc::clone(&service), post.clone());
        async move { service.post(post).await }
    });
    service.until_claimed("one").await;
    let again = service.post(post).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.body);
    assert!(again.header("retry-after").is_some(), "{:?}", again.headers);
    let other = service.post(Post::charge("one", "amount=2&currency=eur")).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "another request is never told to come again");
    first.abort();
}
