//! What is published of the layer: the policy, the OpenAPI fragment.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use annals::http::{
    BodyForm, Errors, FailurePolicy, InFlight, KeySource, KeySyntax, PolicyDocument, Refusal, RenderRefusal, Settings,
    merge_openapi, openapi_fragment,
};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use utoipa::openapi::{Info, OpenApi, Paths};

use super::problems::Teapot;

fn settings(errors: Errors) -> Settings {
    let mut settings = Settings::default();
    settings.errors = errors;
    settings.policy_url = Some("/idempotency".to_owned());
    settings
}

fn policy(settings: &Settings) -> Value {
    serde_json::to_value(PolicyDocument::of(settings)).unwrap()
}

#[test]
fn http_n02_the_policy_says_what_the_layer_does_by_default() {
    let policy = policy(&settings(Errors::Ietf));
    assert_eq!(policy["methods"], json!(["PATCH", "POST"]));
    assert_eq!(policy["key"]["required"], true);
    assert_eq!(policy["key"]["sources"], json!([{"in": "header", "name": "idempotency-key"}]));
    assert_eq!(policy["key"]["syntax"], "lenient");
    assert_eq!((&policy["key"]["shortest_bytes"], &policy["key"]["longest_bytes"]), (&json!(1), &json!(255)));
    assert_eq!((&policy["scope"]["per"], &policy["scope"]["keys_at_once"]), (&json!("principal"), &json!(null)));
    assert_eq!(policy["retention"]["seconds"], 86_400);
    assert_eq!(policy["retention"]["lease_seconds"], 60);
    assert_eq!(policy["in_flight"]["behaviour"], "reject");
    assert_eq!(policy["outcomes"]["unknown"]["policy"], "rerun");
    assert_eq!(policy["error_shape"], "ietf");
    assert_eq!(policy["fingerprint"]["recipe"], 1);
    assert_eq!(policy["fingerprint"]["body_form"], "canonical");
    assert_eq!(policy["limits"]["request_body_bytes"], 1 << 20);
    assert!(policy.get("warnings").is_none());
    for header in ["Idempotent-Replayed", "Retry-After", "Stripe-Should-Retry", "X-Should-Retry", "Original-Request"] {
        let names: Vec<_> = policy["response_headers"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert!(names.contains(&&json!(header)), "{header}");
    }
}

#[test]
fn http_n02_each_setting_shows_in_the_policy() {
    let mut settings = settings(Errors::Stripe);
    settings.required = false;
    settings.methods = vec![Method::DELETE];
    settings.key_sources = vec![KeySource::header("X-Key"), KeySource::json_member("idempotency_key")];
    settings.key_syntax = KeySyntax::Strict;
    settings.shortest_key = Some(20);
    settings.fingerprint_headers = vec!["Stripe-Version".to_owned()];
    settings.leave_out = vec!["/sent_at".to_owned()];
    settings.keep_for = Duration::from_secs(3600);
    settings.lease = Duration::from_millis(1500);
    settings.in_flight = InFlight::Wait(Duration::from_secs(10));
    settings.failure_policy = FailurePolicy::StoreAll;
    (settings.keys_per_scope, settings.per_endpoint) = (None, true);
    settings.client_horizon = Some(Duration::from_secs(7200));
    let changed = policy(&settings);
    assert_eq!(changed["methods"], json!(["DELETE"]));
    assert_eq!(changed["key"]["required"], false);
    assert_eq!(
        changed["key"]["sources"],
        json!([{"in": "header", "name": "x-key"}, {"in": "json-body", "name": "idempotency_key"}])
    );
    assert_eq!((&changed["key"]["syntax"], &changed["key"]["shortest_bytes"]), (&json!("strict"), &json!(20)));
    assert_eq!(changed["scope"]["per"], "principal-and-endpoint");
    assert!(changed["scope"].get("keys_at_once").is_none());
    assert_eq!(changed["retention"]["seconds"], 3600);
    assert_eq!(changed["retention"]["lease_seconds"], 2, "rounded up");
    assert_eq!(changed["retention"]["client_horizon_seconds"], 7200);
    assert_eq!(changed["in_flight"]["wait_seconds"], 10);
    assert_eq!(changed["outcomes"]["unknown"]["policy"], "store");
    assert_eq!(changed["fingerprint"]["headers"], json!(["stripe-version"]));
    assert_eq!(changed["fingerprint"]["left_out"], json!(["/sent_at"]));
    assert_eq!(changed["warnings"].as_array().unwrap().len(), 1);
    (settings.body_form, settings.leave_out) = (BodyForm::Raw, Vec::new());
    assert_eq!(policy(&settings)["fingerprint"]["body_form"], "raw");
}

#[test]
fn http_n02_the_policy_has_every_refusal_as_it_is_answered() {
    for errors in [Errors::Ietf, Errors::Stripe, Errors::Custom(Arc::new(Teapot))] {
        let settings = settings(errors.clone());
        let policy = policy(&settings);
        let published = policy["refusals"].as_array().unwrap();
        assert_eq!(published.len(), Refusal::samples().len());
        for (refusal, published) in Refusal::samples().iter().zip(published) {
            let answer = errors.render(refusal, settings.policy_url.as_deref());
            assert_eq!(published["name"], refusal.name());
            assert_eq!(published["status"], answer.status().as_u16(), "{refusal:?}");
            assert_eq!(published["retry"], answer.headers()["x-should-retry"] == "true", "{refusal:?}");
            let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            match errors {
                Errors::Ietf => assert_eq!(published["type"], body["type"]),
                Errors::Stripe => {
                    assert_eq!(published["type"], body["error"]["type"]);
                    assert_eq!(published["code"], body["error"]["code"]);
                }
                _ => assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT),
            }
        }
    }
}

