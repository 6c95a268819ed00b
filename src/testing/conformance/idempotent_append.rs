//! Appends that are sent again: the first answer comes back, and nothing is written twice.

use serde_json::json;
use uuid::Uuid;

use super::{
    fixture::{Factory, fresh, with_restart},
    sample::{
        NOTEBOOK, assert_conflict, assert_dense, assert_key_reused, assert_replay, assert_stream, key, log, note,
        noted, numbers, send_at_once, stream, until_wait, write,
    },
};
use crate::store::{Append, EventStore, EventStoreExt as _, ExpectedVersion, Metadata, NewEvent};

/// An append of each kind to the same aggregate, one after the other: what it holds, and how it is known again.
async fn write_each_kind(store: &dyn EventStore, id: Uuid) -> Vec<(Append, crate::store::Appended)> {
    let mut written = Vec::new();
    for append in [
        note(id, [0, 1]).expected(ExpectedVersion::New),
        note(id, [2]).expected(ExpectedVersion::Exact(2)),
        note(id, [3, 4, 5]),
        note(id, [6]).expected(ExpectedVersion::Exists),
        note(id, [7]).idempotency_key(key("any")),
        note(id, [8]).idempotency_key(key("exact")).expected(ExpectedVersion::Exact(8)),
    ] {
        let appended = write(store, append.clone()).await;
        written.push((append, appended));
    }
    written
}

async fn assert_each_is_known(store: &dyn EventStore, written: &[(Append, crate::store::Appended)]) {
    for (append, appended) in written {
        for _ in 0..2 {
            assert_replay(store.append_one(append.clone()).await, appended);
        }
    }
}

/// An append sent again at once gets its first answer, whatever it expected.
pub async fn store_021_an_append_sent_again_gets_its_first_answer(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let written = write_each_kind(&*store, id).await;
    assert_each_is_known(&*store, &written).await;
    let once_more = store.append(written.iter().map(|(append, _)| append.clone()).collect()).await;
    for (again, (_, first)) in once_more.into_iter().zip(&written) {
        assert_replay(again, first);
    }
    assert_stream(&*store, id, 0..9).await;
    assert_eq!(log(&*store).await.len(), 9, "retries wrote nothing");
}

/// An append sent again after others were written gets its first answer.
pub async fn store_022_a_late_retry_gets_its_first_answer(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let written = write_each_kind(&*store, id).await;
    for other in 9..60 {
        write(&*store, note(id, [other])).await;
        write(&*store, note(Uuid::now_v7(), [other])).await;
    }
    assert_each_is_known(&*store, &written).await;
    assert_stream(&*store, id, 0..60).await;
}

/// An append sent again after a restart gets its first answer, whatever it expected.
pub async fn store_023_a_retry_after_a_restart_gets_its_first_answer(factory: &dyn Factory) {
    let Some(mut fixture) = with_restart(factory, "23").await else { return };
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let written = write_each_kind(&*store, id).await;
    for other in 0..300 {
        write(&*store, note(Uuid::now_v7(), [other])).await;
    }
    drop(store);
    fixture.reopen().await;
    let store = fixture.store();
    assert_each_is_known(&*store, &written).await;
    assert_stream(&*store, id, 0..9).await;
}

/// An append whose events were only partly written under its command id is refused.
pub async fn store_025_a_partly_known_append_is_refused(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for expected in [ExpectedVersion::New, ExpectedVersion::Any] {
        let id = Uuid::now_v7();
        let first = note(id, [1, 2]).expected(expected);
        write(&*store, first.clone()).await;
        for other in [vec![1, 3], vec![1, 2, 3], vec![1], vec![2], vec![2, 1], vec![3, 4]] {
            let other = note(id, other).expected(expected).command_id(first.command_id);
            assert_key_reused(store.append_one(other).await);
        }
        write(&*store, note(id, [3])).await;
        let longer = note(id, [1, 2, 3]).expected(expected).command_id(first.command_id);
        assert_key_reused(store.append_one(longer).await);
        assert_stream(&*store, id, [1, 2, 3]).await;
    }
}

/// A command id that comes again with any other content is refused, never taken for a retry.
pub async fn store_026_a_command_id_with_other_content_is_refused(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for (expected, keyed) in
        [(ExpectedVersion::New, false), (ExpectedVersion::Any, false), (ExpectedVersion::Any, true)]
    {
        let id = Uuid::now_v7();
        let metadata = Metadata::new().actor("anna").with("trace", 1);
        let first = Append::new(NOTEBOOK, id).expected(expected).metadata(metadata.clone());
        let first = if keyed { first.idempotency_key(key("k")) } else { first };
        let with = |event: NewEvent| first.clone().event(event);
        let event = NewEvent::new("noted", &json!({"a": 1})).unwrap();
        let appended = write(&*store, with(event.clone())).await;
        let others = [
            with(NewEvent::new("noted", &json!({"a": 2})).unwrap()),
            with(NewEvent::from_json("noted", "{\"a\": 1}").unwrap()),
            with(NewEvent::new("noted-down", &json!({"a": 1})).unwrap()),
            with(event.clone().in_schema_version(2)),
            with(event.clone()).metadata(metadata.clone().actor("bert")),
            with(event.clone()).metadata(metadata.with("trace", 2)),
            with(event.clone()).metadata(Metadata::new()),
        ];
        for other in others {
            assert_key_reused(store.append_one(other).await);
        }
        assert_replay(store.append_one(with(event)).await, &appended);
        assert_eq!(stream(&*store, id).await.len(), 1, "nothing else was written");
    }
}

