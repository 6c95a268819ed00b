//! What becomes of messages, in all ways.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use annals::{
    Aggregate, AggregateName, Append, Error, ExecuteError, ExpectedVersion, Handled, Id, Inbox, IncomingMessage,
    ManualClock, Repository, Retry, Sweeper, Work as _,
    process::InboxError,
    store::{Expiring, Received},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Place, effect, effects, handle, message, on_every_database, start};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

on_every_database! {
    http_k01_a_message_handled_before_is_known_and_its_effects_do_not_run
    http_k01_another_payload_under_a_known_id_is_set_aside
    http_k03_each_consumer_handles_a_message_and_none_sees_the_others
    http_k04_effects_that_fail_leave_nothing_and_run_at_the_next_delivery
    http_k04_what_passes_by_itself_is_begun_again_and_what_does_not_is_not
    http_k05_whose_acknowledgement_was_lost_is_skipped_by_the_next_process
    http_k07_after_its_time_a_message_is_new_unless_its_place_tells
    http_k08_without_an_id_what_a_message_says_is_its_id
    http_k08_a_message_that_is_one_command_needs_no_inbox
    store_085_a_sweeper_prunes_inboxes_and_nothing_grows_for_ever
    a_transaction_of_ones_own_takes_messages_in
}

async fn http_k01_a_message_handled_before_is_known_and_its_effects_do_not_run(
    store: impl Place,
    clock: Arc<ManualClock>,
) {
    let (inbox, begun) = (Inbox::new(&store, "billing").unwrap(), AtomicU32::new(0));
    let paid = message("a", "paid");
    assert_eq!(inbox.handled_at(&paid).await.unwrap(), None);
    assert_eq!(handle(&inbox, &paid, &begun).await.unwrap(), Handled::New(1));
    clock.advance(DAY * 29);
    let again = handle(&inbox, &paid, &begun).await.unwrap();
    assert_eq!(again, Handled::Duplicate { received_at: Some(start()) });
    assert!(again.is_over() && again.new_value().is_none());
    assert_eq!(inbox.handled_at(&paid).await.unwrap(), Some(start()));
    assert_eq!((begun.load(Ordering::Relaxed), effects(&store, "billing", "a").await), (1, 1));
    clock.advance(DAY);
    assert_eq!(handle(&inbox, &paid, &begun).await.unwrap(), Handled::New(2), "30 days are over");
}

async fn http_k01_another_payload_under_a_known_id_is_set_aside(store: impl Place, _clock: Arc<ManualClock>) {
    let (inbox, begun) = (Inbox::new(&store, "billing").unwrap(), AtomicU32::new(0));
    assert_eq!(handle(&inbox, &message("a", "paid"), &begun).await.unwrap(), Handled::New(1));
    let changed = handle(&inbox, &message("a", "refunded"), &begun).await.unwrap();
    assert_eq!(changed, Handled::Changed { received_at: start() });
    assert!(!changed.is_over());
    assert_eq!(effects(&store, "billing", "a").await, 1);
}

