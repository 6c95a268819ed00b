//! Messages are taken in once, with their effects or not at all.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    claims::{A_MICRO, KEPT},
    fixture::{Factory, Fixture, not_run, with_clock},
    sample::{assert_stream, at_once, note},
};
use crate::store::{
    Append, Error, Expiring, Fingerprint, InboxMessage, InboxStore, InboxWork, ManualClock, MessagePlace, Received,
    Retention, Transactional,
};

/// A store whose transactions take messages in. Every [`Transactional`] store with an [`InboxWork`] is one.
#[async_trait]
pub trait InboxPlace: InboxStore + Retention {
    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// As for [`Transactional::begin`].
    async fn open(&self) -> Result<Box<dyn OpenInbox>, Error>;
}

/// An open transaction of an [`InboxPlace`].
#[async_trait]
pub trait OpenInbox: fmt::Debug + Send {
    /// As for [`InboxWork::receive`].
    ///
    /// # Errors
    ///
    /// The same.
    async fn receive(&mut self, message: &InboxMessage) -> Result<Received, Error>;

    /// Writes what a message brings about: an append.
    ///
    /// # Errors
    ///
    /// As for [`Work::append`](crate::Work::append).
    async fn append(&mut self, append: &Append) -> Result<(), Error>;

    /// As for [`Work::commit`](crate::Work::commit).
    ///
    /// # Errors
    ///
    /// The same.
    async fn commit(self: Box<Self>) -> Result<(), Error>;
}

#[async_trait]
impl<S> InboxPlace for S
where
    S: Transactional + InboxStore + Retention,
    S::Work: InboxWork + 'static,
{
    async fn open(&self) -> Result<Box<dyn OpenInbox>, Error> {
        Ok(Box::new(Open(self.begin().await?)))
    }
}

#[derive(Debug)]
struct Open<W>(W);

#[async_trait]
impl<W: InboxWork> OpenInbox for Open<W> {
    async fn receive(&mut self, message: &InboxMessage) -> Result<Received, Error> {
        self.0.receive(message).await
    }

    async fn append(&mut self, append: &Append) -> Result<(), Error> {
        self.0.append(append).await.map(drop)
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        self.0.commit().await
    }
}

/// When the cases begin.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

/// A store with inboxes, and a clock that stands still.
async fn inbox(factory: &dyn Factory, case: &str) -> Option<(Box<dyn Fixture>, Arc<dyn InboxPlace>, Arc<ManualClock>)> {
    let clock = Arc::new(ManualClock::new(start()));
    let fixture = with_clock(factory, &clock, case).await?;
    let Some(place) = fixture.inbox() else {
        not_run(case, "the store has no inbox");
        return None;
    };
    Some((fixture, place, clock))
}

fn message(id: &str) -> InboxMessage {
    InboxMessage {
        consumer: "billing".into(),
        message_id: id.into(),
        content: Fingerprint::of_parts(&[b"paid"]),
        place: None,
        keep_for: Some(KEPT),
    }
}

fn placed(id: &str, sequence: u64) -> InboxMessage {
    let place = MessagePlace { source: Uuid::from_u128(1), sequence, is_dense: false };
    InboxMessage { place: Some(place), ..message(id) }
}

fn in_order(id: &str, sequence: u64) -> InboxMessage {
    let place = MessagePlace { source: Uuid::from_u128(1), sequence, is_dense: true };
    InboxMessage { place: Some(place), ..message(id) }
}

/// Takes a message in, with an event for its effect.
async fn handle(place: &dyn InboxPlace, message: &InboxMessage, effect: u64) -> Result<Received, Error> {
    let mut work = place.open().await?;
    let received = work.receive(message).await?;
    if received == Received::New {
        work.append(&note(EFFECTS, [effect])).await?;
        work.commit().await?;
    }
    Ok(received)
}

/// The aggregate whose events are the effects.
const EFFECTS: Uuid = Uuid::from_u128(85);

const fn again(received_at: DateTime<Utc>) -> Received {
    Received::Duplicate { received_at: Some(received_at) }
}

/// The place alone tells.
const PASSED: Received = Received::Duplicate { received_at: None };

