//! Receipts: what a store keeps of a request under a key.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::{
    fixture::{Factory, fresh, with_clock},
    sample::{
        assert_conflict, assert_invalid, assert_key_reused, assert_replay, assert_stream, key, log, note, noted,
        send_at_once, write,
    },
};
use crate::store::{
    Append, EventStore as _, EventStoreExt as _, ExpectedVersion, Fingerprint, ManualClock, ReceiptOutcome, StreamQuery,
};

/// A receipt says what its append was answered, and is found by a look-up and by a read alike.
pub async fn store_p4_a_receipt_says_what_was_answered(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, [1])).await;
    let fingerprint = Fingerprint::of("the request").unwrap();
    let append = note(id, [2, 3]).idempotency_key(key("k")).fingerprint(fingerprint);
    let appended = write(&*store, append.clone()).await;
    write(&*store, note(id, [4])).await;
    let receipt = store.receipt(id, &key("k")).await.unwrap().expect("a keyed append leaves a receipt");
    assert_eq!((receipt.first_sequence, receipt.last_sequence), (2, 3), "the events it wrote");
    assert_eq!((receipt.position, receipt.recorded_at), (appended.position, appended.recorded_at));
    assert_eq!((receipt.command_id, receipt.fingerprint), (append.command_id, fingerprint));
    assert_eq!((&receipt.outcome, receipt.expires_at), (&ReceiptOutcome::Accepted, None));
    let mut visited = 0;
    let read = store
        .read_stream(&StreamQuery::of(id).receipt_of(key("k")), &mut |_| {
            visited += 1;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((read.version, read.receipt.as_ref(), visited), (4, Some(&receipt), 0), "no events beside a receipt");
    let unknown = store.read_stream(&StreamQuery::of(id).receipt_of(key("other")), &mut |_| Ok(())).await.unwrap();
    assert_eq!((unknown.version, unknown.receipt), (4, None), "events where there is no receipt");
    assert_eq!(store.receipt(Uuid::now_v7(), &key("k")).await.unwrap(), None, "of another aggregate");
    assert_eq!(store.receipt(id, &key("K")).await.unwrap(), None, "keys are told apart by case");
}

/// The order in which an append is looked at: receipt, own events, type, version.
pub async fn store_p4_the_first_check_that_fits_answers(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let first = note(id, [1]).expected(ExpectedVersion::New).idempotency_key(key("k"));
    let appended = write(&*store, first.clone()).await;
    // The receipt, though type and version are wrong as well.
    let wrong = Append { aggregate_type: "ledger".into(), expected: ExpectedVersion::Exact(9), ..first.clone() };
    assert_replay(store.append_one(wrong.clone()).await, &appended);
    assert_key_reused(store.append_one(wrong.event(noted([2]).remove(0))).await);
    // Its own events, though no receipt is asked for and the type is wrong.
    let own = Append { key: None, aggregate_type: "ledger".into(), ..first.clone() };
    assert_replay(store.append_one(own.clone()).await, &appended);
    assert_key_reused(store.append_one(own.event(noted([2]).remove(0))).await);
    // The type, though the version is wrong as well.
    let other = Append::new("ledger", id).events(noted([2])).expected(ExpectedVersion::Exact(9));
    assert_invalid(store.append_one(other).await, "notebook");
    // The version comes last.
    let late = note(id, [2]).expected(ExpectedVersion::Exact(9)).idempotency_key(key("late"));
    assert_conflict(store.append_one(late).await, ExpectedVersion::Exact(9), 1);
    assert_eq!(store.receipt(id, &key("late")).await.unwrap(), None, "a conflict uses no key up");
    assert_stream(&*store, id, [1]).await;
}

/// An append without events is remembered under its key, at the version it was made at.
pub async fn store_045_an_append_without_events_leaves_a_receipt(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    for version in [0, 1] {
        let expected = ExpectedVersion::Exact(version);
        let nothing = note(id, []).expected(expected).idempotency_key(key(&format!("at-{version}")));
        let appended = write(&*store, nothing.clone()).await;
        assert_eq!((appended.first_sequence, appended.version, appended.position), (version + 1, version, None));
        write(&*store, note(id, [version])).await;
        assert_replay(store.append_one(nothing.clone()).await, &appended);
        assert_key_reused(store.append_one(nothing.event(noted([9]).remove(0))).await);
        let late = note(id, []).expected(expected).idempotency_key(key("late"));
        assert_conflict(store.append_one(late).await, expected, version + 1);
    }
    assert_invalid(store.append_one(note(id, [])).await, "key");
    assert_eq!(store.receipt(id, &key("late")).await.unwrap(), None, "a conflict uses no key up");
    assert_stream(&*store, id, [0, 1]).await;
}

/// A rejection is written only at the version it was decided at, and is replayed ever after.
pub async fn store_038_a_rejection_is_kept_only_at_the_version_it_was_decided_at(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let json = "{\"reason\":\"'no', she said \\u0000 👩‍👩‍👧\"}";
    let fingerprint = Fingerprint::of("the request").unwrap();
    let rejected = |version| {
        let append = note(id, []).expected(ExpectedVersion::Exact(version)).rejected(json.into());
        append.idempotency_key(key("k")).fingerprint(fingerprint)
    };
    write(&*store, note(id, [1])).await;
    assert_conflict(store.append_one(rejected(0)).await, ExpectedVersion::Exact(0), 1);
    assert_eq!(store.receipt(id, &key("k")).await.unwrap(), None, "a rejection of a past state is not kept");
    let appended = write(&*store, rejected(1)).await;
    assert_eq!(appended.outcome, ReceiptOutcome::Rejected { rejection: json.into() });
    assert_eq!((appended.version, appended.position), (1, None));
    write(&*store, note(id, [2])).await;
    for version in [1, 2] {
        assert_replay(store.append_one(rejected(version)).await, &appended);
    }
    let accepted = note(id, [3]).idempotency_key(key("k")).fingerprint(fingerprint);
    assert_replay(store.append_one(accepted.clone()).await, &appended);
    assert_key_reused(store.append_one(accepted.fingerprint(Fingerprint::of("another").unwrap())).await);
    let receipt = store.receipt(id, &key("k")).await.unwrap().expect("the rejection was kept");
    assert_eq!(receipt.outcome, appended.outcome);
    assert_stream(&*store, id, [1, 2]).await;
}

/// A rejection stands instead of events and under a key.
///
/// Anything else is refused before it is sent.
pub async fn store_p4_a_rejection_has_a_key_and_no_events(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let rejected = |append: Append| append.rejected("\"no\"".into());
    assert_invalid(store.append_one(rejected(note(id, [1]))).await, "rejection");
    assert_invalid(store.append_one(rejected(note(id, [1]).idempotency_key(key("k")))).await, "rejection");
    assert_invalid(store.append_one(rejected(note(id, []))).await, "key");
    assert!(log(&*store).await.is_empty(), "nothing was written");
    assert_eq!(store.receipt(id, &key("k")).await.unwrap(), None, "nothing was kept");
}

/// Of different requests under one key at once exactly one is carried out.
///
/// The others are refused.
pub async fn store_035_different_requests_under_one_key_at_once(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let answers = send_at_once(&store, (0..20).map(|task| note(id, [task]).idempotency_key(key("k"))).collect()).await;
    let mut winner = None;
    for (task, answer) in (0..).zip(answers) {
        match answer {
            Ok(_) => assert_eq!(winner.replace(task), None, "a second request was carried out"),
            lost => assert_key_reused(lost),
        }
    }
    assert_stream(&*store, id, winner).await;
}

/// A receipt ends when its time has come, to the microsecond.
///
/// Then the key is a new request.
pub async fn store_p4_an_expired_receipt_frees_its_key(factory: &dyn Factory) {
    let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let Some(fixture) = with_clock(factory, &clock, "P4, expiry").await else { return };
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let first = note(id, [1, 2]).idempotency_key(key("k")).keep_receipt_for(Duration::from_secs(60));
    let appended = write(&*store, first.clone()).await;
    let receipt = store.receipt(id, &key("k")).await.unwrap().expect("a keyed append leaves a receipt");
    assert_eq!(receipt.expires_at, Some(start + TimeDelta::seconds(60)));
    clock.set(start + TimeDelta::seconds(60) - TimeDelta::microseconds(1));
    assert_replay(store.append_one(first.clone()).await, &appended);
    assert_key_reused(store.append_one(note(id, [3]).idempotency_key(key("k"))).await);
    clock.set(start + TimeDelta::seconds(60));
    assert_eq!(store.receipt(id, &key("k")).await.unwrap(), None, "an expired receipt is none");
    let other = write(&*store, note(id, [3]).idempotency_key(key("k"))).await;
    let receipt = store.receipt(id, &key("k")).await.unwrap().expect("the new receipt took the place of the old");
    assert_eq!((receipt.first_sequence, receipt.position, receipt.expires_at), (3, other.position, None));
    assert_key_reused(store.append_one(first).await);
    assert_stream(&*store, id, [1, 2, 3]).await;
}

/// After its receipt has expired, a retry that names its version is still known by its own events.
pub async fn store_p4_a_pinned_retry_outlives_its_receipt(factory: &dyn Factory) {
    let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let Some(fixture) = with_clock(factory, &clock, "P4, pinned retry").await else { return };
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, [1])).await;
    let pinned = note(id, [2, 3]).expected(ExpectedVersion::Exact(1)).idempotency_key(key("k"));
    let pinned = pinned.keep_receipt_for(Duration::from_secs(1));
    let appended = write(&*store, pinned.clone()).await;
    clock.advance(Duration::from_secs(3_600));
    write(&*store, note(id, [4])).await;
    assert_replay(store.append_one(pinned.clone()).await, &appended);
    assert_key_reused(store.append_one(pinned.event(noted([9]).remove(0))).await);
    assert_stream(&*store, id, 1..5).await;
}

/// Receipts without an end, and with one no calendar can hold, are kept for ever.
pub async fn store_p4_receipts_are_kept_for_ever_by_default(factory: &dyn Factory) {
    let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
    let Some(fixture) = with_clock(factory, &clock, "P4, retention").await else { return };
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let plain = note(id, [1]).idempotency_key(key("plain"));
    let long = note(id, [2]).idempotency_key(key("long")).keep_receipt_for(Duration::MAX);
    let (first, second) = (write(&*store, plain.clone()).await, write(&*store, long.clone()).await);
    clock.set(DateTime::from_timestamp(250_000_000_000, 0).unwrap());
    assert_replay(store.append_one(plain).await, &first);
    assert_replay(store.append_one(long).await, &second);
    let never = note(id, [3]).idempotency_key(key("never")).keep_receipt_for(Duration::ZERO);
    assert_invalid(store.append_one(never).await, "receipt");
    assert_stream(&*store, id, [1, 2]).await;
}
