//! What is stored of an answer, and what is not: group E.

use std::{sync::Arc, time::Duration};

use annals::{
    ResponseStore, ScopedKey,
    http::{FailurePolicy, IdempotencyLayer, Reference, RenderAgain, Verdict},
};
use async_trait::async_trait;
use axum::{body::Body, response::IntoResponse as _};
use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};

use super::{
    app::{App, Ask, Call, created, layer, tenant},
    faults::{Fault, Faults},
    place::{Kind, Place, on_every_place},
};

on_every_place! {
    http_e01_success_and_redirection_are_stored
    http_e02_what_is_answered_before_the_handler_is_not_stored
    http_e03_the_domains_no_is_stored
    http_e04_the_domains_409_is_another_than_ours
    http_e04_another_services_in_flight_is_not_the_last_answer
    http_e05_what_has_not_happened_frees_the_key
    http_e05_a_claim_that_cannot_be_let_go_of_is_let_go_of_later
    http_e06_what_may_have_happened_keeps_its_lease
    http_e07_a_stored_failure_is_replayed
    http_e08_a_failure_is_carried_out_again
    http_e10_an_answer_that_is_too_large_is_never_made_again
    http_e11_a_stream_is_not_stored_and_not_made_again
    http_e12_an_answer_that_is_not_to_be_stored_frees_the_key
    http_e14_a_secret_is_made_again_instead_of_stored
}

/// An application that answers with the status that its body names, and says which call it was.
async fn of_status(place: &Place, has_begun: bool) -> App {
    App::new(layer(&place.process().await), move |call: Call| async move {
        if has_begun {
            call.request.as_ref().unwrap().begin();
        }
        let status: u16 = std::str::from_utf8(&call.body).unwrap().parse().unwrap();
        (StatusCode::from_u16(status).unwrap(), call.number.to_string())
    })
}

/// Whether an answer of this status is given again to a retry.
async fn is_replayed(app: &App, status: u16) -> bool {
    let ask = Ask::charge(&format!("status-{status}")).body(status.to_string());
    let first = app.send(ask.clone()).await;
    let second = app.send(ask).await;
    assert_eq!((first.status, second.status), (status, status));
    assert_eq!(first.body == second.body, second.is_replayed());
    second.is_replayed()
}

async fn http_e01_success_and_redirection_are_stored(kind: Kind) {
    let place = Place::new(kind).await;
    let app = of_status(&place, true).await;
    for status in [200, 201, 202, 203, 206, 226, 300, 301, 302, 303, 307, 308] {
        assert!(is_replayed(&app, status).await, "{status}");
    }
}

async fn http_e02_what_is_answered_before_the_handler_is_not_stored(kind: Kind) {
    let place = Place::new(kind).await;
    let elsewhere = Place::new(kind).await;
    let (before, after) = (of_status(&place, false).await, of_status(&elsewhere, true).await);
    for status in [400, 401, 403, 404, 405, 408, 411, 413, 415, 422, 425, 429, 431] {
        assert!(!is_replayed(&before, status).await, "{status} of what stands before the handler");
        let is_retryable = matches!(status, 408 | 425 | 429);
        assert_eq!(is_replayed(&after, status).await, !is_retryable, "{status} of the handler's own");
    }
}

async fn http_e03_the_domains_no_is_stored(kind: Kind) {
    let place = Place::new(kind).await;
    let elsewhere = Place::new(kind).await;
    for (app, app_has_begun) in [(of_status(&place, false).await, false), (of_status(&elsewhere, true).await, true)] {
        for status in [402, 404, 409, 410, 422] {
            // A handler that asks its request for nothing cannot be told from a router, which says 404, or an extractor.
            let is_anybodys = matches!(status, 404 | 422) && !app_has_begun;
            assert_eq!(is_replayed(&app, status).await, !is_anybodys, "{status}");
            // Whoever wants to try again makes a new key.
            let anew = app.send(Ask::charge(&format!("anew-{status}")).body(status.to_string())).await;
            assert!(!anew.is_replayed());
        }
    }
}

