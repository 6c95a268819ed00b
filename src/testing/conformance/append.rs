//! Appends and versions.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::{
    fixture::{Factory, fresh, with_clock},
    sample::{
        NOTEBOOK, assert_conflict, assert_invalid, assert_rising, assert_stream, log, note, noted, numbers,
        send_at_once, stream, write,
    },
};
use crate::store::{
    Append, Clock as _, EventStoreExt as _, ExpectedVersion, Limits, ManualClock, Metadata, NewEvent, StreamQuery,
};

/// An append to a new aggregate makes versions 1 to n, all of them readable.
pub async fn store_001_new_makes_versions_from_one(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let before = store.head().await.unwrap();
    let append = note(id, [7, 8, 9]).expected(ExpectedVersion::New).metadata(Metadata::new().actor("anna"));
    let appended = write(&*store, append.clone()).await;
    assert_eq!((appended.first_sequence, appended.version), (1, 3), "the sequences of three first events");
    assert_stream(&*store, id, [7, 8, 9]).await;
    let events = stream(&*store, id).await;
    let last = events.last().unwrap();
    assert_eq!(Some(last.position()), appended.position, "the answer's position is the last event's");
    assert_eq!(store.head().await.unwrap(), last.position(), "the head of the log is the last event");
    assert!(last.position() > before, "a new event stands after the old head");
    for event in &events {
        assert_eq!(event.aggregate_id(), id);
        assert_eq!((event.aggregate_type(), event.event_type(), event.schema_version()), (NOTEBOOK, "noted", 1));
        assert_eq!(event.command_id(), append.command_id, "each event names the append that wrote it");
        assert_eq!(event.recorded_at(), appended.recorded_at, "one append has one time");
        assert_eq!(event.metadata().unwrap(), append.metadata, "each event bears the append's metadata");
    }
}

/// An append that expects no event is a conflict where there are some.
pub async fn store_002_new_on_an_aggregate_with_events_is_a_conflict(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, [1, 2])).await;
    let late = note(id, [3]).expected(ExpectedVersion::New);
    assert_conflict(store.append_one(late).await, ExpectedVersion::New, 2);
    assert_stream(&*store, id, [1, 2]).await;
}

/// An append that expects events is a conflict where there are none.
pub async fn store_003_exists_without_events_is_a_conflict(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let append = note(id, [1]).expected(ExpectedVersion::Exists);
    assert_conflict(store.append_one(append).await, ExpectedVersion::Exists, 0);
    assert_stream(&*store, id, []).await;
}

/// An append that expects events does not mind how many.
pub async fn store_004_exists_appends_at_whatever_version(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, [1])).await;
    for version in 2..5 {
        let appended = write(&*store, note(id, [version]).expected(ExpectedVersion::Exists)).await;
        assert_eq!(appended.version, version);
    }
    assert_stream(&*store, id, 1..5).await;
}

/// An exact version above the aggregate's is a conflict: sequences have no holes.
pub async fn store_005_an_exact_version_never_leaves_a_hole(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    for version in [1, 2, 1_000, i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        let expected = ExpectedVersion::Exact(version);
        assert_conflict(store.append_one(note(id, [1, 2]).expected(expected)).await, expected, 0);
    }
    assert_stream(&*store, id, []).await;
    assert_eq!(write(&*store, note(id, [1]).expected(ExpectedVersion::Exact(0))).await.version, 1);
}

/// Of exact versions only the aggregate's own is taken.
pub async fn store_006_only_the_exact_version_is_taken(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, [1, 2, 3])).await;
    for version in [0, 1, 2, 4, u64::MAX] {
        let expected = ExpectedVersion::Exact(version);
        assert_conflict(store.append_one(note(id, [9]).expected(expected)).await, expected, 3);
    }
    assert_stream(&*store, id, [1, 2, 3]).await;
    assert_eq!(write(&*store, note(id, [4]).expected(ExpectedVersion::Exact(3))).await.version, 4);
    assert_stream(&*store, id, 1..5).await;
}

/// An append whose third event cannot be taken leaves none of the three.
pub async fn store_008_an_append_with_an_unsound_event_writes_none(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let oversized = NewEvent::new("noted", &"x".repeat(Limits::default().event_bytes)).unwrap();
    for (unsound, naming) in [
        (oversized, "bytes in a payload"),
        (NewEvent::new("", &3).unwrap(), "event type"),
        (NewEvent::new("noted", &3).unwrap().in_schema_version(0), "schema version"),
    ] {
        assert_invalid(store.append_one(note(id, [1, 2]).event(unsound)).await, naming);
    }
    assert_stream(&*store, id, []).await;
    assert!(log(&*store).await.is_empty(), "nothing of a refused append is in the log");
}

/// Of two writers at one version exactly one wins.
///
/// The other learns the actual version.
pub async fn store_009_of_two_writers_at_one_version_one_wins(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    for version in 0..20 {
        let expected = ExpectedVersion::Exact(version);
        let racers = (0..2).map(|racer| note(id, [2 * version + racer]).expected(expected)).collect();
        let answers = send_at_once(&store, racers).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "one of two writers at version {version} wins; the others: {lost:?}");
        for answer in lost {
            assert_conflict(answer, expected, version + 1);
        }
    }
    assert_eq!(stream(&*store, id).await.len(), 20, "every round wrote one event");
}