/// Command ids are scoped by aggregate.
///
/// The same one at another aggregate is another append.
pub async fn store_027_command_ids_are_scoped_by_aggregate(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for expected in [ExpectedVersion::New, ExpectedVersion::Any] {
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        let first = note(one, [1]).expected(expected);
        let appended = write(&*store, first.clone()).await;
        write(&*store, note(other, [2]).expected(expected).command_id(first.command_id)).await;
        assert_replay(store.append_one(first).await, &appended);
        assert_stream(&*store, one, [1]).await;
        assert_stream(&*store, other, [2]).await;
    }
}

/// A retry is known before its version is looked at.
///
/// Its own events are no conflict.
pub async fn store_030_a_retry_is_known_before_its_version_is_checked(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, [1])).await;
    let pinned = note(id, [2]).expected(ExpectedVersion::Exact(1));
    let appended = write(&*store, pinned.clone()).await;
    assert_replay(store.append_one(pinned.clone()).await, &appended);
    write(&*store, note(id, [3])).await;
    assert_replay(store.append_one(pinned).await, &appended);
    let late = note(id, [2]).expected(ExpectedVersion::Exact(1));
    assert_conflict(store.append_one(late).await, ExpectedVersion::Exact(1), 3);
    let keyed = note(id, [4]).expected(ExpectedVersion::Exact(3)).idempotency_key(key("k"));
    let appended = write(&*store, keyed.clone()).await;
    assert_replay(store.append_one(keyed.clone().expected(ExpectedVersion::New)).await, &appended);
    assert_replay(store.append_one(keyed.expected(ExpectedVersion::Exact(77))).await, &appended);
    assert_stream(&*store, id, 1..5).await;
}

/// One append sent twenty times at once is written once, and every sender gets the same answer.
pub async fn store_032_an_append_sent_many_times_at_once_is_written_once(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for expected in [ExpectedVersion::New, ExpectedVersion::Any, ExpectedVersion::Exact(0)] {
        for keyed in [false, true] {
            let id = Uuid::now_v7();
            let append = note(id, [1, 2]).expected(expected);
            let append = if keyed { append.idempotency_key(key("k")) } else { append };
            let answers = send_at_once(&store, vec![append; 20]).await;
            let mut answers: Vec<_> =
                answers.into_iter().map(|answer| answer.expect("all are the same append")).collect();
            assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "one of them wrote");
            answers.iter_mut().for_each(|answer| answer.replayed = true);
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "all answers are the same: {answers:?}");
            assert_stream(&*store, id, [1, 2]).await;
        }
    }
}

/// An append that is dropped wherever it waits, and sent again, is there once.
pub async fn store_033_an_append_dropped_half_way_is_there_once(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let mut answered = 0;
    for round in 0..60 {
        let append = match round % 3 {
            0 => note(id, [round]),
            1 => note(id, [round]).expected(ExpectedVersion::Exact(round)),
            _ => note(id, [round]).idempotency_key(key(&format!("round-{round}"))),
        };
        // Answered in time, or dropped at its n-th wait.
        let dropped = until_wait(store.append_one(append.clone()), 1 + round / 3).await.is_none();
        answered += u64::from(!dropped);
        let appended = store.append_one(append).await.expect("what was dropped can be sent again");
        assert_eq!(appended.version, round + 1, "round {round} wrote one event");
    }
    assert!(answered < 60, "some of the appends have to be dropped");
    let events = stream(&*store, id).await;
    assert_dense(&events);
    assert_eq!(numbers(&events), (0..60).collect::<Vec<_>>(), "each round is there once, in its order");
}

/// Events of one append can be told from another's of the same content.
///
/// Nothing is merged by content.
pub async fn store_p2_equal_events_of_two_appends_are_two(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let append = note(id, [1, 1]);
    write(&*store, append.clone()).await;
    write(&*store, Append { command_id: Uuid::now_v7(), ..append.clone() }).await;
    write(&*store, Append::new(NOTEBOOK, id).events(noted([1])).idempotency_key(key("a"))).await;
    write(&*store, Append::new(NOTEBOOK, id).events(noted([1])).idempotency_key(key("b"))).await;
    assert_stream(&*store, id, [1; 6]).await;
}