async fn http_k03_each_consumer_handles_a_message_and_none_sees_the_others(
    store: impl Place,
    _clock: Arc<ManualClock>,
) {
    let begun = AtomicU32::new(0);
    for (number, consumer) in (1..).zip(["billing", "shipping", "mail"]) {
        let inbox = Inbox::new(&store, consumer).unwrap();
        assert_eq!(handle(&inbox, &message("a", "paid"), &begun).await.unwrap(), Handled::New(number));
        assert!(matches!(handle(&inbox, &message("a", "paid"), &begun).await.unwrap(), Handled::Duplicate { .. }));
        assert_eq!(effects(&store, consumer, "a").await, 1);
    }
    for refused in ["", "two words", &"x".repeat(201)] {
        assert!(Inbox::new(&store, refused).is_err(), "{refused:?}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is no customer {0}")]
struct NoCustomer(u32);

async fn http_k04_effects_that_fail_leave_nothing_and_run_at_the_next_delivery(
    store: impl Place,
    _clock: Arc<ManualClock>,
) {
    let (inbox, begun) = (Inbox::new(&store, "billing").unwrap(), AtomicU32::new(0));
    let paid = message("a", "paid").in_order(Uuid::nil(), 1);
    let append = effect("billing", "a");
    let failed = inbox
        .handle(&paid, |work| {
            Box::pin(async {
                work.append(&append).await?;
                begun.fetch_add(1, Ordering::Relaxed);
                Err::<(), _>(NoCustomer(7).into())
            })
        })
        .await
        .unwrap_err();
    assert_eq!(failed.effects_error::<NoCustomer>().unwrap().0, 7);
    assert!(failed.store_error().is_none() && failed.effects_error::<Error>().is_none());
    assert_eq!((begun.load(Ordering::Relaxed), effects(&store, "billing", "a").await), (1, 0), "run once, and undone");
    assert_eq!(inbox.handled_at(&paid).await.unwrap(), None);
    let unharmed = handle(&inbox, &message("b", "paid").in_order(Uuid::nil(), 2), &begun).await.unwrap();
    assert_eq!(unharmed, Handled::Early { expected: 1 }, "the place was not used up either");
    assert_eq!(handle(&inbox, &paid, &begun).await.unwrap(), Handled::New(2));
    assert_eq!(effects(&store, "billing", "a").await, 1);
}

async fn http_k04_what_passes_by_itself_is_begun_again_and_what_does_not_is_not(
    store: impl Place,
    _clock: Arc<ManualClock>,
) {
    let patient = Retry { max_attempts: 4, min_delay: Duration::ZERO, ..Retry::default() };
    let inbox = Inbox::new(&store, "billing").unwrap().retry(patient);
    let conflict = Error::Conflict {
        aggregate: AggregateName::new("effect", Uuid::nil()),
        expected: ExpectedVersion::New,
        actual: 1,
    };
    let passing = [Error::Contention { source: None }, Error::OutcomeUnknown { source: None }, conflict];
    for (number, error) in passing.into_iter().enumerate() {
        for failures in [3, 9] {
            let (id, begun) = (format!("{number}-{failures}"), AtomicU32::new(0));
            let append = effect("billing", &id);
            let handled = inbox
                .handle(&message(&id, "paid"), |work| {
                    Box::pin(async {
                        work.append(&append).await?;
                        match begun.fetch_add(1, Ordering::Relaxed) < failures {
                            // Also where something lies on top of it.
                            true => Err(ExecuteError::<NoCustomer>::Store(error.clone()).into()),
                            false => Ok(()),
                        }
                    })
                })
                .await;
            assert_eq!(begun.load(Ordering::Relaxed), 4);
            assert_eq!(effects(&store, "billing", &id).await, usize::from(failures == 3), "{error:?}");
            match handled {
                Ok(handled) => assert_eq!((handled, failures), (Handled::New(()), 3)),
                Err(error) => assert!(failures == 9 && error.effects_error::<Error>().is_some(), "{error:?}"),
            }
        }
    }
    let begun = AtomicU32::new(0);
    let refused = inbox
        .handle(&message("c", "paid"), |_| {
            Box::pin(async {
                begun.fetch_add(1, Ordering::Relaxed);
                Err::<(), _>(Error::invalid("mend it").into())
            })
        })
        .await;
    assert!(matches!(refused, Err(InboxError::Effects(_))), "{refused:?}");
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    let too_short = inbox.clone().keep_for(Duration::from_micros(1));
    let refused = handle(&too_short, &message("d", "paid"), &begun).await.unwrap_err();
    assert!(matches!(refused.store_error(), Some(Error::Invalid { .. })), "{refused:?}");
}

async fn http_k05_whose_acknowledgement_was_lost_is_skipped_by_the_next_process(
    store: impl Place,
    _clock: Arc<ManualClock>,
) {
    let begun = AtomicU32::new(0);
    let messages: Vec<_> = (0..20).map(|number| message(&format!("m-{number}"), "paid")).collect();
    // The broker has heard of nothing, and delivers all of them to another, three times.
    for round in 0..4 {
        let inbox = Inbox::new(&store, "billing").unwrap();
        for message in &messages {
            let handled = handle(&inbox, message, &begun).await.unwrap();
            assert_eq!(matches!(handled, Handled::New(_)), round == 0);
            assert!(handled.is_over());
        }
    }
    for message in &messages {
        assert_eq!(effects(&store, "billing", message.id()).await, 1);
    }
}

async fn http_k07_after_its_time_a_message_is_new_unless_its_place_tells(store: impl Place, clock: Arc<ManualClock>) {
    let begun = AtomicU32::new(0);
    let inbox = Inbox::new(&store, "billing").unwrap().keep_for(DAY);
    let for_ever = Inbox::new(&store, "mail").unwrap().keep_for_ever();
    let plain = message("a", "paid");
    let places = [2, 7].map(|sequence| message(&format!("p-{sequence}"), "paid").placed(Uuid::from_u128(1), sequence));
    for message in [&plain, &places[0], &places[1]] {
        assert!(matches!(handle(&inbox, message, &begun).await.unwrap(), Handled::New(_)));
        assert!(matches!(handle(&for_ever, message, &begun).await.unwrap(), Handled::New(_)));
    }
    clock.advance(DAY * 40);
    Sweeper::new(&store).sweep().await.unwrap();
    for message in &places {
        let late = handle(&inbox, message, &begun).await.unwrap();
        assert_eq!(late, Handled::Duplicate { received_at: None }, "from a dead-letter queue, weeks later");
    }
    assert!(matches!(handle(&inbox, &plain, &begun).await.unwrap(), Handled::New(_)), "beyond its time, as declared");
    let known = handle(&for_ever, &plain, &begun).await.unwrap();
    assert_eq!(known, Handled::Duplicate { received_at: Some(start()) });
    let next = message("p-9", "paid").in_order(Uuid::from_u128(1), 9);
    assert_eq!(handle(&inbox, &next, &begun).await.unwrap(), Handled::Early { expected: 8 });
}

async fn http_k08_without_an_id_what_a_message_says_is_its_id(store: impl Place, clock: Arc<ManualClock>) {
    let (inbox, begun) = (Inbox::new(&store, "billing").unwrap().keep_for(DAY), AtomicU32::new(0));
    for payload in ["{\"order\":1}", "{\"order\":2}", "{\"order\":1} "] {
        let message = IncomingMessage::without_id(payload);
        assert!(matches!(handle(&inbox, &message, &begun).await.unwrap(), Handled::New(_)), "{payload:?}");
        // Another delivery, of which only the body is the same.
        let again = IncomingMessage::without_id(payload);
        assert!(matches!(handle(&inbox, &again, &begun).await.unwrap(), Handled::Duplicate { .. }), "{payload:?}");
    }
    clock.advance(DAY);
    let again = IncomingMessage::without_id("{\"order\":2}");
    assert!(
        matches!(handle(&inbox, &again, &begun).await.unwrap(), Handled::New(_)),
        "a new one, as far as anyone knows"
    );
}

#[derive(Debug, Default)]
struct Account(u64);

#[derive(Debug, Serialize)]
struct Credit(u64);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Credited(u64),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("it is closed")]
struct Closed;

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = Credit;
    type Event = Event;
    type Rejection = Closed;

    fn decide(&self, Credit(amount): &Credit) -> Result<Vec<Event>, Closed> {
        Ok(vec![Event::Credited(*amount)])
    }

    fn evolve(&mut self, Event::Credited(amount): &Event) {
        self.0 += amount;
    }
}

