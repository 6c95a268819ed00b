//! The contract, as OpenAPI 3.1: the service's own endpoints, and what the idempotency layer adds to them.

use annals::http::{IdempotencyLayer, openapi_fragment};
use serde_json::{Value, json};

use super::{
    amount::{Amount, Currency},
    api_error::Style,
};

/// The layer's own refusals, by the status that they have in each style.
const REFUSALS: [(&str, &str, &str); 4] = [
    ("409", "409", "IdempotencyInFlight"),
    ("413", "413", "IdempotencyBodyTooLarge"),
    ("422", "", "IdempotencyKeyReused"),
    ("503", "503", "IdempotencyStoreUnavailable"),
];

/// Joins the service's part with the layer's, whose components the service refers to.
pub fn document(style: Style, layer: &IdempotencyLayer) -> Value {
    let mut layers = json!(openapi_fragment(layer.settings()));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Payments", "version": "1", "summary": "Charges, payment intents and refunds, safe to retry" },
        "security": [{ "token": [] }],
        "paths": {
            "/v1/charges": { "post": create(style, "Takes money from a card", "Payment", "Charge", &["402"]) },
            "/v1/charges/{id}": { "get": show("Shows a charge as it is now", "Charge") },
            "/v1/payment_intents": {
                "post": create(style, "Says that somebody is about to pay", "Payment", "PaymentIntent", &[]),
            },
            "/v1/payment_intents/{id}": { "get": show("Shows a payment intent", "PaymentIntent") },
            "/v1/refunds": {
                "post": create(style, "Gives back a charge, or a part of it", "RefundOf", "Refund", &["404", "412"]),
            },
            "/healthz": { "get": open("Says whether the database answers") },
        },
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "parameters": {
                "Version": {
                    "name": "If-Match", "in": "header", "schema": { "type": "string" },
                    "description": "The ETag of the charge that is refunded: another version is 412, and uses no key up",
                },
            },
            "schemas": schemas(style),
        },
    });
    let refund = &mut document["paths"]["/v1/refunds"]["post"]["parameters"];
    if let Some(parameters) = refund.as_array_mut() {
        parameters.push(json!({ "$ref": "#/components/parameters/Version" }));
    }
    // Names do not meet: the layer's begin with Idempotency.
    for part in ["paths", "components"] {
        join(&mut document[part], layers[part].take());
    }
    document
}

/// Adds members, and members of members that are there.
fn join(to: &mut Value, from: Value) {
    match (to.as_object_mut(), from) {
        (Some(to), Value::Object(from)) => {
            for (name, value) in from {
                join(to.entry(name).or_insert(Value::Null), value);
            }
        }
        (None, from) => *to = from,
        (Some(_), _) => {}
    }
}

fn create(style: Style, summary: &str, takes: &str, gives: &str, noes: &[&str]) -> Value {
    let body = json!({ "schema": schema(takes) });
    let mut responses = json!({
        "201": {
            "description": "Made; the same for every retry",
            "headers": { "ETag": { "schema": { "type": "string" }, "description": "The version" } },
            "content": { "application/json": { "schema": schema(gives) } },
        },
    });
    for status in ["400", "401", "422"].iter().chain(noes).filter(|status| style == Style::Ietf || **status != "422") {
        responses[*status] = error(style);
    }
    for (ietf, stripe, component) in REFUSALS {
        let status = if style == Style::Ietf { ietf } else { stripe };
        // Where a status has two reasons the service's own stands.
        if !status.is_empty() && responses[status].is_null() {
            responses[status] = json!({ "$ref": format!("#/components/responses/{component}") });
        }
    }
    json!({
        "summary": summary,
        "parameters": [{ "$ref": "#/components/parameters/IdempotencyKey" }],
        "requestBody": {
            "content": { "application/x-www-form-urlencoded": body, "application/json": body },
        },
        "responses": responses,
    })
}

fn show(summary: &str, gives: &str) -> Value {
    json!({
        "summary": summary,
        "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
        "responses": {
            "200": { "description": "As it is now", "content": { "application/json": { "schema": schema(gives) } } },
        },
    })
}

fn open(summary: &str) -> Value {
    json!({ "summary": summary, "security": [], "responses": { "200": { "description": "It does" } } })
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn error(style: Style) -> Value {
    let content_type = if style == Style::Ietf { "application/problem+json" } else { "application/json" };
    json!({ "description": "No, and why", "content": { content_type: { "schema": schema("Error") } } })
}

fn schemas(style: Style) -> Value {
    let amount = json!({ "type": "integer", "minimum": 1, "maximum": Amount::MAX });
    let currency = json!({ "enum": Currency::ALL });
    let metadata = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let text = json!({ "type": "string" });
    let whole = json!({ "type": "integer" });
    let payment = json!({
        "id": text, "object": text, "amount": amount, "currency": currency, "status": text, "created": whole,
        "amount_refunded": whole, "metadata": metadata,
    });
    let refund = json!({
        "id": text, "object": text, "amount": amount, "currency": currency, "status": text, "created": whole,
        "charge": text, "metadata": metadata,
    });
    let inner = json!({ "type": text, "code": text, "param": text, "message": text });
    let error = match style {
        Style::Ietf => json!({
            "type": text, "title": text, "status": whole, "detail": text, "param": text,
        }),
        Style::Stripe => json!({ "error": { "type": "object", "properties": inner } }),
    };
    let object = |properties: &Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required });
    let payment_of = json!({ "amount": amount, "currency": currency, "metadata": metadata });
    let refund_of = json!({ "charge": text, "amount": amount, "metadata": metadata });
    json!({
        "Payment": object(&payment_of, &["amount", "currency"]),
        "RefundOf": object(&refund_of, &["charge"]),
        "Charge": object(&payment, &["id", "object", "amount", "currency", "status", "created", "amount_refunded"]),
        "PaymentIntent": object(&payment, &["id", "object", "amount", "currency", "status", "created"]),
        "Refund": object(&refund, &["id", "object", "amount", "currency", "status", "created", "charge"]),
        "Error": object(&error, &[]),
    })
}
