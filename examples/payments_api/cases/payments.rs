//! Charges and payment intents.

use annals::http::PolicyDocument;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::service::{OPENING, Post, Service};

#[tokio::test]
async fn a_charge_is_made_and_shown() {
    let service = Service::new().await;
    let made = service.post(Post::charge("one", "amount=2000&currency=EUR&metadata[order]=42")).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("ch_") && id.len() == 35, "{id}");
    let expected = format!(
        r#"{{"id":"{id}","object":"charge","amount":2000,"currency":"eur","status":"succeeded","created":{OPENING},"amount_refunded":0,"metadata":{{"order":"42"}}}}"#
    );
    assert_eq!(made.body, expected, "in this order, always");
    assert_eq!(made.header("etag"), Some("\"1\""));
    assert_eq!(made.header("location"), Some(&*format!("/v1/charges/{id}")));
    assert_eq!(made.header("content-type"), Some("application/json"));

    let shown = service.get(&format!("/v1/charges/{id}")).await;
    assert_eq!((shown.status, shown.header("etag")), (StatusCode::OK, Some("\"1\"")));
    assert_eq!((shown.body, shown.headers.contains_key("location")), (expected, false));
    assert_eq!(service.events().await, ["charge-created"]);
}

#[tokio::test]
async fn a_payment_intent_is_made_and_shown() {
    let service = Service::new().await;
    let made = service.made(Post::form("/v1/payment_intents", "one", "amount=700&currency=jpy")).await;
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("pi_"), "{id}");
    let expected = json!({
        "id": id, "object": "payment_intent", "amount": 700, "currency": "jpy", "status": "requires_payment_method",
        "created": OPENING, "metadata": {},
    });
    assert_eq!(made, expected);
    assert_eq!(service.get(&format!("/v1/payment_intents/{id}")).await.json(), expected);
    let as_charge = format!("/v1/charges/{}", id.replace("pi_", "ch_"));
    assert_eq!(service.get(&as_charge).await.status, StatusCode::NOT_FOUND, "an intent is no charge");
}

#[tokio::test]
async fn json_is_taken_as_well_as_a_form() {
    let service = Service::new().await;
    let body = json!({ "amount": 2000, "currency": "eur", "metadata": { "order": 42, "gift": true } }).to_string();
    let json = Post { content_type: Some("application/json; charset=utf-8"), ..Post::charge("json", body) };
    let form = Post::charge("form", "amount=2000&currency=eur&metadata%5Border%5D=42&metadata%5Bgift%5D=true");
    let (mut json, mut form) = (service.made(json).await, service.made(form).await);
    assert_ne!(json["id"].take(), form["id"].take());
    assert_eq!(json, form);
}

#[tokio::test]
async fn what_is_anothers_is_not_there() {
    let service = Service::new().await;
    let mine = service.made(Post::charge("one", "amount=1&currency=usd")).await;
    let path = format!("/v1/charges/{}", mine["id"].as_str().unwrap());
    assert_eq!(service.request(Method::GET, &path, "sk_test_2").await.status, StatusCode::NOT_FOUND);
    let theirs = Post { token: "sk_test_2", ..Post::charge("one", "amount=1&currency=usd") };
    assert_ne!(service.made(theirs).await["id"], mine["id"], "the same key of another account is another key");
    assert_eq!(service.events().await.len(), 2);
}

#[tokio::test]
async fn the_service_says_how_it_is_and_what_its_rules_are() {
    let service = Service::new().await;
    assert_eq!(service.get("/healthz").await.json(), json!({ "status": "ok" }));
    assert_eq!(service.get("/idempotency").await.json(), json!(PolicyDocument::of(service.layer.settings())));
}

#[tokio::test]
async fn the_contract_names_what_there_is_and_refers_to_nothing_else() {
    for style in ["ietf", "stripe"] {
        let service = Service::with(&["--errors", style]).await;
        let contract = service.get("/openapi.json").await.json();
        assert_eq!(contract["openapi"], "3.1.0");
        let key = json!({ "$ref": "#/components/parameters/IdempotencyKey" });
        for path in ["/v1/charges", "/v1/payment_intents", "/v1/refunds"] {
            let parameters = contract["paths"][path]["post"]["parameters"].as_array().unwrap();
            assert!(parameters.contains(&key), "{path}: {parameters:?}");
        }
        for path in ["/v1/charges/{id}", "/v1/payment_intents/{id}", "/healthz", "/idempotency"] {
            assert!(contract["paths"][path]["get"].is_object(), "{style}: {path}");
        }
        let mut references = Vec::new();
        find_references(&contract, &mut references);
        assert!(references.len() > 20, "{references:?}");
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(contract.pointer(pointer).is_some_and(Value::is_object), "{style}: {reference} leads nowhere");
        }
    }
}

fn find_references<'c>(value: &'c Value, found: &mut Vec<&'c str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| find_references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
