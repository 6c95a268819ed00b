//! What comes in is data, within bounds: stored and returned as it is, or refused by name.

use uuid::Uuid;

use super::{
    fixture::{Factory, fresh},
    sample::{NOTEBOOK, assert_invalid, assert_stream, key, log, note, noted, stream, write},
    tally::{Command, Tally},
};
use crate::{
    command::Repository,
    domain::{Id, is_valid_type_name},
    store::{Append, EventStoreExt as _, ExpectedVersion, Limits, LogQuery, Metadata, NewEvent, Selection},
};

/// Texts that some layer below could take for more than data.
const HOSTILE: [&str; 11] = [
    "'; DROP TABLE annals_events; --",
    "\" OR \"\"=\"",
    "a\\'b\\\\",
    "$1 ?1 :id @id %s {0}",
    "line\nbreak\r\n\ttab",
    "\u{0}\u{1}\u{7f}\u{85}",
    "漢字 👩‍👩‍👧 \u{202e}\u{feff}",
    "[\"json\"]",
    "null",
    " blank at both ends ",
    "/* */ ${x} <b>&amp;</b>",
];

/// Metadata, types and keys with quotes, SQL and control characters come back exactly, or are refused by name.
pub async fn store_102_texts_are_data(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for text in HOSTILE {
        let id = Uuid::now_v7();
        let metadata = Metadata::new().correlation_id(text).causation_id(text).actor(text).with(text, text);
        let append = note(id, [1]).metadata(metadata.clone());
        let with_type = append.clone().event(NewEvent::new(text, text).unwrap());
        let expected = if text.chars().any(char::is_control) {
            assert_invalid(store.append_one(with_type).await, "event type");
            write(&*store, append).await;
            1
        } else {
            write(&*store, with_type).await;
            let selection = Selection::all().event_types([text]);
            let chosen = store.collect_log(&LogQuery::all().select(selection)).await.unwrap();
            assert_eq!(chosen.iter().map(|event| event.event_type()).collect::<Vec<_>>(), [text], "chosen by its type");
            assert_eq!(chosen[0].payload(), serde_json::to_string(text).unwrap(), "the payload {text:?}");
            2
        };
        let events = stream(&*store, id).await;
        assert_eq!(events.len(), expected);
        for event in events {
            assert_eq!(event.metadata().unwrap(), metadata, "the metadata {text:?}");
        }
        if !is_valid_type_name(text) {
            assert_invalid(store.append_one(Append::new(text, id).events(noted([1]))).await, "aggregate type");
        }
    }
}

/// Natural keys are data.
///
/// Each names an aggregate of its own, the same one each time.
pub async fn store_102_natural_keys_are_data(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let tallies = Repository::<Tally>::new(&store);
    for text in HOSTILE.into_iter().chain(["", "a", "A", "a "]) {
        let done = tallies.execute(Id::natural(text), &Command::add(1)).idempotency_key(key("k")).await.unwrap();
        assert_eq!((done.version, done.replayed), (1, false), "{text:?} names an aggregate of its own");
        let again = tallies.execute(Id::natural(text), &Command::add(1)).idempotency_key(key("k")).await.unwrap();
        assert!(again.replayed, "{text:?} names the same aggregate again");
    }
    for id in [Uuid::nil(), Uuid::max(), Uuid::from_bytes(*b"'; DROP TABLE --")] {
        write(&*store, note(id, [1, 2])).await;
        assert_stream(&*store, id, [1, 2]).await;
    }
}

/// Names of types have bounds, and what they break is named.
pub async fn store_102_names_of_types_have_bounds(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let longest = "x".repeat(64);
    write(&*store, Append::new(longest.clone(), Uuid::now_v7()).events(noted([1]))).await;
    for bad in ["", "Order", "order_line", "-order", "ördér", &format!("{longest}x")] {
        let append = Append::new(bad.to_owned(), Uuid::now_v7()).events(noted([1]));
        assert_invalid(store.append_one(append).await, "aggregate type");
    }
    let longest = "é".repeat(127) + "x";
    let event = |name: &str| note(Uuid::now_v7(), []).event(NewEvent::new(name.to_owned(), &1).unwrap());
    write(&*store, event(&longest)).await;
    for bad in ["", &format!("{longest}x")] {
        assert_invalid(store.append_one(event(bad)).await, "event type");
    }
    let versioned = |version| note(Uuid::now_v7(), []).event(noted([1]).remove(0).in_schema_version(version));
    write(&*store, versioned(i32::MAX.unsigned_abs())).await;
    for bad in [0, i32::MAX.unsigned_abs() + 1, u32::MAX] {
        assert_invalid(store.append_one(versioned(bad)).await, "schema version");
    }
    assert_eq!(log(&*store).await.len(), 3, "what was refused is not there");
}

/// An event of exactly the bound is taken, one byte more is refused.
pub async fn store_102_events_have_at_most_a_mebibyte(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let most = Limits::default().event_bytes;
    assert_eq!(most, 1 << 20);
    let sized = |bytes: usize| NewEvent::from_json("noted", format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
    write(&*store, note(id, []).event(sized(most))).await;
    assert_invalid(store.append_one(note(id, []).event(sized(most + 1))).await, "bytes in a payload");
    assert_eq!(stream(&*store, id).await.len(), 1);
}

/// An append of exactly the bounds is taken, one event or byte more is refused.
pub async fn store_102_appends_have_at_most_500_events_and_four_mebibytes(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let limits = Limits::default();
    assert_eq!((limits.append_events, limits.append_bytes, limits.metadata_bytes), (500, 4 << 20, 64 << 10));
    let append = note(id, 0..500).expected(ExpectedVersion::New);
    assert_eq!(write(&*store, append).await.version, 500);
    assert_stream(&*store, id, 0..500).await;
    assert_invalid(store.append_one(note(id, 0..501)).await, "events in an append");
    let quarter = NewEvent::from_json("noted", format!("\"{}\"", "x".repeat((1 << 20) - 2))).unwrap();
    let id = Uuid::now_v7();
    let full = Append::new(NOTEBOOK, id).events(vec![quarter; 4]);
    write(&*store, full.clone()).await;
    assert_invalid(store.append_one(full.event(NewEvent::new("noted", &1).unwrap())).await, "bytes in an append");
    let around = Metadata::new().actor("").to_json().unwrap().len();
    let actor = |bytes: usize| note(id, [5]).metadata(Metadata::new().actor("x".repeat(bytes - around)));
    write(&*store, actor(limits.metadata_bytes)).await;
    assert_invalid(store.append_one(actor(limits.metadata_bytes + 1)).await, "metadata");
    let rejection = |bytes: usize| {
        let json = format!("\"{}\"", "x".repeat(bytes - 2));
        note(id, []).rejected(json.into()).idempotency_key(key(&format!("k{bytes}")))
    };
    write(&*store, rejection(limits.event_bytes)).await;
    assert_invalid(store.append_one(rejection(limits.event_bytes + 1)).await, "rejection");
    assert_eq!(stream(&*store, id).await.len(), 5, "what was refused is not there");
}
