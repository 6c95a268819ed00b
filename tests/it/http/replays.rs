//! What a replayed answer looks like: group F.

use std::sync::Arc;

use annals::{
    ScopedKey,
    http::{EXPOSED_HEADERS, Reference, RenderAgain},
};
use async_trait::async_trait;
use axum::{Router, body::Body, response::IntoResponse as _};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tower_http::{
    compression::CompressionLayer,
    cors::{Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

use super::{
    app::{App, Ask, Got, created, layer},
    place::{Kind, Place, on_every_place},
};

on_every_place! {
    http_f01_headers_of_a_connection_or_a_moment_are_not_stored
    http_f02_headers_of_one_client_are_not_stored
    http_f03_repeated_headers_come_back_in_order
    http_f05_what_describes_the_answer_comes_back
    http_f06_the_identity_is_stored_inside_compression
    http_f07_the_length_is_counted_anew
    http_f08_a_replay_has_its_own_request_id
    http_f09_an_empty_answer_stays_empty
    http_f10_a_replay_shows_what_was_unless_told_otherwise
    http_f11_scripts_in_a_browser_may_read_the_mark
    http_f12_cache_control_stays_as_it_was
}

/// The first answer with these headers, and its replay.
async fn twice(
    kind: Kind,
    status: StatusCode,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
) -> [Got; 2] {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), move |_| async move {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        (status, map, body)
    });
    let both = [app.send(Ask::charge("f")).await, app.send(Ask::charge("f")).await];
    assert!(both[1].is_replayed());
    both
}

async fn http_f01_headers_of_a_connection_or_a_moment_are_not_stored(kind: Kind) {
    let sent = &[
        ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ("server", "one of many"),
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "Basic"),
        ("proxy-connection", "close"),
        ("x-hop", "for this connection"),
        ("x-kept", "for all"),
    ];
    let [first, again] = twice(kind, StatusCode::OK, sent, "done").await;
    for (name, value) in sent {
        assert_eq!(first.header(name), Some(*value), "the first answer is the handler's");
        assert_eq!(again.header(name), (*name == "x-kept").then_some(*value), "{name}");
    }
}

async fn http_f02_headers_of_one_client_are_not_stored(kind: Kind) {
    let sent = &[
        ("set-cookie", "session=1"),
        ("www-authenticate", "Bearer"),
        ("authorization", "Bearer secret"),
        ("x-csrf-token", "secret"),
        ("x-xsrf-token", "secret"),
    ];
    let [_, again] = twice(kind, StatusCode::OK, sent, "done").await;
    for (name, _) in sent {
        assert_eq!(again.header(name), None, "{name}");
    }
}

async fn http_f03_repeated_headers_come_back_in_order(kind: Kind) {
    let sent = &[("link", "</1>; rel=next"), ("x-between", "1"), ("link", "</2>; rel=prev")];
    let [first, again] = twice(kind, StatusCode::OK, sent, "done").await;
    for got in [first, again] {
        let links: Vec<_> = got.headers.get_all("link").iter().collect();
        assert_eq!(links, ["</1>; rel=next", "</2>; rel=prev"]);
    }
}

async fn http_f05_what_describes_the_answer_comes_back(kind: Kind) {
    let sent = &[
        ("location", "/v1/charges/ch_1"),
        ("etag", "\"1\""),
        ("content-type", "application/json"),
        ("content-language", "de"),
    ];
    let [_, again] = twice(kind, StatusCode::CREATED, sent, "{}").await;
    assert_eq!((again.status, again.text()), (201, "{}"));
    for (name, value) in sent {
        assert_eq!(again.header(name), Some(*value));
    }
    // Bytes that are no text are kept as well.
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |_| async {
        [(HeaderName::from_static("x-opaque"), HeaderValue::from_bytes(b"caf\xe9 \xff").unwrap())]
    });
    app.send(Ask::charge("f-5")).await;
    assert_eq!(app.send(Ask::charge("f-5")).await.headers["x-opaque"].as_bytes(), b"caf\xe9 \xff");
}

async fn http_f06_the_identity_is_stored_inside_compression(kind: Kind) {
    let place = Place::new(kind).await;
    let text = "the same words again and again, ".repeat(100);
    let sent = text.clone();
    let app = App::within(
        layer(&place.process().await),
        move |_| {
            let body = sent.clone();
            async move { body }
        },
        |router: Router| router.layer(CompressionLayer::new()),
    );
    let packed = app.send(Ask::charge("f-6").header("accept-encoding", "gzip")).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < text.len());
    let plain = app.send(Ask::charge("f-6")).await;
    assert_eq!((plain.header("content-encoding"), plain.text()), (None, text.as_str()));
    assert!(plain.is_replayed());
    let packed_again = app.send(Ask::charge("f-6").header("accept-encoding", "gzip")).await;
    assert_eq!(packed_again.header("content-encoding"), Some("gzip"));
    assert!(packed_again.is_replayed());
}

