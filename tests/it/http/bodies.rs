//! Keys and fingerprints, as they work through the layer: what of groups A and B needs a request.

use std::{io, sync::Arc};

use annals::{
    ResponseStore,
    http::{IdempotencyLayer, IdempotentRequest, KeySource},
    store::ResponseQuery,
};
use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use tower::ServiceExt as _;
use tower_http::decompression::RequestDecompressionLayer;

use super::{
    app::{App, Ask, Gate, Got, created, layer, tenant},
    faults::Faults,
    place::{Kind, Place, Process, on_every_place},
};

on_every_place! {
    http_a01_a_required_key_that_is_missing_is_refused
    http_a02_without_an_optional_key_nothing_is_stored
    http_a03_keys_of_safe_methods_are_passed_over
    http_a04_put_and_delete_are_protected_where_asked_for
    http_a05_quoted_and_bare_are_one_key
    http_a14_keys_are_told_apart_by_case
    http_a18_the_key_in_the_body_does_not_count
    http_b01_another_body_under_a_finished_key_is_refused
    http_b02_another_body_under_a_running_key_is_refused_first
    http_b12_one_handler_under_two_prefixes_has_two_requests
    http_b14_headers_that_are_not_listed_do_not_count
    http_b17_inside_decompression_the_decoded_body_counts
    http_a02_a_layer_within_a_layer_lets_the_request_through
    http_b18_a_body_that_is_too_large_is_refused_before_anything
    http_b19_a_client_that_breaks_off_claims_nothing
    http_b20_what_is_left_out_may_change
}

/// How many rows there are.
async fn rows(process: &Process) -> usize {
    process.responses.list_responses(&ResponseQuery { limit: 100, ..ResponseQuery::default() }).await.unwrap().len()
}

async fn http_a01_a_required_key_that_is_missing_is_refused(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    let got = app.send(Ask::post("/v1/charges").json("{}")).await;
    assert_eq!((got.status, got.header("content-type"), app.calls()), (400, Some("application/problem+json"), 0));
    assert_eq!(got.header("link"), Some("</idempotency>; rel=\"describedby\""));
    assert!(got.json()["type"].as_str().unwrap().ends_with("missing-key"), "{}", got.text());
}

async fn http_a02_without_an_optional_key_nothing_is_stored(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let app = App::new(layer(&process).required(false), |call| async move {
        assert!(call.request.is_none());
        created(&call)
    });
    for number in ["charge 1", "charge 2"] {
        // Whoever sends no key needs no scope either.
        let got = app.send(Ask::post("/v1/charges").json("{}").without("x-tenant")).await;
        assert_eq!((got.status, got.text(), got.header("idempotent-replayed")), (201, number, None));
    }
    assert_eq!(rows(&process).await, 0);
    // A key that is there is no longer optional: broken, it is refused.
    assert_eq!(app.send(Ask::post("/v1/charges").header("idempotency-key", "")).await.status, 400);
}

async fn http_a02_a_layer_within_a_layer_lets_the_request_through(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let layer = layer(&process).build().unwrap();
    let outer = layer.clone();
    let app =
        App::within(super::app::layer(&process), |call| async move { created(&call) }, |router| router.layer(outer));
    assert_eq!(app.send(Ask::charge("a-2")).await.text(), "charge 1");
    assert!(app.send(Ask::charge("a-2")).await.is_replayed());
    // Nor is a body read for a key that no body of its kind can hold.
    let in_bodies = super::app::layer(&process).required(false).request_bytes(10);
    let optional =
        App::new(
            in_bodies.key_sources([KeySource::json_member("idempotency_key")]),
            |call| async move { created(&call) },
        );
    let large = Ask::post("/v1/files").header("content-type", "application/octet-stream").body(vec![0; 100]);
    assert_eq!(optional.send(large.without("x-tenant")).await.status, 201);
}

async fn http_a03_keys_of_safe_methods_are_passed_over(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let app = App::new(layer(&process), |call| async move { call.number.to_string() });
    for (number, method) in [Method::GET, Method::GET, Method::HEAD, Method::OPTIONS].into_iter().enumerate() {
        app.send(Ask::new(method, "/v1/charges").header("idempotency-key", "a-3")).await;
        assert_eq!(app.calls(), number + 1);
    }
    assert_eq!(rows(&process).await, 0);
}