/// A message that is delivered again is known, for as long as it was to be remembered.
pub async fn http_k01_a_message_delivered_again_has_no_effect(factory: &dyn Factory) {
    let Some((fixture, place, clock)) = inbox(factory, "K1").await else { return };
    assert_eq!(place.received_at("billing", "a").await.unwrap(), None);
    assert_eq!(handle(&*place, &message("a"), 1).await.unwrap(), Received::New);
    for _ in 0..2 {
        assert_eq!(handle(&*place, &message("a"), 2).await.unwrap(), again(start()));
        assert_eq!(place.received_at("billing", "a").await.unwrap(), Some(start()));
        clock.advance(KEPT / 2 - A_MICRO);
    }
    let for_ever = InboxMessage { keep_for: None, ..message("b") };
    assert_eq!(handle(&*place, &for_ever, 3).await.unwrap(), Received::New);
    clock.advance(Duration::from_secs(100 * 365 * 24 * 60 * 60));
    assert!(matches!(handle(&*place, &for_ever, 4).await.unwrap(), Received::Duplicate { .. }));
    assert_stream(&*fixture.store(), EFFECTS, [1, 3]).await;
}

/// Something else under the same id is told apart, and has no effect; within one transaction too.
pub async fn http_k01_other_content_under_the_same_id_is_found_out(factory: &dyn Factory) {
    let Some((fixture, place, _)) = inbox(factory, "K1").await else { return };
    let other = InboxMessage { content: Fingerprint::of_parts(&[b"refunded"]), ..message("a") };
    assert_eq!(handle(&*place, &message("a"), 1).await.unwrap(), Received::New);
    let changed = Received::Changed { received_at: start() };
    assert_eq!(handle(&*place, &other, 2).await.unwrap(), changed);
    // Also where it claims a place that is free.
    let elsewhere = InboxMessage { place: placed("a", 7).place, ..other };
    let mut work = place.open().await.unwrap();
    assert_eq!(work.receive(&elsewhere).await.unwrap(), changed);
    assert_eq!(work.receive(&placed("b", 5)).await.unwrap(), Received::New, "the place is not used up");
    assert_eq!(work.receive(&placed("b", 5)).await.unwrap(), again(start()));
    work.commit().await.unwrap();
    assert_stream(&*fixture.store(), EFFECTS, [1]).await;
}

/// Of many who have one message at once, one handles it; the others wait and are told.
pub async fn http_k02_of_many_deliveries_at_once_one_has_an_effect(factory: &dyn Factory) {
    let Some((fixture, place, _)) = inbox(factory, "K2").await else { return };
    for (round, make) in (0..6).zip([message as fn(&str) -> InboxMessage, |id| placed(id, 1)].into_iter().cycle()) {
        let message = InboxMessage { consumer: format!("consumer-{round}").into(), ..make("a") };
        let received = at_once(8, |_| {
            let (place, message) = (Arc::clone(&place), message.clone());
            async move {
                loop {
                    match handle(&*place, &message, round).await {
                        Err(error) if error.is_retryable() => {}
                        received => return received.unwrap(),
                    }
                }
            }
        })
        .await;
        assert_eq!(received.iter().filter(|received| **received == Received::New).count(), 1, "{received:?}");
        assert!(received.iter().all(|it| matches!(it, Received::New | Received::Duplicate { .. })), "{received:?}");
    }
    assert_stream(&*fixture.store(), EFFECTS, 0..6).await;
}

