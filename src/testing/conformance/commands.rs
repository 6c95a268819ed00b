//! Commands under idempotency keys.

use std::time::Duration;

use uuid::Uuid;

use super::{
    fixture::{Factory, fresh},
    sample::{at_once, key, stream},
    tally::{Command, Event, Eventful, Happening, Rejection, Tally},
};
use crate::{
    command::{ExecuteError, Executed, Outcome, Retry},
    domain::{Id, Upcasters},
    store::{Append, Error, EventStore as _, ExpectedVersion, IdempotencyKey, NewEvent},
};

type Ended = Result<Executed, ExecuteError<Rejection>>;

/// An event that somebody else writes.
fn added(id: Id<Tally>, by: u64) -> Box<Append> {
    let append = Append::to(id).event(NewEvent::encode(&Event::Added { by }, &Upcasters::none()).unwrap());
    Box::new(append)
}

#[track_caller]
fn assert_rejected(ended: Ended, expected: &Rejection, replay: bool) {
    match ended {
        Err(ExecuteError::Rejected { rejection, replayed }) => {
            assert_eq!((&rejection, replayed), (expected, replay), "the rejection, and whether it is a replay");
        }
        other => panic!("expected the rejection {expected:?}, got {other:?}"),
    }
}

#[track_caller]
fn assert_reused(ended: Ended) {
    match ended {
        Err(ExecuteError::Store(Error::KeyReused { .. })) => {}
        other => panic!("expected the key to be refused, got {other:?}"),
    }
}

/// A command sent again under its key is not decided again.
///
/// The stored outcome comes back.
pub async fn store_034_a_command_sent_again_is_not_decided_again(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let tallies = fixture.repository(&store);
    let command = Command::add_each([2, 3]);
    let first = tallies.execute(id, &command).idempotency_key(key("k")).await.unwrap();
    assert_eq!((first.first_sequence, first.version, first.events(), first.replayed), (1, 2, 2, false));
    assert_eq!(command.decisions(), 1);
    tallies.execute(id, &Command::take(5)).await.unwrap();
    for other in [tallies.clone(), fixture.repository(&store)] {
        let again = other.execute(id, &command).idempotency_key(key("k")).await.unwrap();
        assert_eq!(again, Executed { replayed: true, ..first.clone() }, "the first answer, marked as a replay");
    }
    fixture.assert_decided(&command, 1);
    let outcome = tallies.outcome(id, &key("k")).await.unwrap();
    assert_eq!(outcome, Some(Outcome::Accepted(Executed { replayed: true, ..first })));
    assert_eq!(tallies.outcome(id, &key("other")).await.unwrap(), None, "nothing was sent under this key");
    assert_eq!(tallies.load(id).await.unwrap().version, 3);
}

/// An accepted command whose retry would by now be rejected gets its acceptance.
///
/// A pinned version is not looked at.
pub async fn store_034_a_retry_is_answered_before_anything_is_checked(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let tallies = fixture.repository(&store);
    tallies.execute(id, &Command::add(5)).await.unwrap();
    let take = Command::take(5);
    let send = || tallies.execute(id, &take).idempotency_key(key("k")).expected_version(ExpectedVersion::Exact(1));
    let first = send().await.unwrap();
    assert_eq!(tallies.load(id).await.unwrap().state.sum, 0, "there is nothing left to take");
    assert_eq!(send().await.unwrap(), Executed { replayed: true, ..first });
    assert_eq!(take.decisions(), 1);
    assert_eq!(tallies.load(id).await.unwrap().version, 2);
}

