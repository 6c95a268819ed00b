//! Whose keys they are: group G.

use std::{sync::Arc, time::Duration};

use annals::http::IdempotencyLayer;
use axum::{Router, middleware};
use http::{Method, StatusCode};

use super::{
    app::{App, Ask, created, layer, tally, tenant},
    place::{Kind, Place, on_every_place},
};

on_every_place! {
    http_g01_two_tenants_never_meet_in_one_key
    http_g02_without_a_scope_nothing_is_carried_out
    http_g03_a_new_token_of_the_same_principal_is_the_same_scope
    http_g04_who_lost_a_permission_gets_no_replay
    http_g05_a_key_at_two_endpoints
    http_g09_an_unknown_key_is_looked_up_like_a_known_one
}

mod by_the_clock {
    use super::{super::place::on_every_database, Kind, http_g07_a_client_that_invents_keys_is_stopped};

    on_every_database! {
        http_g07_a_client_that_invents_keys_is_stopped
    }
}

async fn http_g01_two_tenants_never_meet_in_one_key(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    let (one, other) = (Ask::charge("g-1").tenant("one"), Ask::charge("g-1").tenant("other"));
    assert_eq!(app.send(one.clone()).await.text(), "charge 1");
    let got = app.send(other.clone()).await;
    assert_eq!((got.text(), got.is_replayed()), ("charge 2", false));
    assert_eq!(app.send(one).await.text(), "charge 1");
    assert_eq!(app.send(other).await.text(), "charge 2");
    // Nor do they meet where one name ends as the other begins, or in case.
    for (number, (name, key)) in [("ab", "c"), ("a", "bc"), ("Ab", "c")].into_iter().enumerate() {
        let got = app.send(Ask::charge(key).tenant(name)).await;
        assert_eq!(got.text(), format!("charge {}", number + 3));
    }
}

async fn http_g02_without_a_scope_nothing_is_carried_out(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    for ask in [
        Ask::charge("g-2").without("x-tenant").header("authorization", "Bearer of nobody known"),
        Ask::charge("g-2").without("x-tenant"),
        Ask::charge("g-2").tenant(""),
    ] {
        let got = app.send(ask).await;
        assert_eq!((got.status, app.calls()), (401, 0));
        assert!(got.json()["type"].as_str().unwrap().contains("no-scope"));
    }
    assert_eq!(app.send(Ask::charge("g-2")).await.text(), "charge 1");
}

async fn http_g03_a_new_token_of_the_same_principal_is_the_same_scope(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    app.send(Ask::charge("g-3").header("authorization", "Bearer old")).await;
    let got = app.send(Ask::charge("g-3").header("authorization", "Bearer new")).await;
    assert_eq!((got.text(), got.is_replayed()), ("charge 1", true));
}

async fn http_g04_who_lost_a_permission_gets_no_replay(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::within(
        layer(&place.process().await),
        |call| async move { created(&call) },
        |router: Router| {
            router.layer(middleware::from_fn(|request: axum::extract::Request, next: middleware::Next| async move {
                match request.headers().contains_key("x-revoked") {
                    true => Err(StatusCode::FORBIDDEN),
                    false => Ok(next.run(request).await),
                }
            }))
        },
    );
    assert_eq!(app.send(Ask::charge("g-4")).await.status, 201);
    let revoked = app.send(Ask::charge("g-4").header("x-revoked", "1")).await;
    assert_eq!((revoked.status, revoked.is_replayed(), revoked.body.len()), (403, false, 0));
    assert!(app.send(Ask::charge("g-4")).await.is_replayed());
}

async fn http_g05_a_key_at_two_endpoints(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let refund = || Ask::post("/v1/refunds").header("idempotency-key", "g-5").json("{\"amount\":100}");
    let of_principal = App::new(layer(&process), |call| async move { created(&call) });
    of_principal.send(Ask::charge("g-5")).await;
    assert_eq!(of_principal.send(refund()).await.status, 422);
    let of_endpoint = App::new(layer(&process).per_endpoint(), |call| async move { created(&call) });
    assert_eq!(of_endpoint.send(Ask::charge("g-5")).await.text(), "charge 1");
    assert_eq!(of_endpoint.send(refund()).await.text(), "charge 2");
    assert!(of_endpoint.send(Ask::charge("g-5")).await.is_replayed());
    assert!(of_endpoint.send(refund()).await.is_replayed());
}

async fn http_g07_a_client_that_invents_keys_is_stopped(kind: Kind) {
    let (place, clock) = Place::with_clock(kind).await;
    let app = App::new(layer(&place.process().await).keys_per_scope(20), |call| async move { created(&call) });
    let mut answers = Vec::new();
    for number in 0..50 {
        answers.push(app.send(Ask::charge(&format!("g-7-{number}"))).await);
    }
    assert_eq!(tally(&answers), [((201, false), 20), ((429, false), 30)].into());
    assert!(answers[49].retry_after().unwrap() >= 1);
    // Neither the keys it has nor other tenants suffer from it.
    assert!(app.send(Ask::charge("g-7-3")).await.is_replayed());
    assert_eq!(app.send(Ask::charge("g-7").tenant("other")).await.status, 201);
    // Who is not known fills nothing.
    assert_eq!(app.send(Ask::charge("g-7").without("x-tenant")).await.status, 401);
    // What has expired counts until it is swept, or used anew.
    clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(app.send(Ask::charge("g-7-3")).await.text(), "charge 22");
}

/// What another tenant has under a key changes nothing of what one is answered.
async fn http_g09_an_unknown_key_is_looked_up_like_a_known_one(kind: Kind) {
    let place = Place::new(kind).await;
    let faults = super::faults::Faults::new(place.process().await.responses);
    let builder = IdempotencyLayer::builder(Arc::clone(&faults) as Arc<dyn annals::ResponseStore>, tenant);
    let app = App::new(builder, |_| async { "done" });
    app.send(Ask::charge("g-9").tenant("other")).await;
    let before = faults.calls();
    let taken_elsewhere = app.send(Ask::charge("g-9")).await;
    let asked = faults.calls() - before;
    let unknown = app.send(Ask::charge("g-9-unknown")).await;
    assert_eq!(faults.calls() - before, 2 * asked, "the same number of questions");
    assert_eq!((taken_elsewhere.status, &taken_elsewhere.body), (unknown.status, &unknown.body));
    assert_eq!(taken_elsewhere.headers, unknown.headers);
}

#[test]
fn http_g08_keys_and_bodies_are_not_shown() {
    use annals::{IdempotencyKey, Scope, ScopedKey, store::StoredBody, store::StoredRequest, store::StoredResponse};
    let key = ScopedKey::new(Scope::new("tenant-secret").unwrap(), IdempotencyKey::new("key-secret").unwrap());
    let response = StoredResponse {
        status: 200,
        headers: vec![("x-secret".to_owned(), Arc::from(*b"header-secret"))],
        body: StoredBody::Whole(Arc::from(*b"body-secret")),
    };
    let request = StoredRequest {
        method: Method::POST.as_str().to_owned(),
        uri: "/secret".to_owned(),
        headers: Vec::new(),
        body: Arc::from(*b"request-secret"),
    };
    let shown = format!("{key:?} {response:?} {request:?}");
    assert!(!shown.contains("secret"), "{shown}");
}
