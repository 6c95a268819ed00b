//! Requests that make no sense, in both styles.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};

use super::service::{Answer, Post, Service};

const JSON: Option<&str> = Some("application/json");

/// Bodies of a charge that make no sense, and what is wrong with them.
const UNFIT: [(&str, Option<&str>); 12] = [
    ("amount=0&currency=eur", Some("amount")),
    ("amount=-5&currency=eur", Some("amount")),
    ("amount=10.99&currency=eur", Some("amount")),
    ("amount=ten&currency=eur", Some("amount")),
    ("amount=100000000&currency=eur", Some("amount")),
    ("currency=eur", Some("amount")),
    ("", Some("amount")),
    ("amount=5", Some("currency")),
    ("amount=5&currency=xxx", Some("currency")),
    ("amount=5&currency=eur&amonut=6", Some("amonut")),
    ("amount=5&currency=eur&metadata[delay_ms]=3600000", Some("metadata[delay_ms]")),
    ("amount=5&currency=eur&metadata[fail]=maybe", Some("metadata[fail]")),
];

const UNFIT_JSON: [(&str, Option<&str>); 5] = [
    (r#"{"amount":0,"currency":"eur"}"#, Some("amount")),
    (r#"{"amount":1e2,"currency":"eur"}"#, Some("amount")),
    (r#"{"amount":5,"currency":["eur"]}"#, Some("currency")),
    ("{", None),
    ("[5]", None),
];

fn all_unfit(key: &'static str) -> Vec<(Post, Option<&'static str>)> {
    let forms = UNFIT.map(|(body, param)| (Post::charge(key, body), param));
    let json = UNFIT_JSON.map(|(body, param)| (Post { content_type: JSON, ..Post::charge(key, body) }, param));
    forms.into_iter().chain(json).collect()
}

#[tokio::test]
async fn nonsense_is_a_problem_and_uses_no_key_up() {
    let service = Service::new().await;
    for (post, param) in all_unfit("one") {
        let answer = service.post(post.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}: {}", post.body, answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!((problem["param"].as_str(), &problem["status"]), (param, &400.into()), "{}: {problem}", post.body);
        assert!(problem["detail"].is_string() && problem["title"].is_string(), "{problem}");
    }
    assert_eq!(service.events().await, [""; 0]);
    // Mended, it goes through under the same key.
    service.made(Post::charge("one", "amount=5&currency=eur")).await;
}

#[tokio::test]
async fn nonsense_is_an_error_that_stripes_clients_read() {
    let service = Service::with(&["--errors", "stripe"]).await;
    for (post, param) in all_unfit("one") {
        let answer = service.post(post.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}: {}", post.body, answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let error = &answer.json()["error"];
        let found = (error["type"].as_str(), error["param"].as_str());
        assert_eq!(found, (Some("invalid_request_error"), param), "{}: {error}", post.body);
        assert!(error["message"].is_string(), "{error}");
    }
    service.made(Post::charge("one", "amount=5&currency=eur")).await;
}

#[tokio::test]
async fn another_kind_of_body_is_not_read() {
    let service = Service::new().await;
    for content_type in ["text/plain", "multipart/form-data; boundary=x", "application/jsonp"] {
        let post = Post { content_type: Some(content_type), ..Post::charge("one", "amount=5&currency=eur") };
        assert_eq!(service.post(post).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    assert_eq!(service.events().await, [""; 0]);
}

#[tokio::test]
async fn who_has_no_token_is_not_let_in() {
    for (style, error_type) in [("ietf", None), ("stripe", Some("invalid_request_error"))] {
        let service = Service::with(&["--errors", style]).await;
        let request = Request::post("/v1/charges").header("idempotency-key", "one");
        let answer = service.send(request.body(Body::from("amount=5&currency=eur")).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["error"]["type"].as_str(), error_type, "{}", answer.body);
        let open = service.send(Request::get("/healthz").body(Body::empty()).unwrap()).await;
        assert_eq!(open.status, StatusCode::OK);
        assert_eq!(service.events().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_charge_without_a_key_is_not_made() {
    let service = Service::new().await;
    let request = Request::post("/v1/charges").header("authorization", "Bearer sk_test_1");
    let answer = service.send(request.body(Body::from("amount=5&currency=eur")).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    assert!(answer.header("link").is_some_and(|link| link.contains("</idempotency>")), "{:?}", answer.headers);
    assert_eq!(service.events().await, [""; 0]);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_said_to_be_that() {
    let service = Service::with(&["--errors", "stripe"]).await;
    let is = |answer: &Answer, status: StatusCode, code: &str| {
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (status, Some(code)), "{}", answer.body);
    };
    for path in ["/", "/v2/charges", "/v1/disputes"] {
        is(&service.get(path).await, StatusCode::NOT_FOUND, "resource_missing");
    }
    for path in ["/v1/charges/ch_1", "/v1/charges/ch_00000000000000000000000000000001", "/v1/payment_intents/x"] {
        is(&service.get(path).await, StatusCode::NOT_FOUND, "resource_missing");
    }
    for path in ["/v1/charges", "/v1/refunds", "/healthz"] {
        let answer = service.request(Method::DELETE, path, super::service::TOKEN).await;
        is(&answer, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    }
}