async fn http_a04_put_and_delete_are_protected_where_asked_for(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let ask = |method| Ask::new(method, "/v1/charges/1").header("idempotency-key", "a-4");
    let not = App::new(layer(&process), |call| async move { call.number.to_string() });
    let opted_in =
        App::new(
            layer(&process).methods([Method::POST, Method::DELETE]),
            |call| async move { call.number.to_string() },
        );
    for method in [Method::PUT, Method::DELETE] {
        not.send(ask(method.clone())).await;
        assert!(!not.send(ask(method)).await.is_replayed());
    }
    opted_in.send(ask(Method::DELETE)).await;
    let again = opted_in.send(ask(Method::DELETE)).await;
    assert_eq!((again.text(), again.is_replayed()), ("1", true));
}

async fn http_a05_quoted_and_bare_are_one_key(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    app.send(Ask::charge("\"a-5\"")).await;
    for same in ["a-5", "\"a-5\";v=1", "  a-5  "] {
        assert!(app.send(Ask::charge(same)).await.is_replayed(), "{same}");
    }
    assert_eq!(app.calls(), 1);
}

async fn http_a14_keys_are_told_apart_by_case(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    for key in ["a-14", "A-14", "a-14-Ä".trim_end_matches("-Ä")] {
        app.send(Ask::charge(key)).await;
    }
    assert_eq!(app.calls(), 2);
}

async fn http_a18_the_key_in_the_body_does_not_count(kind: Kind) {
    let place = Place::new(kind).await;
    let sources = [KeySource::header("idempotency-key"), KeySource::json_member("idempotency_key")];
    let app = App::new(layer(&place.process().await).key_sources(sources), |call| async move { created(&call) });
    let in_body = Ask::post("/v1/charges").json("{\"amount\":100,\"idempotency_key\":\"a-18\"}");
    assert_eq!(app.send(in_body.clone()).await.text(), "charge 1");
    assert!(app.send(in_body).await.is_replayed());
    // The same request, with its key in the header.
    assert!(app.send(Ask::charge("a-18")).await.is_replayed());
    assert_eq!(app.send(Ask::post("/v1/charges").json("{\"amount\":100}")).await.status, 400);
    assert_eq!(app.calls(), 1);
}

async fn http_b01_another_body_under_a_finished_key_is_refused(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    app.send(Ask::charge("b-1")).await;
    let other = app.send(Ask::charge("b-1").json("{\"amount\":101}")).await;
    assert_eq!((other.status, other.header("x-should-retry")), (422, Some("false")));
    assert!(other.json()["type"].as_str().unwrap().ends_with("key-reused"));
    // What was stored is what it was.
    let right = app.send(Ask::charge("b-1").json("{ \"amount\" : 100 }")).await;
    assert_eq!((right.text(), right.is_replayed(), app.calls()), ("charge 1", true, 1));
}

async fn http_b02_another_body_under_a_running_key_is_refused_first(kind: Kind) {
    let place = Place::new(kind).await;
    let gate = Gate::shut();
    let at = gate.clone();
    let app = App::new(layer(&place.process().await), move |call| {
        let gate = at.clone();
        async move {
            gate.pass().await;
            created(&call)
        }
    });
    let first = app.spawn(Ask::charge("b-2"));
    gate.come(1).await;
    let elsewhere = App::new(layer(&place.process().await), |call| async move { created(&call) });
    for app in [&app, &elsewhere] {
        assert_eq!(app.send(Ask::charge("b-2").json("{\"amount\":101}")).await.status, 422);
        assert_eq!(app.send(Ask::charge("b-2")).await.status, 409);
    }
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 201);
}

async fn http_b12_one_handler_under_two_prefixes_has_two_requests(kind: Kind) {
    let place = Place::new(kind).await;
    let layer = layer(&place.process().await).build().unwrap();
    let handler = Router::new()
        .route("/charges", post(|request: IdempotentRequest| async move { request.fingerprint().as_bytes().to_vec() }))
        .layer(layer);
    let app = Router::new().nest("/a", handler.clone()).nest("/b", handler);
    let send = |uri: &'static str| {
        let ask = Ask::post(uri).header("idempotency-key", "b-12").json("{}");
        let app = app.clone();
        async move { Got::read(app.oneshot(ask.into_request()).await.unwrap()).await }
    };
    assert_eq!(send("/a/charges").await.status, 200);
    assert_eq!(send("/b/charges").await.status, 422, "not a replay of what was done under another path");
    assert!(send("/a/charges").await.is_replayed());
}