/// Follows each reference within a document.
fn check_references(node: &Value, document: &Value, found: &mut usize) {
    match node {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.strip_prefix('#').expect("within the document");
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                *found += 1;
            }
            members.values().for_each(|value| check_references(value, document, found));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(value, document, found)),
        _ => {}
    }
}

#[test]
fn http_n03_the_openapi_fragment_is_3_1_and_names_every_refusal() {
    for errors in [Errors::Ietf, Errors::Stripe, Errors::Custom(Arc::new(Teapot))] {
        let settings = settings(errors.clone());
        let document = serde_json::to_value(openapi_fragment(&settings)).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
        let components = &document["components"];
        let responses = components["responses"].as_object().unwrap();
        assert_eq!(responses.len(), Refusal::samples().len());
        for refusal in Refusal::samples() {
            let answer: Response<Bytes> = errors.render(&refusal, settings.policy_url.as_deref());
            let status = format!("{}: {}.", answer.status().as_u16(), refusal.title());
            let described: Vec<_> = responses.values().filter(|one| one["description"] == status.as_str()).collect();
            assert_eq!(described.len(), 1, "{refusal:?}");
            assert!(described[0]["headers"]["X-Should-Retry"].is_object());
            assert_eq!(described[0]["headers"]["Retry-After"].is_object(), refusal.retry_after().is_some());
            let content = &described[0]["content"];
            match errors {
                Errors::Ietf => assert_eq!(content["application/problem+json"]["example"]["title"], refusal.title()),
                Errors::Stripe => assert!(content["application/json"]["example"]["error"]["code"].is_string()),
                _ => assert!(content.is_null()),
            }
        }
        let mut references = 0;
        check_references(&document, &document, &mut references);
        let with_schema = if matches!(errors, Errors::Custom(_)) { 0 } else { Refusal::samples().len() };
        assert_eq!(references, with_schema);
        let names = ["schemas", "responses", "parameters"].map(|kind| components[kind].as_object());
        let names: Vec<_> = names.into_iter().flatten().flat_map(|kind| kind.keys()).collect();
        assert!(names.iter().all(|name| name.starts_with("Idempotency")), "{names:?}");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let read: OpenApi = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), document, "it is what such a document may hold");
    }
}

#[test]
fn http_n03_the_fragment_has_the_keys_header_and_can_be_merged() {
    let mut settings = settings(Errors::Ietf);
    let parameter = |settings: &Settings, name: &str| {
        serde_json::to_value(openapi_fragment(settings)).unwrap()["components"]["parameters"][name].clone()
    };
    let key = parameter(&settings, "IdempotencyKey");
    assert_eq!((&key["name"], &key["in"]), (&json!("idempotency-key"), &json!("header")));
    assert_eq!(key["required"], true);
    settings.key_sources.push(KeySource::header("x-idempotency-key"));
    settings.key_sources.push(KeySource::json_member("key"));
    assert_eq!(parameter(&settings, "IdempotencyKey")["required"], false, "one of several places will do");
    assert_eq!(parameter(&settings, "IdempotencyKey2")["name"], "x-idempotency-key");

    let mut application = OpenApi::new(Info::new("Payments", "1"), Paths::new());
    merge_openapi(&mut application, &settings);
    let merged = serde_json::to_value(application).unwrap();
    assert_eq!(merged["info"]["title"], "Payments");
    assert!(merged["paths"]["/idempotency"]["get"].is_object());
    assert_eq!(merged["components"]["parameters"]["IdempotencyKey"]["name"], "idempotency-key");
    let mut references = 0;
    check_references(&merged, &merged, &mut references);
    assert!(references > 0, "the components came along");
    settings.policy_url = Some("https://docs.example/idempotency".to_owned());
    assert_eq!(serde_json::to_value(openapi_fragment(&settings)).unwrap()["paths"], json!({}));
}