/// Of many messages at one place one is handled, also where the source was not known; so in any order of many places.
pub async fn http_k02_of_many_messages_at_one_place_one_has_an_effect(factory: &dyn Factory) {
    let Some((fixture, place, _)) = inbox(factory, "K2").await else { return };
    let received = at_once(8, |task| {
        let (place, message) = (Arc::clone(&place), placed(&format!("m-{task}"), 3));
        async move {
            loop {
                match handle(&*place, &message, 3).await {
                    Err(error) if error.is_retryable() => {}
                    received => return received.unwrap(),
                }
            }
        }
    })
    .await;
    assert_eq!(received.iter().filter(|received| **received == Received::New).count(), 1, "{received:?}");
    for (task, received) in received.iter().enumerate() {
        let found = place.received_at("billing", &format!("m-{task}")).await.unwrap();
        assert_eq!(found.is_some(), *received == Received::New, "what was not handled is not remembered");
    }
    // In order, by workers who each try what they have: every place once.
    at_once(6, |task| {
        let place = Arc::clone(&place);
        async move {
            let mut todo: Vec<u64> = (4..10).collect();
            todo.rotate_left(task);
            while let Some(sequence) = todo.first().copied() {
                match handle(&*place, &in_order(&format!("m-{sequence}-{task}"), sequence), sequence).await {
                    Ok(Received::New | Received::Duplicate { .. }) => drop(todo.remove(0)),
                    Ok(Received::Early { expected }) => {
                        assert!(expected < sequence);
                        todo.rotate_left(1);
                    }
                    Err(error) if error.is_retryable() => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    })
    .await;
    assert_stream(&*fixture.store(), EFFECTS, 3..10).await;
}

/// Each consumer has an inbox of its own, and each source of each consumer its own places.
pub async fn http_k03_consumers_have_inboxes_of_their_own(factory: &dyn Factory) {
    let Some((fixture, place, _)) = inbox(factory, "K3").await else { return };
    for (effect, consumer) in (1..).zip(["billing", "Billing", "shipping", "billing-2"]) {
        for message in [message("a"), placed("b", 1)] {
            let message = InboxMessage { consumer: consumer.into(), ..message };
            assert_eq!(handle(&*place, &message, effect).await.unwrap(), Received::New, "{consumer}");
        }
    }
    let other_source = MessagePlace { source: Uuid::from_u128(2), sequence: 1, is_dense: true };
    let other = InboxMessage { place: Some(other_source), ..message("c") };
    assert_eq!(handle(&*place, &other, 5).await.unwrap(), Received::New);
    assert_stream(&*fixture.store(), EFFECTS, [1, 1, 2, 2, 3, 3, 4, 4, 5]).await;
}

/// What a transaction took in goes with it, and so does the place.
pub async fn http_k04_a_message_falls_with_its_transaction(factory: &dyn Factory) {
    let Some((fixture, place, clock)) = inbox(factory, "K4").await else { return };
    for message in [message("a"), in_order("b", 1)] {
        for _ in 0..2 {
            let mut work = place.open().await.unwrap();
            assert_eq!(work.receive(&message).await.unwrap(), Received::New);
            work.append(&note(EFFECTS, [0])).await.unwrap();
            assert_eq!(work.receive(&message).await.unwrap(), again(start()), "it is known within the transaction");
        }
        assert_eq!(place.received_at("billing", &message.message_id).await.unwrap(), None);
        assert_eq!(handle(&*place, &message, 1).await.unwrap(), Received::New);
    }
    // One that is forgotten stays so.
    clock.advance(KEPT);
    let mut work = place.open().await.unwrap();
    assert_eq!(work.receive(&message("a")).await.unwrap(), Received::New);
    drop(work);
    assert_eq!(place.received_at("billing", "a").await.unwrap(), None);
    assert_eq!(handle(&*place, &message("a"), 2).await.unwrap(), Received::New);
    assert_stream(&*fixture.store(), EFFECTS, [1, 1, 2]).await;
}

/// After its time a message is handled as a new one, swept or not, unless its place tells.
pub async fn http_k07_a_place_is_remembered_when_the_message_is_not(factory: &dyn Factory) {
    let Some((fixture, place, clock)) = inbox(factory, "K7").await else { return };
    for (is_swept, [plain, late]) in [(false, [1, 2]), (true, [3, 4])] {
        let [of_id, of_place] = [message(&format!("id-{plain}")), placed(&format!("place-{plain}"), plain)];
        assert_eq!(handle(&*place, &of_id, plain).await.unwrap(), Received::New);
        assert_eq!(handle(&*place, &of_place, plain).await.unwrap(), Received::New);
        clock.advance(KEPT - A_MICRO);
        assert!(matches!(handle(&*place, &of_id, 0).await.unwrap(), Received::Duplicate { received_at: Some(_) }));
        clock.advance(A_MICRO);
        if is_swept {
            assert!(place.sweep(Expiring::Inbox, 100).await.unwrap() >= 2);
        }
        assert_eq!(handle(&*place, &of_place, 0).await.unwrap(), PASSED);
        assert_eq!(handle(&*place, &of_id, late).await.unwrap(), Received::New, "it is used anew");
        assert!(matches!(handle(&*place, &of_id, 0).await.unwrap(), Received::Duplicate { received_at: Some(_) }));
    }
    assert_eq!(handle(&*place, &placed("older", 2), 0).await.unwrap(), PASSED, "a later one was handled");
    assert_eq!(handle(&*place, &placed("newer", 9), 5).await.unwrap(), Received::New, "places may be left out");
    assert_stream(&*fixture.store(), EFFECTS, [1, 1, 2, 3, 3, 4, 5]).await;
}

/// Where there is a message for every place, one before its turn is refused and none is left out.
pub async fn http_k07_a_message_before_its_turn_is_refused(factory: &dyn Factory) {
    let Some((fixture, place, _)) = inbox(factory, "K7").await else { return };
    for (sequence, expected) in [
        (2, Received::Early { expected: 1 }),
        (1, Received::New),
        (3, Received::Early { expected: 2 }),
        (9, Received::Early { expected: 2 }),
        (2, Received::New),
        (1, again(start())),
        (3, Received::New),
    ] {
        let received = handle(&*place, &in_order(&sequence.to_string(), sequence), sequence).await.unwrap();
        assert_eq!(received, expected, "{sequence}");
    }
    assert_eq!(handle(&*place, &in_order("another", 3), 0).await.unwrap(), PASSED);
    assert_stream(&*fixture.store(), EFFECTS, [1, 2, 3]).await;
}

/// What was handled is pruned after its time, and what is to be remembered is not.
pub async fn store_085_handled_messages_are_pruned_after_their_time(factory: &dyn Factory) {
    let Some((_fixture, place, clock)) = inbox(factory, "85").await else { return };
    for (id, keep_for) in [("ever", None), ("long", Some(KEPT * 2)), ("short", Some(KEPT)), ("shorter", Some(KEPT / 2))]
    {
        handle(&*place, &InboxMessage { keep_for, ..message(id) }, 1).await.unwrap();
    }
    for (passes, swept) in [(KEPT / 2 - A_MICRO, 0), (A_MICRO, 1), (KEPT / 2, 1), (KEPT - A_MICRO, 0), (A_MICRO, 1)] {
        clock.advance(passes);
        assert_eq!(place.sweep(Expiring::Inbox, 100).await.unwrap(), swept);
    }
    clock.advance(KEPT * 1_000);
    assert_eq!(place.sweep(Expiring::Inbox, 100).await.unwrap(), 0);
    assert!(place.received_at("billing", "ever").await.unwrap().is_some());
    // One that was taken in anew is not swept for what it was before.
    handle(&*place, &message("short"), 2).await.unwrap();
    assert_eq!(place.sweep(Expiring::Inbox, 100).await.unwrap(), 0);
}

/// Ids, consumers and times have bounds, and what does not keep to them is sent nowhere: the transaction goes on.
pub async fn store_102_messages_have_bounds(factory: &dyn Factory) {
    let Some((_fixture, place, _)) = inbox(factory, "102").await else { return };
    let mut work = place.open().await.unwrap();
    let at = |sequence| Some(MessagePlace { source: Uuid::nil(), sequence, is_dense: false });
    let wrong = [
        InboxMessage { consumer: "".into(), ..message("a") },
        InboxMessage { consumer: "two words".into(), ..message("a") },
        InboxMessage { consumer: "x".repeat(201).into(), ..message("a") },
        message(""),
        message("a\0b"),
        message("a\nb"),
        message(&"x".repeat(256)),
        InboxMessage { place: at(0), ..message("a") },
        InboxMessage { place: at(u64::MAX), ..message("a") },
        InboxMessage { keep_for: Some(Duration::from_micros(999)), ..message("a") },
        InboxMessage { keep_for: Some(Duration::from_secs(60 * 60 * 24 * 365 * 11)), ..message("a") },
    ];
    for wrong in wrong {
        let refused = work.receive(&wrong).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{wrong:?}: {refused:?}");
    }
    assert!(place.received_at("two words", "a").await.is_err());
    let longest = InboxMessage {
        consumer: "x".repeat(200).into(),
        message_id: format!("'; DROP TABLE annals_inbox -- {}\u{e4}", "y".repeat(223)).into(),
        place: at(i64::MAX.unsigned_abs()),
        ..message("a")
    };
    assert_eq!(longest.message_id.len(), 255);
    assert_eq!(work.receive(&longest).await.unwrap(), Received::New);
    work.commit().await.unwrap();
    assert!(place.received_at(&longest.consumer, &longest.message_id).await.unwrap().is_some());
}
