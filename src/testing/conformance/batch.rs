//! Batches: appends that share a commit, each with its own answer.

use uuid::Uuid;

use super::{
    fixture::{Factory, fresh},
    sample::{
        assert_conflict, assert_invalid, assert_key_reused, assert_replay, assert_rising, assert_stream, key, log,
        note, noted, stream, write,
    },
};
use crate::store::{Append, Error, EventStoreExt as _, ExpectedVersion, Limits, NewEvent};

/// Each append of a batch answers for itself, in the batch's order.
///
/// A bad one fails no neighbour.
pub async fn store_p2_each_append_of_a_batch_has_its_own_answer(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let [new, taken, wrong_type, replayed, reused, last] = [(); 6].map(|()| Uuid::now_v7());
    let first = note(replayed, [1]).idempotency_key(key("k"));
    let first_answer = write(&*store, first.clone()).await;
    write(&*store, note(reused, [1]).idempotency_key(key("k"))).await;
    write(&*store, note(taken, [1])).await;
    write(&*store, note(wrong_type, [1])).await;
    let oversized = NewEvent::new("noted", &"x".repeat(Limits::default().event_bytes)).unwrap();
    let batch = vec![
        note(new, [1, 2]).expected(ExpectedVersion::New),
        note(taken, [2]).expected(ExpectedVersion::New),
        note(new, []).event(oversized),
        Append::new("ledger", wrong_type).events(noted([2])),
        first,
        note(reused, [2]).idempotency_key(key("k")),
        note(last, [1]).expected(ExpectedVersion::Exists),
        note(last, [1]).expected(ExpectedVersion::Exact(0)),
    ];
    let answers: [_; 8] = store.append(batch).await.try_into().expect("as many answers as appends");
    let [made, conflict, oversized, other_type, replay, reuse, missing, made_last] = answers;
    assert_eq!(made.expect("the first append is sound").version, 2);
    assert_conflict(conflict, ExpectedVersion::New, 1);
    assert_invalid(oversized, "bytes in a payload");
    assert_invalid(other_type, "notebook");
    assert_replay(replay, &first_answer);
    assert_key_reused(reuse);
    assert_conflict(missing, ExpectedVersion::Exists, 0);
    assert_eq!(made_last.expect("the last append is sound").version, 1);
    assert_stream(&*store, new, [1, 2]).await;
    for id in [taken, wrong_type, replayed, reused, last] {
        assert_stream(&*store, id, [1]).await;
    }
}

/// Appends of one aggregate in one batch are taken in their order, each after what the one before wrote.
pub async fn store_p2_one_aggregate_in_a_batch_is_taken_in_order(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id, other) = (fixture.store(), Uuid::now_v7(), Uuid::now_v7());
    let batch = vec![
        note(id, [1, 2]).expected(ExpectedVersion::New),
        note(other, [1]),
        note(id, [3]).expected(ExpectedVersion::Exact(2)),
        note(id, [4]),
        note(id, [5]).expected(ExpectedVersion::Exists),
        note(other, [2]).expected(ExpectedVersion::Exact(1)),
    ];
    let answers = store.append(batch).await;
    let versions: Vec<_> =
        answers.into_iter().map(|answer| answer.expect("each follows the one before").version).collect();
    assert_eq!(versions, [2, 1, 3, 4, 5, 2], "the versions, in the order of the batch");
    assert_stream(&*store, id, 1..6).await;
    assert_stream(&*store, other, [1, 2]).await;
    assert_rising(&log(&*store).await);
}

/// Of appends at one version in one batch the first wins, and one append sent twice is written once.
pub async fn store_p3_in_a_batch_the_first_at_a_version_wins(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    for expected in [ExpectedVersion::New, ExpectedVersion::Exact(1)] {
        let version = expected.named().unwrap();
        let winner = note(id, [version]).expected(expected);
        let answers = store.append(vec![winner.clone(), note(id, [99]).expected(expected), winner]).await;
        let [won, lost, again]: [_; 3] = answers.try_into().expect("as many answers as appends");
        let won = won.expect("the first at a version wins");
        assert_eq!((won.version, won.replayed), (version + 1, false));
        assert_conflict(lost, expected, version + 1);
        assert_replay(again, &won);
    }
    let keyed = note(id, [2]).idempotency_key(key("k"));
    let other = note(id, [3]).idempotency_key(key("k"));
    let answers = store.append(vec![keyed.clone(), keyed, other]).await;
    let [won, again, reused]: [_; 3] = answers.try_into().expect("as many answers as appends");
    assert_replay(again, &won.expect("the first under a key wins"));
    assert_key_reused(reused);
    assert_stream(&*store, id, [0, 1, 2]).await;
}