/// Another request under a used key is refused and changes nothing.
///
/// The first one's retry still gets its answer.
pub async fn store_035_another_request_under_a_used_key_is_refused(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let tallies = fixture.repository(&store);
    let first = tallies.execute(id, &Command::add(2)).idempotency_key(key("k")).await.unwrap();
    let before = tallies.load(id).await.unwrap();
    for other in [Command::add(3), Command::take(2), Command::nothing(), Command::take(999)] {
        assert_reused(tallies.execute(id, &other).idempotency_key(key("k")).await);
        fixture.assert_decided(&other, 0);
    }
    assert_eq!(tallies.load(id).await.unwrap(), before, "the state is untouched");
    let again = tallies.execute(id, &Command::add(2)).idempotency_key(key("k")).await.unwrap();
    assert_eq!(again, Executed { replayed: true, ..first });
    // What the client sent decides, where it is told: not what the command holds beside it.
    let (seven, eight) = (Command::add(7), Command::add(8));
    let told = |command, request| tallies.execute(id, command).idempotency_key(key("told")).fingerprint_of(request);
    told(&seven, "request").await.unwrap();
    assert!(told(&eight, "request").await.unwrap().replayed, "the same request with another command");
    assert_reused(told(&seven, "another").await);
}

/// Fifty calls at once under a new key: one effect, fifty equal outcomes.
pub async fn store_036_fifty_calls_at_once_have_one_effect(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let answers = at_once(50, |_| {
        let tallies = fixture.repository(&store);
        async move { tallies.execute(id, &Command::add_each([1, 1])).idempotency_key(key("k")).await }
    })
    .await;
    let mut answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("all are the same request")).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "one call had the effect");
    answers.iter_mut().for_each(|answer| answer.replayed = true);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "all outcomes are equal: {answers:?}");
    assert_eq!(stream(&*store, id.uuid()).await.len(), 2, "the events are there once");
    let rejections = at_once(50, |_| {
        let tallies = fixture.repository(&store);
        async move { tallies.execute(id, &Command::take(9)).idempotency_key(key("no")).await }
    })
    .await;
    let told: Vec<_> = rejections.iter().filter_map(|ended| ended.as_ref().err()?.rejection()).collect();
    assert_eq!(told, [&Rejection::NotEnough { wanted: 9, there: 2 }; 50], "all get the same rejection");
}

/// A command lost between its decision and its commit is carried out once, by its retry.
pub async fn store_037_a_command_lost_before_its_commit_is_executed_by_its_retry(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let gone = Happening::Lost(Error::OutcomeUnknown { source: None });
    let eventful = Eventful::new(&store, [gone]);
    let command = Command::add(2);
    let ended =
        fixture.repository(&eventful).retry(Retry::never()).execute(id, &command).idempotency_key(key("k")).await;
    assert!(
        matches!(&ended, Err(ExecuteError::Store(error)) if error.is_outcome_unknown()),
        "a lost attempt is not guessed at: {ended:?}"
    );
    let tallies = fixture.repository(&store);
    assert_eq!(tallies.outcome(id, &key("k")).await.unwrap(), None, "neither events nor receipt were written");
    assert!(!tallies.load(id).await.unwrap().exists());
    let done = tallies.execute(id, &command).idempotency_key(key("k")).await.unwrap();
    assert_eq!((done.version, done.replayed), (1, false));
    assert_eq!(tallies.load(id).await.unwrap().state.sum, 2);
}

/// A command whose replies are lost is found out about: it took effect once.
pub async fn store_p5_a_lost_reply_is_found_out_about(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let unknown = || Error::OutcomeUnknown { source: None };
    for keyed in [true, false] {
        let id = Id::<Tally>::new();
        let plan = [
            Happening::Lost(unknown()),
            Happening::Lost(Error::Unavailable { source: None }),
            Happening::ReplyLost(unknown()),
            Happening::Lost(Error::Contention { source: None }),
        ];
        let eventful = Eventful::new(&store, plan);
        let tallies = fixture.repository(&eventful);
        let command = Command::add_each([2, 3]);
        let execute = tallies.execute(id, &command);
        let done = if keyed { execute.idempotency_key(key("k")) } else { execute }.await.unwrap();
        assert_eq!((done.first_sequence, done.version), (1, 2));
        assert_eq!(done.replayed, keyed, "who wrote a receipt is not known; without a key it was this very call");
        eventful.assert_all_happened();
        assert_eq!(tallies.load(id).await.unwrap().state, Tally { sum: 5, events: 2 });
    }
}