/// Twenty appends at any version to one aggregate all succeed, and none is lost.
pub async fn store_010_twenty_appends_at_any_version_all_succeed(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let answers = send_at_once(&store, (0..20).map(|task| note(id, [task])).collect()).await;
    let mut versions: Vec<_> =
        answers.into_iter().map(|answer| answer.expect("no version was named").version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=20).collect::<Vec<_>>(), "each append got a version of its own");
    let events = stream(&*store, id).await;
    super::sample::assert_dense(&events);
    let mut found = numbers(&events);
    found.sort_unstable();
    assert_eq!(found, (0..20).collect::<Vec<_>>(), "every acknowledged event is there, once");
}

/// Of twenty that create one aggregate exactly one succeeds.
pub async fn store_011_of_twenty_creators_one_succeeds(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let creators = (0..20).map(|task| note(id, [task, task]).expected(ExpectedVersion::New)).collect();
    let answers = send_at_once(&store, creators).await;
    let mut winner = None;
    for (task, answer) in (0..).zip(answers) {
        match answer {
            Ok(_) => assert_eq!(winner.replace(task), None, "a second creator succeeded"),
            lost => assert_conflict(lost, ExpectedVersion::New, 2),
        }
    }
    let winner = winner.expect("one of the creators succeeds");
    assert_stream(&*store, id, [winner, winner]).await;
}

/// Appends to different aggregates do not get in each other's way.
pub async fn store_012_appends_to_different_aggregates_never_meet(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let ids: Vec<_> = (0..20).map(|_| Uuid::now_v7()).collect();
    for version in 0..5 {
        let appends = ids.iter().map(|id| note(*id, [version]).expected(ExpectedVersion::Exact(version))).collect();
        for answer in send_at_once(&store, appends).await {
            assert_eq!(answer.expect("nobody else writes to this aggregate").version, version + 1);
        }
    }
    for id in ids {
        assert_stream(&*store, id, 0..5).await;
    }
    let log = log(&*store).await;
    assert_eq!(log.len(), 100);
    assert_rising(&log);
}

/// Payloads come back byte by byte: large, empty, Unicode, escapes, blanks and all.
pub async fn store_015_payloads_come_back_byte_by_byte(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let most = Limits::default().event_bytes;
    let large = format!("\"{}\"", "é".repeat((most - 2) / 2));
    assert_eq!(large.len(), most, "as large as an event may be");
    let payloads = [
        "null",
        "\"\"",
        "{}",
        "[]",
        "0",
        " { \"a\" : [ 1 , 2.50 , 1e400 ] ,\n\t\"a\" : null } ",
        r#""\u0000\u0001\ud83d\ude00\/""#,
        "\"ÄÖÜ ß 漢字 עברית 👩‍👩‍👧 \u{202e}\u{feff}\u{e000}\u{10ffff}\"",
        "\"'; DROP TABLE annals_events; -- \\\" $1 ?1 %s\"",
        "123456789012345678901234567890.000",
        &large,
    ];
    let id = Uuid::now_v7();
    for payload in payloads {
        let event = NewEvent::from_json("noted", payload).unwrap();
        write(&*store, Append::new(NOTEBOOK, id).event(event)).await;
    }
    let events = stream(&*store, id).await;
    assert_eq!(events.len(), payloads.len());
    for (event, payload) in events.iter().zip(payloads) {
        assert!(event.payload() == payload, "stored {payload:.100}, read {:.100}", event.payload());
    }
    assert!(events == log(&*store).await, "the log and the stream show the same events");
}

/// Times are the clock's, cut to microseconds, and are the same wherever they are shown.
pub async fn store_016_times_are_cut_to_microseconds(factory: &dyn Factory) {
    let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
    let Some(fixture) = with_clock(factory, &clock, "16").await else { return };
    let store = fixture.store();
    let id = Uuid::now_v7();
    let seconds = [-86_400, 0, 1_700_000_000, 10_413_792_000];
    let times = seconds.map(|seconds| DateTime::from_timestamp(seconds, 123_456_789).unwrap());
    for (number, time) in (0..).zip(times) {
        clock.set(time);
        assert_eq!(clock.now(), time);
        let whole = DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap();
        assert_eq!(time - whole, TimeDelta::nanoseconds(789), "what is cut off");
        let append = Append::new(NOTEBOOK, id)
            .events(noted([number]))
            .idempotency_key(super::sample::key(&format!("k{number}")));
        let appended = write(&*store, append.clone()).await;
        assert_eq!(appended.recorded_at, whole, "the answer's time");
        let again = store.append_one(append).await.unwrap();
        assert_eq!(again.recorded_at, whole, "the time a retry is told");
        let receipt = store.receipt(id, &super::sample::key(&format!("k{number}"))).await.unwrap().unwrap();
        assert_eq!(receipt.recorded_at, whole, "the receipt's time");
    }
    let stored: Vec<_> = stream(&*store, id).await.iter().map(|event| event.recorded_at()).collect();
    assert_eq!(stored, times.map(|time| time - TimeDelta::nanoseconds(789)), "the times stored");
    let until = store.collect_stream(&StreamQuery::of(id).recorded_until(times[1])).await.unwrap();
    assert_eq!(numbers(&until), [0, 1], "a time is compared as it was cut");
}