/// A batch of nothing is answered with nothing.
pub async fn store_p2_an_empty_batch_has_no_answers(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    assert!(store.append(Vec::new()).await.is_empty(), "no appends, no answers");
    assert!(log(&*store).await.is_empty(), "nothing was sent, nothing is there");
}

/// Batches of every size keep each event with its own append, at its own position.
pub async fn store_p2_batches_of_every_size_are_kept_whole(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let mut expected = 0;
    for size in [1_u64, 2, 3, 4, 5, 15, 17, 63, 64, 65, 130, 300] {
        let ids: Vec<_> = (0..size).map(|_| Uuid::now_v7()).collect();
        let appends: Vec<_> =
            (0..).zip(&ids).map(|(at, id)| note(*id, at..at + 1 + at % 3).idempotency_key(key("k"))).collect();
        let answers = store.append(appends.clone()).await;
        assert_eq!(answers.len(), appends.len(), "an answer for each append");
        for ((at, id), answer) in (0..).zip(&ids).zip(answers) {
            let appended = answer.expect("each append has an aggregate of its own");
            assert_eq!(appended.version, 1 + at % 3, "append {at} of {size}");
            let events = stream(&*store, *id).await;
            assert_eq!(events.last().map(|last| last.position()), appended.position, "append {at} of {size}");
            assert_stream(&*store, *id, at..at + 1 + at % 3).await;
            expected += 1 + at % 3;
        }
        let again = store.append(appends).await;
        assert!(again.iter().all(|answer| matches!(answer, Ok(appended) if appended.replayed)), "each is found again");
    }
    let log = log(&*store).await;
    assert_eq!(log.len() as u64, expected, "every event is in the log once");
    assert_rising(&log);
}

/// Histories at versions that were named are written each whole or not at all, beside others that have lost.
pub async fn store_p2_histories_at_named_versions_are_whole(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let ids: Vec<_> = (0..30).map(|_| Uuid::now_v7()).collect();
    let beginning = |id: &Uuid| note(*id, 1..=3).expected(ExpectedVersion::New);
    // Not in the order of their ids.
    let first: Vec<_> = ids.iter().rev().map(beginning).collect();
    let answers: Result<Vec<_>, _> = store.append(first.clone()).await.into_iter().collect();
    let answers = answers.expect("they are new");
    for (append, answer) in first.iter().zip(&answers) {
        let events = stream(&*store, append.aggregate_id).await;
        assert_eq!((answer.first_sequence, answer.version), (1, 3));
        assert_eq!(events.last().map(|last| last.position()), answer.position, "where its last event stands");
    }
    for (again, answer) in store.append(first).await.into_iter().zip(&answers) {
        assert_replay(again, answer);
    }
    // Every third goes on from where others have already gone on, or are not yet.
    for id in ids.iter().step_by(3) {
        write(&*store, note(*id, [4])).await;
    }
    let ahead = Uuid::now_v7();
    let mut second: Vec<_> = ids.iter().map(|id| note(*id, 5..=6).expected(ExpectedVersion::Exact(3))).collect();
    second.push(note(ahead, 5..=6).expected(ExpectedVersion::Exact(3)));
    for (at, (append, answer)) in second.iter().zip(store.append(second.clone()).await).enumerate() {
        if append.aggregate_id == ahead {
            assert_conflict(answer, ExpectedVersion::Exact(3), 0);
            assert_stream(&*store, ahead, []).await;
        } else if at.is_multiple_of(3) {
            assert_conflict(answer, ExpectedVersion::Exact(3), 4);
            assert_stream(&*store, append.aggregate_id, 1..=4).await;
        } else {
            assert_eq!(answer.expect("nobody was before it").version, 5);
            assert_stream(&*store, append.aggregate_id, [1, 2, 3, 5, 6]).await;
        }
    }
    assert_rising(&log(&*store).await);
}

