//! What has expired is forgotten, and nothing else.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    claims::{A_MICRO, KEPT, LEASE, answer, answering, claim_of, finished, mine, running, scoped},
    due::{FIRED, QUEUE, claim, set},
    fixture::{Factory, not_run},
    sample::{key, note, write},
};
use crate::store::{Error, Expiring, ResponseQuery, ResponseStore, ScopedKey, Settled, StepRecord, StepRun, StepState};

async fn answer_under(store: &dyn ResponseStore, key: &ScopedKey, keep_for: Duration) {
    let lease = mine(store.claim_response(&claim_of(key)).await);
    assert!(store.complete_response(&lease, &answer(200), keep_for).await.unwrap());
}

/// A row that was claimed anew is not swept, whatever it was before.
pub async fn http_h04_a_row_that_is_used_anew_is_not_swept(factory: &dyn Factory) {
    let Some((_fixture, stores, clock)) = answering(factory, "H4").await else { return };
    let (store, retention) = (&stores.responses, &stores.retention);
    let [old, new] = ["old", "new"].map(|key| scoped("acct", key));
    for key in [&old, &new] {
        answer_under(&**store, key, KEPT).await;
    }
    clock.advance(KEPT - A_MICRO);
    assert_eq!(retention.sweep(Expiring::Responses, 100).await.unwrap(), 0);
    clock.advance(A_MICRO);
    let lease = mine(store.claim_response(&claim_of(&new)).await);
    assert_eq!(retention.sweep(Expiring::Responses, 100).await.unwrap(), 1);
    assert!(store.complete_response(&lease, &answer(201), KEPT).await.unwrap());
    assert_eq!(finished(store.claim_response(&claim_of(&new)).await).response, answer(201));
    mine(store.claim_response(&claim_of(&old)).await);
}

/// A row with a live lease is never swept; one whose lease lapsed long ago is.
pub async fn http_h05_a_live_lease_is_never_swept(factory: &dyn Factory) {
    let Some((_fixture, stores, clock)) = answering(factory, "H5").await else { return };
    let mut claim = claim_of(&scoped("acct", "key"));
    claim.keep_for = Duration::from_millis(1);
    let lease = mine(stores.responses.claim_response(&claim).await);
    for _ in 0..3 {
        clock.advance(LEASE - A_MICRO);
        assert_eq!(stores.retention.sweep(Expiring::Responses, 100).await.unwrap(), 0);
        assert!(stores.responses.renew_response(&lease, claim.keep_for).await.unwrap());
    }
    clock.advance(LEASE);
    assert_eq!(stores.retention.sweep(Expiring::Responses, 100).await.unwrap(), 0, "it may be taken over still");
    clock.advance(claim.keep_for);
    assert_eq!(stores.retention.sweep(Expiring::Responses, 100).await.unwrap(), 1);
    assert!(!stores.responses.complete_response(&lease, &answer(200), KEPT).await.unwrap());
}