async fn http_b14_headers_that_are_not_listed_do_not_count(kind: Kind) {
    let place = Place::new(kind).await;
    let builder = layer(&place.process().await).fingerprint_headers(["stripe-version", "stripe-account"]);
    let app = App::new(builder, |call| async move { created(&call) });
    let listed = || Ask::charge("b-14").header("stripe-version", "2026-01-01");
    app.send(listed()).await;
    let others = ["x-stainless-retry-count", "traceparent", "date", "user-agent", "authorization", "x-forwarded-for"];
    for name in others {
        assert!(app.send(listed().header(name, "changed")).await.is_replayed(), "{name}");
    }
    for (name, value) in [("stripe-version", "2026-02-01"), ("stripe-account", "acct_2")] {
        assert_eq!(app.send(Ask::charge("b-14").header(name, value)).await.status, 422);
    }
    assert_eq!(app.send(Ask::charge("b-14")).await.status, 422, "missing is not the same as there");
}

async fn http_b17_inside_decompression_the_decoded_body_counts(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::within(
        layer(&place.process().await),
        |call| async move { call.body },
        |router: Router| router.layer(RequestDecompressionLayer::new()),
    );
    let plain = "{\"amount\":100}";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    io::Write::write_all(&mut packed, plain.as_bytes()).unwrap();
    let packed = Ask::charge("b-17").body(packed.finish().unwrap()).header("content-encoding", "gzip");
    assert_eq!(app.send(packed).await.text(), plain);
    let again = app.send(Ask::charge("b-17")).await;
    assert_eq!((again.text(), again.is_replayed()), (plain, true));
}

async fn http_b18_a_body_that_is_too_large_is_refused_before_anything(kind: Kind) {
    let place = Place::new(kind).await;
    let faults = Faults::new(place.process().await.responses);
    let builder = IdempotencyLayer::builder(Arc::clone(&faults) as Arc<dyn ResponseStore>, tenant);
    let app = App::new(builder.request_bytes(1_000), |call| async move { created(&call) });
    let announced = Ask::charge("b-18").body(vec![b' '; 1_001]).header("content-length", "1001");
    for ask in [announced, Ask::charge("b-18").body(vec![b' '; 1_001])] {
        let got = app.send(ask).await;
        assert_eq!((got.status, app.calls(), faults.calls()), (413, 0, 0));
    }
    assert_eq!(app.send(Ask::charge("b-18").body(vec![b' '; 1_000])).await.status, 201, "the key is free");
}

async fn http_b19_a_client_that_breaks_off_claims_nothing(kind: Kind) {
    let place = Place::new(kind).await;
    let faults = Faults::new(place.process().await.responses);
    let layer = IdempotencyLayer::builder(Arc::clone(&faults) as Arc<dyn ResponseStore>, tenant).build().unwrap();
    let app = Router::new().route("/v1/charges", post(|| async { "charged" })).layer(layer);
    let parts = [Ok(Bytes::from("{\"amo")), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
    let mut request: Request<Body> = Ask::charge("b-19").into_request();
    *request.body_mut() = Body::from_stream(stream::iter(parts));
    let got = Got::read(app.oneshot(request).await.unwrap()).await;
    assert_eq!((got.status, faults.calls()), (400, 0));
}

async fn http_b20_what_is_left_out_may_change(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await).leave_out(["/sent_at"]), |call| async move { created(&call) });
    app.send(Ask::charge("b-20").json("{\"amount\":100,\"sent_at\":1}")).await;
    assert!(app.send(Ask::charge("b-20").json("{\"sent_at\":2,\"amount\":100}")).await.is_replayed());
    assert_eq!(app.send(Ask::charge("b-20").json("{\"amount\":101,\"sent_at\":1}")).await.status, 422);
}
