//! The verbs that look at events: `show`, `event`, `log`, `trace`, `receipts`.

mod damage;
mod event;
mod follow;
mod log;
mod receipts;
mod show;
mod trace;

use std::time::Duration;

use annals::{
    Append, EventStore, EventStoreExt as _, ExpectedVersion, IdempotencyKey, ManualClock, Metadata, NewEvent,
};
use uuid::Uuid;

/// The id of the aggregate with this business key.
fn id(aggregate_type: &str, key: &str) -> Uuid {
    annals::domain::natural_id(aggregate_type, key).unwrap()
}

fn key(key: &str) -> IdempotencyKey {
    IdempotencyKey::new(key).unwrap()
}

fn event(event_type: &'static str, payload: &'static str) -> NewEvent {
    NewEvent::from_json(event_type, payload).unwrap()
}

/// An order, its payment and its parcel, and what has nothing to do with them.
///
/// | position | event | by |
/// |---|---|---|
/// | 1, 2 | order 537434: placed, line-added | ann, under a key, as request-7 |
/// | 3 | payment 537434: requested | order 1 |
/// | 4 | refund 99: asked-for | nobody |
/// | 5 | payment 537434: captured | payment 1 |
/// | 6 | order 537434: paid, in schema version 2 | payment 2 |
/// | 7 | parcel 537434: packed | a message of another system |
/// | 8 | order 537434: noted | without a version or a key |
///
/// Two requests were rejected: before the payment, and at the end.
async fn tell_the_story(store: &dyn EventStore, clock: &ManualClock) {
    let (order, payment) = (id("order", "537434"), id("payment", "537434"));
    let of = |correlation: &str| Metadata::new().correlation_id(correlation);
    let caused_by = |id: Uuid, sequence: u64| of("request-7").causation_id(format!("{id}-{sequence}"));
    let placed = r#"{"customer":17850,"country":"United Kingdom","placed_at":"2010-12-01T08:26:00Z","total":139.12}"#;
    let line = r#"{"lines":[{"sku":"85123A","description":"WHITE HANGING HEART T-LIGHT HOLDER","quantity":6,"price":2.55},
        {"sku":"71053","description":"WHITE METAL LANTERN","quantity":6,"price":3.39}],"gift":false}"#;
    let unpaid = r#"{"type":"NotPaid","data":{"missing":139.12,"currency":"GBP"}}"#;
    let long = r#"{"text":"The customer has called and asks whether the parcel can be left with the neighbour at number 12, or else be sent back to the depot until the end of the month.","by":"ann","odd":"\u001b[31mred"}"#;
    let appends = [
        Append::new("order", order)
            .idempotency_key(key("4c1f-place"))
            .metadata(of("request-7").actor("ann").with("ip", "10.0.0.7"))
            .events([event("placed", placed), event("line-added", line)]),
        Append::new("order", order)
            .idempotency_key(key("77aa-ship"))
            .expected(ExpectedVersion::Exact(2))
            .rejected(unpaid.into()),
        Append::new("payment", payment)
            .expected(ExpectedVersion::New)
            .metadata(caused_by(order, 1))
            .event(event("requested", r#"{"amount":139.12}"#)),
        Append::new("refund", id("refund", "99")).expected(ExpectedVersion::New).event(event("asked-for", "null")),
        Append::new("payment", payment)
            .expected(ExpectedVersion::Exact(1))
            .metadata(caused_by(payment, 1))
            .event(event("captured", r#"{"amount":139.12,"reference":"ch_1"}"#)),
        Append::new("order", order)
            .expected(ExpectedVersion::Exact(2))
            .metadata(caused_by(payment, 2))
            .event(event("paid", r#"{"amount":{"value":139.12,"currency":"GBP"}}"#).in_schema_version(2)),
        Append::new("parcel", id("parcel", "537434"))
            .expected(ExpectedVersion::New)
            .metadata(of("request-7").causation_id("warehouse-message-81"))
            .event(event("packed", r#"{"weight":0.8}"#)),
        Append::new("order", order).event(event("noted", long)),
        Append::new("order", order)
            .idempotency_key(key("9e02-cancel"))
            .keep_receipt_for(Duration::from_secs(3_600))
            .expected(ExpectedVersion::Exact(4))
            .rejected(r#"{"type":"AlreadyPacked"}"#.into()),
        // Carried out, with nothing to do.
        Append::new("order", order).idempotency_key(key("short")).expected(ExpectedVersion::Exact(4)),
    ];
    for (number, mut append) in (0..).zip(appends) {
        if append.key.is_none() {
            append = append.command_id(Uuid::new_v5(&Uuid::nil(), &[number]));
        }
        store.append_one(append).await.unwrap();
        clock.advance(Duration::from_millis(1_500));
    }
}