async fn http_e04_the_domains_409_is_another_than_ours(kind: Kind) {
    let place = Place::new(kind).await;
    let app = of_status(&place, true).await;
    let ask = Ask::charge("e-4").body("409");
    app.send(ask.clone()).await;
    let domain = app.send(ask).await;
    assert!(domain.is_replayed() && domain.header("retry-after").is_none());
    super::doomed::die_while_processing(&place, Ask::charge("e-4-ours"), |layer| layer).await;
    let ours = app.send(Ask::charge("e-4-ours")).await;
    assert_eq!((ours.status, ours.is_replayed()), (409, false));
    assert!(ours.json()["type"].as_str().unwrap().contains("in-flight"), "{}", ours.text());
}

async fn http_e05_what_has_not_happened_frees_the_key(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move {
        match call.number {
            1 => {
                let mut busy = (StatusCode::BAD_GATEWAY, "did not pick up").into_response();
                busy.extensions_mut().insert(Verdict::Retryable);
                busy
            }
            _ => created(&call).into_response(),
        }
    });
    assert_eq!(app.send(Ask::charge("e-5")).await.status, 502);
    // Another request may have the key as well: nothing has happened under it.
    let other = app.send(Ask::charge("e-5").json("{\"amount\":7}")).await;
    assert_eq!((other.status, other.text(), other.is_replayed()), (201, "charge 2", false));
}

async fn http_e04_another_services_in_flight_is_not_the_last_answer(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move {
        call.request.as_ref().unwrap().begin();
        match call.number {
            1 => (StatusCode::CONFLICT, [("x-should-retry", "true"), ("retry-after", "1")]).into_response(),
            _ => created(&call).into_response(),
        }
    });
    assert_eq!(app.send(Ask::charge("e-4")).await.status, 409);
    // Over there something is under way: the same request may ask again at once, and no other.
    assert_eq!(app.send(Ask::charge("e-4").json("{}")).await.status, 422);
    assert_eq!(app.send(Ask::charge("e-4")).await.text(), "charge 2");
}

async fn http_e05_a_claim_that_cannot_be_let_go_of_is_let_go_of_later(kind: Kind) {
    let place = Place::new(kind).await;
    let faults = Faults::new(place.process().await.responses);
    faults.plan("let go", Fault::NotSent, 2);
    let builder = IdempotencyLayer::builder(Arc::clone(&faults) as Arc<dyn ResponseStore>, tenant);
    let app = App::new(builder, |call| async move {
        match call.number {
            1 => StatusCode::TOO_MANY_REQUESTS.into_response(),
            _ => created(&call).into_response(),
        }
    });
    assert_eq!(app.send(Ask::charge("e-5")).await.status, 429);
    assert!(app.layer.drain(Duration::from_secs(30)).await);
    assert_eq!((faults.injected(), faults.asked("let go")), (2, 3));
    assert_eq!(app.send(Ask::charge("e-5")).await.status, 201);
}

async fn http_e06_what_may_have_happened_keeps_its_lease(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move {
        call.request.unwrap().begin();
        let mut unknown = (StatusCode::GATEWAY_TIMEOUT, "the bank did not answer").into_response();
        unknown.extensions_mut().insert(Verdict::Unknown);
        unknown
    });
    let first = app.send(Ask::charge("e-6")).await;
    assert_eq!(first.status, 504);
    assert!((50..=60).contains(&first.retry_after().unwrap()));
    for _ in 0..3 {
        assert_eq!(app.send(Ask::charge("e-6")).await.status, 409);
        assert_eq!(app.send(Ask::charge("e-6").json("{}")).await.status, 422, "nor is it free for another request");
    }
    assert_eq!(app.calls(), 1);
}

async fn http_e07_a_stored_failure_is_replayed(kind: Kind) {
    let place = Place::new(kind).await;
    let store_all = layer(&place.process().await).failure_policy(FailurePolicy::StoreAll);
    let app = App::new(store_all, |call| async move {
        assert_ne!(call.body, "panic", "as it was told to");
        (StatusCode::INTERNAL_SERVER_ERROR, format!("failure {}", call.number))
    });
    for (key, body) in [("e-7", "fail"), ("e-7-panic", "panic")] {
        let first = app.send(Ask::charge(key).body(body)).await;
        let again = app.send(Ask::charge(key).body(body)).await;
        assert_eq!((first.status, first.is_replayed()), (500, false));
        assert_eq!((again.status, again.is_replayed()), (500, true));
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("stripe-should-retry"), Some("false"));
        assert_eq!(again.header("x-should-retry"), Some("false"));
    }
    assert_eq!(app.calls(), 2);
}