async fn http_k08_a_message_that_is_one_command_needs_no_inbox(store: impl Place, clock: Arc<ManualClock>) {
    let accounts = Repository::<Account>::new(&store);
    let id = Id::<Account>::natural("DE-1");
    let credit = |message: IncomingMessage, consumer: &'static str| {
        let accounts = accounts.clone();
        async move {
            let key = message.idempotency_key(consumer).unwrap();
            accounts.execute(id, &Credit(10)).idempotency_key(key).fingerprint(message.fingerprint()).await
        }
    };
    assert!(!credit(message("a", "10"), "billing").await.unwrap().replayed);
    clock.advance(DAY * 400);
    assert!(credit(message("a", "10"), "billing").await.unwrap().replayed, "receipts are kept for ever");
    let changed = credit(message("a", "11"), "billing").await.unwrap_err();
    assert!(matches!(changed, ExecuteError::Store(Error::KeyReused { .. })), "{changed:?}");
    assert!(!credit(message("a", "10"), "bonus").await.unwrap().replayed, "another consumer's is another key");
    assert!(!credit(IncomingMessage::without_id("10"), "billing").await.unwrap().replayed);
    assert!(credit(IncomingMessage::without_id("10"), "billing").await.unwrap().replayed);
    assert_eq!(accounts.load(id).await.unwrap().state.0, 30);
}

async fn store_085_a_sweeper_prunes_inboxes_and_nothing_grows_for_ever(store: impl Place, clock: Arc<ManualClock>) {
    let (inbox, begun) = (Inbox::new(&store, "billing").unwrap().keep_for(DAY), AtomicU32::new(0));
    for day in 0..5 {
        for number in 0..30 {
            let source = Uuid::from_u128(number % 3);
            let sequence = day * 10 + u64::try_from(number / 3).unwrap() + 1;
            let message = message(&format!("{day}-{number}"), "paid").in_order(source, sequence);
            assert!(matches!(handle(&inbox, &message, &begun).await.unwrap(), Handled::New(_)));
        }
        clock.advance(DAY / 2);
        let swept = Sweeper::new(&store).batch(7).pause_between_batches(Duration::ZERO).sweep().await.unwrap();
        let gone = swept.rows.iter().find(|(kind, _)| *kind == Expiring::Inbox).unwrap().1;
        assert_eq!(gone, if day == 0 { 0 } else { 30 }, "no more than a day's messages are there at any time");
    }
}

async fn a_transaction_of_ones_own_takes_messages_in(store: impl Place, _clock: Arc<ManualClock>) {
    let inbox = Inbox::new(&store, "billing").unwrap();
    let told = Mutex::new(Vec::new());
    for commits in [false, true, true] {
        let mut work = store.begin().await.unwrap();
        let received = inbox.receive(&mut work, &message("a", "paid")).await.unwrap();
        told.lock().unwrap().push(received == Received::New);
        if received == Received::New {
            let append: Append = effect("billing", "a");
            work.append(&append).await.unwrap();
            if commits {
                work.commit().await.unwrap();
            }
        }
    }
    assert_eq!(told.into_inner().unwrap(), [true, true, false]);
    assert_eq!(effects(&store, "billing", "a").await, 1);
}