async fn http_f07_the_length_is_counted_anew(kind: Kind) {
    let [_, again] = twice(kind, StatusCode::OK, &[("content-length", "4")], "done").await;
    assert_eq!(again.text(), "done");
    // Whatever it was: what serves the answer counts.
    assert!(again.headers.get_all("content-length").iter().count() <= 1);
    assert!(again.header("content-length").is_none_or(|length| length == "4"));
}

async fn http_f08_a_replay_has_its_own_request_id(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::within(
        layer(&place.process().await),
        |call| async move { ([("traceparent", "00-of-the-first-01")], created(&call)) },
        |router: Router| {
            router
                .layer(PropagateRequestIdLayer::x_request_id())
                .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        },
    );
    let first = app.send(Ask::charge("f-8")).await;
    let id = first.header("x-request-id").unwrap().to_owned();
    assert_eq!(first.header("original-request"), None);
    let again = app.send(Ask::charge("f-8")).await;
    assert_ne!(again.header("x-request-id").unwrap(), id);
    assert_eq!(again.headers.get_all("x-request-id").iter().count(), 1);
    assert_eq!(again.header("original-request"), Some(id.as_str()));
    assert_eq!(again.header("traceparent"), None);
}

async fn http_f09_an_empty_answer_stays_empty(kind: Kind) {
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
        let [_, again] = twice(kind, status, &[("etag", "\"7\"")], "").await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (status.as_u16(), 0, Some("\"7\"")));
    }
}

/// Shows an object as it is now.
#[derive(Debug)]
struct Now;

#[async_trait]
impl RenderAgain for Now {
    async fn render(&self, _: &ScopedKey, reference: &str) -> Response<Body> {
        (StatusCode::OK, format!("{reference} as it is now")).into_response()
    }
}

async fn http_f10_a_replay_shows_what_was_unless_told_otherwise(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let snapshot = App::new(layer(&process), |call| async move { format!("state {}", call.number) });
    snapshot.send(Ask::charge("f-10")).await;
    snapshot.send(Ask::charge("another")).await;
    assert_eq!(snapshot.send(Ask::charge("f-10")).await.text(), "state 1");
    let current = App::new(layer(&process).render_again(Now), |_| async {
        let mut response = "charge 7 as it was".into_response();
        response.extensions_mut().insert(Reference(Arc::from("charge 7")));
        response
    });
    assert_eq!(current.send(Ask::charge("f-10-now")).await.text(), "charge 7 as it was");
    assert_eq!(current.send(Ask::charge("f-10-now")).await.text(), "charge 7 as it is now");
}

async fn http_f11_scripts_in_a_browser_may_read_the_mark(kind: Kind) {
    let place = Place::new(kind).await;
    let plain = App::new(layer(&place.process().await), |call| async move { created(&call) });
    let from_browser = |key| Ask::charge(key).header("origin", "https://shop.example");
    plain.send(from_browser("f-11")).await;
    let again = plain.send(from_browser("f-11")).await;
    assert!(again.header("access-control-expose-headers").unwrap().contains("idempotent-replayed"));
    assert!(plain.send(Ask::charge("f-11")).await.header("access-control-expose-headers").is_none());
    // A layer for CORS puts its own list in the place of ours: the names are there to be listed in it.
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .expose_headers([&EXPOSED_HEADERS[..], &[HeaderName::from_static("x-own")]].concat());
    let app = App::within(
        layer(&place.process().await),
        |call| async move { created(&call) },
        |router: Router| router.layer(cors),
    );
    app.send(from_browser("f-11-cors")).await;
    let again = app.send(from_browser("f-11-cors")).await;
    let exposed: Vec<_> =
        again.headers.get_all("access-control-expose-headers").iter().map(|line| line.to_str().unwrap()).collect();
    let exposed = exposed.join(",");
    assert!(exposed.contains("idempotent-replayed") && exposed.contains("x-own"), "{exposed}");
}

async fn http_f12_cache_control_stays_as_it_was(kind: Kind) {
    let [_, again] = twice(kind, StatusCode::OK, &[("cache-control", "private, max-age=60")], "done").await;
    assert_eq!(again.header("cache-control"), Some("private, max-age=60"));
    let [_, without] = twice(kind, StatusCode::OK, &[], "done").await;
    assert_eq!(without.header("cache-control"), None, "nothing is made public");
}
