//! A small shop, written into each database: the same events at the same times.

use std::time::Duration;

use annals::{
    Append, EventStore, EventStoreExt as _, ExpectedVersion, ManualClock, NewEvent, OnFailure, Subscription,
    TimerStore,
    store::{DueClaim, NewTimer, Settled},
};
use serde_json::json;
use uuid::Uuid;

/// The namespace of this shop's ids: they are the same in every run.
const SHOP: Uuid = Uuid::from_u128(0x5105);

/// An id that is the same in every run.
pub fn id(name: &str) -> Uuid {
    Uuid::new_v5(&SHOP, name.as_bytes())
}

/// Two orders and a payment, a second apart.
pub async fn fill<S: EventStore>(store: &S, clock: &ManualClock) {
    let placed = |country: &str| NewEvent::new("order-placed", &json!({ "country": country })).unwrap();
    let line = |code: &str, pence: u32| NewEvent::new("line-added", &json!({ "code": code, "pence": pence })).unwrap();
    let paid = NewEvent::new("paid", &json!({ "pence": 1_530 })).unwrap();
    for (kind, name, expected, events) in [
        ("order", "first", 0, vec![placed("France"), line("85123A", 255)]),
        ("order", "second", 0, vec![placed("Norway")]),
        ("order", "first", 2, vec![line("71053", 339)]),
        ("payment", "first payment", 0, vec![paid]),
    ] {
        let append = Append::new(kind, id(name)).expected(ExpectedVersion::Exact(expected)).events(events);
        store.append_one(append).await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
}

/// A subscription that is told everything and keeps up; one that is paused half-way; one that has set an event aside; and a
/// queue with a timer that waits and one that was given up.
pub async fn consume<S>(store: &S)
where
    S: annals::CheckpointStore + TimerStore + Clone + 'static,
{
    let caught_up = Subscription::new(store, "receipt-mail").unwrap();
    caught_up.catch_up(|_| async { Ok::<_, std::io::Error>(()) }).await.unwrap();
    let behind = Subscription::new(store, "warehouse").unwrap().on_failure(OnFailure::Stop);
    let refuses = |event: annals::RecordedEvent| async move {
        if event.sequence() == 1 { Ok(()) } else { Err(std::io::Error::other("the warehouse says no")) }
    };
    behind.catch_up(refuses).await.unwrap_err();
    annals::Consumers::new(store).pause("warehouse").await.unwrap();
    let parks = Subscription::new(store, "ledger").unwrap().on_failure(OnFailure::Park { most: 100 });
    let refuses = |event: annals::RecordedEvent| async move {
        if event.event_type() == "paid" { Err(std::io::Error::other("no account 8400")) } else { Ok(()) }
    };
    parks.catch_up(refuses).await.unwrap();

    let timer = |name: &str, due_at| NewTimer { id: id(name), due_at, payload: "{}".into() };
    let now = store.timer_clock();
    let timers = [timer("reminder", now + Duration::from_secs(3_600)), timer("refund", now)];
    store.schedule_timers("reminders", &timers).await.unwrap();
    let (owner, lease) = ("shop-1".into(), Duration::from_secs(30));
    let due = store.claim_due(&DueClaim { queue: "reminders".into(), owner, lease, limit: 1 }).await.unwrap();
    let failure = "the bank says no (tried 20 times)".to_owned();
    assert!(store.settle_timer(&due.timers[0], &Settled::Parked { failure }).await.unwrap());
}