async fn http_e08_a_failure_is_carried_out_again(kind: Kind) {
    let (place, clock) = Place::with_clock(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move {
        match call.number {
            1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            _ => call.request.unwrap().attempt().to_string().into_response(),
        }
    });
    assert_eq!(app.send(Ask::charge("e-8")).await.status, 500);
    assert_eq!(app.send(Ask::charge("e-8")).await.status, 409);
    clock.advance(Duration::from_secs(60));
    let got = app.send(Ask::charge("e-8")).await;
    assert_eq!((got.status, got.text(), got.is_replayed()), (200, "2", false));
}

async fn http_e10_an_answer_that_is_too_large_is_never_made_again(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await).response_bytes(1_000), |call| async move {
        let bytes = std::str::from_utf8(&call.body).unwrap().parse().unwrap();
        (StatusCode::CREATED, "x".repeat(bytes))
    });
    let fits = Ask::charge("e-10-fits").body("1000");
    app.send(fits.clone()).await;
    assert!(app.send(fits).await.is_replayed());
    let ask = Ask::charge("e-10").body("1001");
    let first = app.send(ask.clone()).await;
    assert_eq!((first.status, first.body.len()), (201, 1_001), "the first client gets it all");
    for _ in 0..2 {
        let again = app.send(ask.clone()).await;
        assert!(again.json()["type"].as_str().unwrap().contains("answer-not-kept"), "{}", again.text());
        assert_eq!(again.header("x-should-retry"), Some("false"));
    }
    assert_eq!(app.calls(), 2);
}

async fn http_e11_a_stream_is_not_stored_and_not_made_again(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |_| async {
        let parts = stream::iter((0..3).map(|part| Ok::<_, std::io::Error>(Bytes::from(format!("data: {part}\n\n")))));
        ([("content-type", "text/event-stream")], Body::from_stream(parts))
    });
    let first = app.send(Ask::charge("e-11")).await;
    assert_eq!((first.status, first.text()), (200, "data: 0\n\ndata: 1\n\ndata: 2\n\n"));
    let again = app.send(Ask::charge("e-11")).await;
    assert!(again.json()["type"].as_str().unwrap().contains("answer-not-kept"), "{}", again.text());
    assert_eq!(app.calls(), 1);
}

async fn http_e12_an_answer_that_is_not_to_be_stored_frees_the_key(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move {
        let mut response = created(&call).into_response();
        response.extensions_mut().insert(Verdict::NotStored);
        response
    });
    for number in ["charge 1", "charge 2"] {
        let got = app.send(Ask::charge("e-12")).await;
        assert_eq!((got.status, got.text(), got.is_replayed()), (201, number, false));
    }
}

/// Issues tokens anew.
#[derive(Debug)]
struct Tokens;

#[async_trait]
impl RenderAgain for Tokens {
    async fn render(&self, key: &ScopedKey, reference: &str) -> Response<Body> {
        (StatusCode::CREATED, format!("a fresh secret for {reference} of {}", key.scope.principal())).into_response()
    }
}

async fn http_e14_a_secret_is_made_again_instead_of_stored(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let app = App::new(layer(&process).render_again(Tokens), |_| async {
        let mut response = (StatusCode::CREATED, "hunter2").into_response();
        response.extensions_mut().insert(Reference(Arc::from("token-7")));
        response
    });
    assert_eq!(app.send(Ask::charge("e-14")).await.text(), "hunter2");
    let again = app.send(Ask::charge("e-14")).await;
    assert_eq!((again.status, again.text()), (201, "a fresh secret for token-7 of tenant"));
    assert!(again.is_replayed());
    assert_eq!(app.calls(), 1);
    let found = format!(
        "{:?}",
        process.responses.list_responses(&annals::store::ResponseQuery { limit: 1, ..Default::default() }).await
    );
    assert!(!found.contains("hunter2"));
}