/// A rejection whose reply is lost is found out about, and a later acceptance does not replace it.
pub async fn store_p5_a_rejection_with_a_lost_reply_stands(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let lost = Happening::ReplyLost(Error::OutcomeUnknown { source: None });
    let eventful = Eventful::new(&store, [lost, Happening::Overtaken(added(id, 100))]);
    let rejection = Rejection::NotEnough { wanted: 5, there: 0 };
    let take = Command::take(5);
    assert_rejected(fixture.repository(&eventful).execute(id, &take).idempotency_key(key("k")).await, &rejection, true);
    eventful.assert_all_happened();
    assert_eq!(take.decisions(), 1, "the frozen attempt is sent again, not decided again");
}

/// A lost attempt that somebody else overtook is dead.
///
/// The command is decided again and takes effect once.
pub async fn store_p5_a_dead_attempt_is_decided_again(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for keyed in [true, false] {
        let id = Id::<Tally>::new();
        let plan = [Happening::Lost(Error::OutcomeUnknown { source: None }), Happening::Overtaken(added(id, 10))];
        let eventful = Eventful::new(&store, plan);
        let tallies = fixture.repository(&eventful);
        let command = Command::add(1);
        let execute = tallies.execute(id, &command);
        let done = if keyed { execute.idempotency_key(key("k")) } else { execute }.await.unwrap();
        eventful.assert_all_happened();
        assert_eq!((done.version, command.decisions()), (2, 2), "decided again on what the other wrote");
        assert_eq!(tallies.load(id).await.unwrap().state, Tally { sum: 11, events: 2 });
    }
}

/// A rejection is recorded.
///
/// Every retry gets the same one, though the command would by now be accepted.
pub async fn store_038_a_rejection_is_replayed(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let tallies = fixture.repository(&store);
    let take = Command::take(5);
    let rejection = Rejection::NotEnough { wanted: 5, there: 0 };
    assert_rejected(tallies.execute(id, &take).idempotency_key(key("k")).await, &rejection, false);
    tallies.execute(id, &Command::add(10)).await.unwrap();
    assert_rejected(tallies.execute(id, &take).idempotency_key(key("k")).await, &rejection, true);
    fixture.assert_decided(&take, 1);
    assert_eq!(tallies.outcome(id, &key("k")).await.unwrap(), Some(Outcome::Rejected(rejection)));
    assert_reused(tallies.execute(id, &Command::take(6)).idempotency_key(key("k")).await);
    tallies.execute(id, &take).idempotency_key(key("a-new-one")).await.unwrap();
    assert_rejected(tallies.execute(id, &Command::take(6)).await, &Rejection::NotEnough { wanted: 6, there: 5 }, false);
    assert_eq!(tallies.load(id).await.unwrap().state, Tally { sum: 5, events: 2 });
}

/// A rejection that was overtaken is decided again, on what the other wrote.
pub async fn store_038_an_overtaken_rejection_is_decided_again(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let eventful = Eventful::new(&store, [Happening::Overtaken(added(id, 10))]);
    let take = Command::take(5);
    let done = fixture.repository(&eventful).execute(id, &take).idempotency_key(key("k")).await.unwrap();
    assert_eq!((done.version, take.decisions()), (2, 2), "rejected on the old state, accepted on the new");
}

