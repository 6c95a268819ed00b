//! Messages as CloudEvents, written and read.

use annals::{
    Append, Error, EventStoreExt as _, Metadata, NewEvent, RecordedEvent, SqliteStore,
    process::{CloudEvent, Envelope},
    store::{LogQuery, MessagePlace},
};
use serde_json::Value;
use uuid::Uuid;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn recorded(payload: &str, metadata: Metadata) -> RecordedEvent {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let event = NewEvent::from_json("order-paid", payload).unwrap().in_schema_version(3);
    let id = Uuid::from_u128(7);
    store.append_one(Append::new("order", id).events([event]).metadata(metadata)).await.unwrap();
    store.collect_log(&LogQuery::all()).await.unwrap().pop().unwrap()
}

#[tokio::test]
async fn a_message_is_a_cloud_event_with_the_payload_as_it_is_stored() {
    // Spaces, an integer above 2^53, an order of members, and a number that is no float's shortest form.
    let payload = r#"{ "z":9007199254740993, "a":1.10,"text":"ä\u0041" }"#;
    let metadata = Metadata::new().correlation_id("c 1").causation_id("00-1").with("traceparent", TRACE);
    let event = recorded(payload, metadata).await;
    let envelope = Envelope::new("/orders").unwrap().type_prefix("com.example.").unwrap();
    let message = envelope.wrap(&event).unwrap();
    let time = event.recorded_at().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let id = Uuid::from_u128(7);
    assert_eq!(
        message.cloud_event(),
        format!(
            r#"{{"specversion":"1.0","id":"{id}-1","source":"/orders","type":"com.example.order-paid","subject":"{id}","#
        ) + &format!(
            r#""time":"{time}","datacontenttype":"application/json","aggregatetype":"order","schemaversion":3,"#
        ) + r#""sequence":"00000000000000000001","position":"00000000000000000001","correlationid":"c 1","#
            + &format!(r#""causationid":"00-1","traceparent":"{TRACE}","data":{payload}}}"#)
    );
    assert_eq!((message.id(), message.event_type()), (&*format!("{id}-1"), "order-paid"));
    assert_eq!(envelope.wrap(&event).unwrap(), message, "each time the same");

    let read = CloudEvent::parse(message.cloud_event().as_bytes()).unwrap();
    assert_eq!(read.data(), Some(payload), "byte by byte");
    assert_eq!((read.id(), read.source(), read.event_type()), (message.id(), "/orders", "com.example.order-paid"));
    assert_eq!(read.time(), Some(event.recorded_at()));
    assert_eq!((read.aggregate_type(), read.schema_version()), (Some("order"), Some(3)));
    assert_eq!((read.attribute("correlationid"), read.attribute("traceparent")), (Some("c 1"), Some(TRACE)));
    let received = read.inbox_message("mail");
    assert_eq!(&*received.message_id, message.id());
    assert_eq!(received.place, Some(MessagePlace { source: id, sequence: 1, is_dense: false }));
}

#[tokio::test]
async fn what_a_cloud_event_cannot_carry_is_left_out() {
    let metadata = Metadata::new().correlation_id("two\nlines").with("traceparent", "00-0-0-0").with("tracestate", 7);
    let message = Envelope::new("/orders").unwrap().wrap(&recorded("null", metadata).await).unwrap();
    let read: Value = serde_json::from_str(message.cloud_event()).unwrap();
    let names: Vec<_> = read.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())), "{names:?}");
    for name in ["correlationid", "causationid", "traceparent", "tracestate"] {
        assert!(!names.contains(&name), "{name}");
    }
    assert_eq!(read["data"], Value::Null);
    let read = CloudEvent::parse(message.cloud_event().as_bytes()).unwrap();
    assert_eq!(read.data(), Some("null"), "null is data");
}

#[test]
fn sources_and_prefixes_are_those_of_the_standard() {
    for wrong in ["", "two words", "ä", "%1", &"a".repeat(1_025)] {
        assert!(matches!(Envelope::new(wrong), Err(Error::Invalid { .. })), "{wrong}");
    }
    let envelope = Envelope::new("urn:example:orders").unwrap();
    assert!(matches!(envelope.clone().type_prefix("a\n"), Err(Error::Invalid { .. })));
    assert!(envelope.type_prefix("").is_ok());
}

#[test]
fn messages_of_others_are_read_and_what_is_none_is_refused() {
    let base = r#""specversion":"1.0","id":"a","source":"/x","type":"t""#;
    let parse = |more: &str| CloudEvent::parse(format!("{{{base}{more}}}").as_bytes());
    let plain = parse("").unwrap();
    assert_eq!((plain.data(), plain.subject(), plain.place()), (None, None, None));
    assert!(parse(r#","time":"2026-01-02T03:04:05+01:00","flag":true,"count":-7,"none":null"#).is_ok());
    assert_eq!(parse(r#","data_base64":"AQI=""#).unwrap().data_base64(), Some("AQI="));
    assert_eq!(parse(r#","sequence":"12""#).unwrap().sequence(), Some(12));
    for wrong in [
        r#","id":"b""#,
        r#","data":1,"data_base64":"AQ==""#,
        r#","Upper":"x""#,
        r#","snake_case":"x""#,
        r#","big":2147483648"#,
        r#","half":1.5"#,
        r#","nested":{}"#,
        r#","list":[]"#,
        r#","time":"yesterday""#,
        r#","subject":"""#,
        r#","line":"a\nb""#,
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    for wrong in [
        "",
        "[]",
        "{",
        r#"{"specversion":"1.0","id":"a","source":"/x"}"#,
        r#"{"specversion":"0.3","id":"a","source":"/x","type":"t"}"#,
        r#"{"specversion":"1.0","id":"","source":"/x","type":"t"}"#,
        r#"{"specversion":"1.0","id":"a","source":"two words","type":"t"}"#,
        r#"{"specversion":"1.0","id":1,"source":"/x","type":"t"} x"#,
    ] {
        assert!(CloudEvent::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let secret = CloudEvent::parse(br#"{"specversion":"1.0","id":"secret","source":"secret"#).unwrap_err();
    assert!(!secret.to_string().contains("secret"));
}

/// The content is what a message says: the inbox finds out where it differs under one id.
#[test]
fn the_content_of_a_message_is_its_type_and_its_data() {
    let content = |event_type: &str, data: &str| {
        let json = format!(r#"{{"specversion":"1.0","id":"a","source":"/x","type":"{event_type}","data":{data}}}"#);
        CloudEvent::parse(json.as_bytes()).unwrap().inbox_message("mail").content
    };
    assert_eq!(content("t", "1"), content("t", "1"));
    assert_ne!(content("t", "1"), content("t", "2"));
    assert_ne!(content("t", "1"), content("u", "1"));
}