/// In a batch of several aggregates each append is held to its type, to what it follows and to its version.
pub async fn store_p2_in_a_batch_each_is_held_to_what_it_expects(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    // Single events, and then histories.
    for events in [1..=1, 1..=3] {
        let [right, wrong_type, wrong_command, ahead, behind, again] = [(); 6].map(|()| Uuid::now_v7());
        let firsts = [right, wrong_type, wrong_command, ahead, behind, again].map(|id| note(id, [0]));
        for first in &firsts {
            write(&*store, first.clone()).await;
        }
        write(&*store, note(behind, [9])).await;
        let next = |id, version| note(id, events.clone()).expected(ExpectedVersion::Exact(version));
        let sent = next(again, 1);
        let sent_before = write(&*store, sent.clone()).await;
        let mut other_type = next(wrong_type, 1);
        other_type.aggregate_type = "ledger".into();
        let batch = vec![
            next(right, 1).follows(firsts[0].command_id),
            other_type,
            next(wrong_command, 1).follows(firsts[0].command_id),
            next(ahead, 2),
            next(behind, 1),
            sent,
        ];
        let answers: [_; 6] = store.append(batch).await.try_into().expect("as many answers as appends");
        let [written, typed, followed, early, late, replayed] = answers;
        assert_eq!(written.expect("all it expects holds").version, 1 + events.end());
        assert_invalid(typed, "notebook");
        assert_conflict(followed, ExpectedVersion::Exact(1), 1);
        assert_conflict(early, ExpectedVersion::Exact(2), 1);
        assert_conflict(late, ExpectedVersion::Exact(1), 2);
        assert_replay(replayed, &sent_before);
        for id in [right, again] {
            assert_stream(&*store, id, [0].into_iter().chain(events.clone())).await;
        }
        for id in [wrong_type, wrong_command, ahead] {
            assert_stream(&*store, id, [0]).await;
        }
        assert_stream(&*store, behind, [0, 9]).await;
    }
}

/// An id belongs to one type.
///
/// An append of another type is refused before its version is looked at.
pub async fn store_p1_an_id_belongs_to_one_type(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, [1])).await;
    for expected in [ExpectedVersion::Any, ExpectedVersion::New, ExpectedVersion::Exact(1), ExpectedVersion::Exact(5)] {
        let other = Append::new("ledger", id).events(noted([2])).expected(expected);
        let [answer]: [Result<_, Error>; 1] = store.append(vec![other]).await.try_into().unwrap();
        assert_invalid(answer, "notebook");
    }
    assert_stream(&*store, id, [1]).await;
}

/// An append that follows another is written only right behind that one's event, though the version alone would hold.
pub async fn store_p3_an_append_that_follows_another_falls_with_it(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let behind = |first: &Append, number: u64, version: u64| {
        note(id, [number]).expected(ExpectedVersion::Exact(version)).follows(first.command_id)
    };
    let foreign = note(id, [1]);
    write(&*store, foreign.clone()).await;
    let lost = note(id, [2]).expected(ExpectedVersion::New);
    let (late, sound) = (behind(&lost, 3, 1), behind(&foreign, 4, 1));
    let last = behind(&sound, 5, 2);
    let answers = store.append(vec![lost, late.clone(), sound.clone(), last.clone()]).await;
    let [lost, late_answer, sound_answer, last_answer]: [_; 4] =
        answers.try_into().expect("as many answers as appends");
    assert_conflict(lost, ExpectedVersion::New, 1);
    assert_conflict(late_answer, ExpectedVersion::Exact(1), 1);
    let (sound_answer, last_answer) = (sound_answer.expect("it follows"), last_answer.expect("it follows"));
    assert_conflict(store.append_one(late).await, ExpectedVersion::Exact(1), 3);
    assert_replay(store.append_one(sound).await, &sound_answer);
    assert_replay(store.append_one(last).await, &last_answer);
    assert_stream(&*store, id, [1, 4, 5]).await;
}