/// A conflict within an attempt uses no key up.
///
/// The command is decided again, or the conflict returned where pinned.
pub async fn store_039_a_conflict_uses_no_key_up(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let eventful = Eventful::new(&store, [Happening::Overtaken(added(id, 10)), Happening::Overtaken(added(id, 20))]);
    let command = Command::add(1);
    let done = fixture.repository(&eventful).execute(id, &command).idempotency_key(key("k")).await.unwrap();
    eventful.assert_all_happened();
    assert_eq!((done.version, command.decisions()), (3, 3));
    let tallies = fixture.repository(&store);
    for expected in [ExpectedVersion::Exact(1), ExpectedVersion::New, ExpectedVersion::Exact(4)] {
        let pinned = Command::add(1);
        let ended = tallies.execute(id, &pinned).idempotency_key(key("pinned")).expected_version(expected).await;
        match ended {
            Err(ExecuteError::Store(Error::Conflict { expected: told, actual: 3, .. })) => assert_eq!(told, expected),
            other => panic!("expected a conflict with {expected}, got {other:?}"),
        }
        assert_eq!(pinned.decisions(), 0, "a pinned version is checked before the decision");
        assert_eq!(tallies.outcome(id, &key("pinned")).await.unwrap(), None);
    }
    let pinned = Command::add(1);
    let execute = tallies.execute(id, &pinned).idempotency_key(key("pinned"));
    let done = execute.expected_version(ExpectedVersion::Exact(3)).await.expect("the key was still free");
    assert_eq!(done.version, 4);
}

/// A version pinned on an aggregate that is not there is a conflict, returned and not retried.
pub async fn store_039_a_pinned_aggregate_that_is_not_there_is_a_conflict(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let patient = Retry { max_time: Duration::from_secs(3_600), max_attempts: u32::MAX, ..Retry::default() };
    let tallies = fixture.repository(&store).retry(patient);
    let ended = tallies.execute(id, &Command::add(1)).expected_version(ExpectedVersion::Exists).await;
    assert!(
        matches!(
            &ended,
            Err(ExecuteError::Store(Error::Conflict { expected: ExpectedVersion::Exists, actual: 0, .. }))
        ),
        "expected a conflict, got {ended:?}"
    );
    tallies.execute(id, &Command::add(1)).await.unwrap();
    let eventful = Eventful::new(&store, [Happening::Overtaken(added(id, 10))]);
    let command = Command::add(1);
    let tallies = fixture.repository(&eventful);
    let done = tallies.execute(id, &command).expected_version(ExpectedVersion::Exists).await.unwrap();
    assert_eq!((done.version, command.decisions()), (3, 2), "an aggregate that is there is what was pinned");
}

/// A database that is away or busy uses no key up.
///
/// The command is tried again, within bounds.
pub async fn store_040_a_failed_database_uses_no_key_up(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let failures = || [Error::Contention { source: None }, Error::Unavailable { source: None }].map(Happening::Lost);
    for failure in [
        Error::Contention { source: None },
        Error::Unavailable { source: None },
        Error::Backend { fault: crate::store::Fault::Full, detail: None, source: None },
    ] {
        let wanted = failure.to_string();
        let eventful = Eventful::new(&store, [Happening::Lost(failure)]);
        let once = fixture.repository(&eventful).retry(Retry::never());
        let ended = once.execute(id, &Command::add(1)).idempotency_key(key("k")).await;
        let told = ended.expect_err("nothing was sent");
        let told = told.store_error().expect("it is the store's").to_string();
        assert_eq!(told, wanted, "the failure is told as it was");
        assert_eq!(once.outcome(id, &key("k")).await.unwrap(), None, "the key is still free");
    }
    let eventful = Eventful::new(&store, failures());
    let done = fixture.repository(&eventful).execute(id, &Command::add(1)).idempotency_key(key("k")).await;
    let done = done.expect("nothing was written, so it was tried again");
    eventful.assert_all_happened();
    assert_eq!((done.version, done.replayed), (1, false));
    assert_eq!(stream(&*store, id.uuid()).await.len(), 1);
}