/// Batches are bounded, and what expired first goes first.
pub async fn http_h06_what_expired_first_goes_first(factory: &dyn Factory) {
    let Some((_fixture, stores, clock)) = answering(factory, "H6").await else { return };
    for limit in [0, 10_001] {
        let refused = stores.retention.sweep(Expiring::Responses, limit).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    for (key, minutes) in [("third", 3), ("first", 1), ("second", 2), ("last", 100)] {
        answer_under(&*stores.responses, &scoped("acct", key), Duration::from_secs(minutes * 60)).await;
    }
    clock.advance(Duration::from_secs(3 * 60));
    for (swept, left) in [(1, 3), (1, 2), (1, 1), (0, 1)] {
        assert_eq!(stores.retention.sweep(Expiring::Responses, 1).await.unwrap(), swept);
        let query = ResponseQuery { limit: 10, ..ResponseQuery::default() };
        let rows = stores.responses.list_responses(&query).await.unwrap();
        assert_eq!(rows.len(), left);
        assert!(rows.iter().any(|row| row.key.key.as_str() == "last"));
        assert_eq!(rows.iter().any(|row| row.key.key.as_str() == "third"), left > 1, "{rows:?}");
    }
}

/// Sweepers at once do no work twice, and claims go on beside them.
pub async fn http_h07_sweepers_at_once_do_no_work_twice(factory: &dyn Factory) {
    let Some((_fixture, stores, clock)) = answering(factory, "H7").await else { return };
    for at in 0..60 {
        answer_under(&*stores.responses, &scoped("acct", &format!("key-{at}")), KEPT).await;
    }
    clock.advance(KEPT);
    let mut sweepers = JoinSet::new();
    for _ in 0..4 {
        let retention = Arc::clone(&stores.retention);
        sweepers.spawn(async move {
            let mut swept = 0;
            for _ in 0..10 {
                swept += retention.sweep(Expiring::Responses, 7).await.unwrap();
            }
            swept
        });
    }
    let mut leases = Vec::new();
    for at in 0..60 {
        leases.push(mine(stores.responses.claim_response(&claim_of(&scoped("acct", &format!("key-{at}")))).await));
    }
    let mut swept = 0;
    while let Some(count) = sweepers.join_next().await {
        swept += count.unwrap();
    }
    assert!(swept <= 60, "{swept} rows were swept of 60");
    assert_eq!(stores.retention.sweep(Expiring::Responses, 100).await.unwrap(), 0);
    for lease in leases {
        assert_eq!(running(stores.responses.claim_response(&claim_of(&lease.key)).await).fence, lease.fence);
    }
}

/// Receipts and steps that were given a time are forgotten after it, and others stay for ever.
pub async fn http_h06_receipts_and_steps_are_forgotten_after_their_time(factory: &dyn Factory) {
    let Some((fixture, stores, clock)) = answering(factory, "H6").await else { return };
    let id = Uuid::from_u128(1);
    let keyed = |number, of: &str| note(id, [number]).idempotency_key(key(of));
    write(&*fixture.store(), keyed(1, "for-a-time").keep_receipt_for(KEPT)).await;
    write(&*fixture.store(), keyed(2, "for-ever")).await;
    for (run_id, keep_for) in [(1, Some(KEPT)), (2, None)] {
        let run = StepRun { run_id: Uuid::from_u128(run_id), fence: 1, keep_for };
        let step = StepRecord { name: "charge".to_owned(), ordinal: 1, state: StepState::Begun, result: None };
        assert!(stores.steps.write_step(&run, &step).await.unwrap().is_some());
    }
    clock.advance(KEPT - A_MICRO);
    for what in [Expiring::Receipts, Expiring::Steps] {
        assert_eq!(stores.retention.sweep(what, 100).await.unwrap(), 0, "{what:?}");
    }
    clock.advance(A_MICRO);
    for what in [Expiring::Receipts, Expiring::Steps] {
        assert_eq!(stores.retention.sweep(what, 100).await.unwrap(), 1, "{what:?}");
    }
    assert!(fixture.store().receipt(id, &key("for-ever")).await.unwrap().is_some());
}

/// Timers that have fired or were cancelled are forgotten after their time; those that wait or are parked, never.
pub async fn store_085_timers_are_forgotten_after_their_time(factory: &dyn Factory) {
    let Some((fixture, stores, clock)) = answering(factory, "85").await else { return };
    let Some(timers) = fixture.timers() else {
        not_run("85", "the store keeps no timers");
        return;
    };
    set(&*timers, 1..=40, Duration::ZERO).await;
    for held in claim(&*timers, "one", 30).await.timers {
        let settled = match held.timer.id.as_u128() {
            1..=10 => FIRED,
            11..=20 => Settled::Fired { keep_for: KEPT * 2 },
            _ => Settled::Parked { failure: "no".to_owned() },
        };
        assert!(timers.settle_timer(&held, &settled).await.unwrap());
    }
    timers.cancel_timer(QUEUE, Uuid::from_u128(50), KEPT).await.unwrap();
    clock.advance(KEPT - A_MICRO);
    assert_eq!(stores.retention.sweep(Expiring::Timers, 100).await.unwrap(), 0);
    clock.advance(A_MICRO);
    assert_eq!(stores.retention.sweep(Expiring::Timers, 4).await.unwrap(), 4);
    assert_eq!(stores.retention.sweep(Expiring::Timers, 100).await.unwrap(), 7);
    clock.advance(KEPT);
    assert_eq!(stores.retention.sweep(Expiring::Timers, 100).await.unwrap(), 10);
    clock.advance(KEPT * 1_000);
    assert_eq!(stores.retention.sweep(Expiring::Timers, 100).await.unwrap(), 0);
    let counts = timers.count_timers(QUEUE).await.unwrap();
    assert_eq!((counts.waiting, counts.parked), (10, 10));
}