/// Keys are scoped by aggregate.
///
/// Within one, another type of command under a used key is another request.
pub async fn store_042_keys_are_scoped_by_aggregate(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let tallies = fixture.repository(&store);
    let (one, other) = (Id::natural("tenant a/1"), Id::natural("tenant b/1"));
    for id in [one, other] {
        let done = tallies.execute(id, &Command::add(5)).idempotency_key(key("k")).await.unwrap();
        assert_eq!((done.version, done.replayed), (1, false), "the same key at another aggregate is another request");
    }
    assert_reused(tallies.execute(one, &Command::take(5)).idempotency_key(key("k")).await);
    assert_reused(tallies.execute(one, &Command::nothing()).idempotency_key(key("k")).await);
    assert_eq!(tallies.load(one).await.unwrap().version, 1);
}

/// Aggregates of two tenants have versions of their own, and neither sees the other's events or receipts.
pub async fn store_090_natural_keys_that_hold_the_tenant_keep_tenants_apart(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let tallies = fixture.repository(&store);
    let (one, other) = (Id::natural("tenant a/537434"), Id::natural("tenant b/537434"));
    assert_ne!(one, other);
    tallies.execute(one, &Command::add_each([1, 2, 3])).idempotency_key(key("k")).await.unwrap();
    assert!(!tallies.load(other).await.unwrap().exists(), "the other tenant sees nothing of it");
    assert_eq!(tallies.outcome(other, &key("k")).await.unwrap(), None);
    let done = tallies.execute(other, &Command::add(9)).await.unwrap();
    assert_eq!((done.version, tallies.load(one).await.unwrap().version), (1, 3), "versions are independent");
}

/// A command that leads to no event is remembered under its key like any other.
pub async fn store_045_a_command_without_events_is_replayed(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let tallies = fixture.repository(&store);
    for version in [0, 1] {
        let nothing = Command::nothing();
        let name = format!("k{version}");
        let first = tallies.execute(id, &nothing).idempotency_key(key(&name)).await.unwrap();
        assert_eq!((first.version, first.events(), first.position, first.replayed), (version, 0, None, false));
        tallies.execute(id, &Command::add(1)).await.unwrap();
        let again = tallies.execute(id, &nothing).idempotency_key(key(&name)).await.unwrap();
        assert_eq!(again, Executed { replayed: true, ..first });
        fixture.assert_decided(&nothing, 1);
        assert_reused(tallies.execute(id, &Command::add(1)).idempotency_key(key(&name)).await);
    }
    let unkeyed = tallies.execute(id, &Command::nothing()).await.unwrap();
    assert_eq!((unkeyed.version, unkeyed.events(), unkeyed.replayed), (2, 0, false));
}

/// Keys are checked where they are made, before any I/O.
///
/// The longest one is stored and found again.
pub async fn store_046_keys_have_bounds(factory: &dyn Factory) {
    for bad in ["", " ", "a b", "a\n", "a\0", "\u{7f}", "é", "a\t", &"x".repeat(256), &"x".repeat(513)] {
        let refused = IdempotencyKey::new(bad);
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{bad:?} is refused before any I/O: {refused:?}");
    }
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Id::<Tally>::new());
    let tallies = fixture.repository(&store);
    let longest = format!("{}~", "!".repeat(254));
    let keys = [longest.as_str(), "x", "X", "a:b/+=", "'\";DROP/**/TABLE/**/annals_receipts;--", "%_\\", "0"];
    for (version, text) in (1..).zip(keys) {
        let done = tallies.execute(id, &Command::add(1)).idempotency_key(key(text)).await.unwrap();
        assert_eq!((done.version, done.replayed), (version, false), "{text:?} is a key of its own");
    }
    for (version, text) in (1..).zip(keys) {
        let again = tallies.execute(id, &Command::add(1)).idempotency_key(key(text)).await.unwrap();
        assert_eq!((again.version, again.replayed), (version, true), "{text:?} is found again");
    }
    assert_eq!(store.receipt(Uuid::now_v7(), &key("x")).await.unwrap(), None);
}
