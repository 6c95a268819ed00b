//! Timers: due at their time, taken by one at a time, settled by whoever holds them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;

use super::{
    claims::{A_MICRO, KEPT, LEASE},
    due::{FIRED, NONE, QUEUE, claim, claim_of, id, ids, one, set, state, timing},
    fixture::{Factory, not_run, with_restart},
};
use crate::store::{DueClaim, NewTimer, Settled, TimerState};

const MINUTE: Duration = Duration::from_secs(60);

/// A timer is taken at its time or after, never before; also where that lies between two microseconds.
pub async fn store_084_no_timer_is_taken_before_it_is_due(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    let now = store.timer_clock();
    let between = NewTimer { id: id(1), due_at: now + MINUTE + TimeDelta::nanoseconds(1), payload: "{\"n\":1}".into() };
    store.schedule_timers(QUEUE, &[between]).await.unwrap();
    clock.advance(MINUTE);
    let due = claim(&*store, "one", 10).await;
    assert!(due.timers.is_empty(), "{due:?}");
    assert_eq!(due.next, Some(A_MICRO));
    clock.advance(A_MICRO);
    let held = one(claim(&*store, "one", 10).await);
    assert_eq!(held.timer.payload.as_deref(), Some("{\"n\":1}"));
    assert_eq!((held.timer.id, held.timer.attempts, held.timer.state), (id(1), 1, TimerState::Waiting));
    assert_eq!(held.timer.lease.as_ref().map(|lease| &*lease.owner), Some("one"));
    assert_eq!((held.timer.due_at, held.timer.scheduled_at), (now + MINUTE + TimeDelta::microseconds(1), now));
}

/// A timer whose id is there stays as it is, whatever it has come to; within one call the first counts.
pub async fn store_084_setting_a_timer_again_changes_nothing(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    let now = store.timer_clock();
    let of = |number, seconds, payload: &str| NewTimer {
        id: id(number),
        due_at: now + Duration::from_secs(seconds),
        payload: payload.into(),
    };
    let waiting = [TimerState::Waiting; 2];
    assert_eq!(store.schedule_timers(QUEUE, &[of(2, 0, "1"), of(2, 9, "2")]).await.unwrap(), waiting);
    assert_eq!(store.schedule_timers(QUEUE, &[of(2, 9, "3"), of(1, 0, "4")]).await.unwrap(), waiting);
    assert_eq!(store.schedule_timers(QUEUE, &[]).await.unwrap(), []);
    let first = store.timer(QUEUE, id(2)).await.unwrap().unwrap();
    assert_eq!((first.due_at, first.payload.as_deref(), first.revision), (now, Some("1"), 1));
    let due = claim(&*store, "one", 10).await;
    assert_eq!(due.timers.len(), 2);
    for held in &due.timers {
        let settled = if held.timer.id == id(1) { FIRED } else { Settled::Parked { failure: "no".to_owned() } };
        assert!(store.settle_timer(held, &settled).await.unwrap());
    }
    store.cancel_timer(QUEUE, id(3), KEPT).await.unwrap();
    let again = [of(3, 0, "5"), of(1, 0, "5"), of(2, 0, "5"), of(4, 0, "5")];
    let expected = [TimerState::Cancelled, TimerState::Fired, TimerState::Parked, TimerState::Waiting];
    for _ in 0..2 {
        assert_eq!(store.schedule_timers(QUEUE, &again).await.unwrap(), expected);
    }
    assert_eq!(ids(&claim(&*store, "one", 10).await), [id(4)]);
    // What is remembered for its time is free after it, swept or not.
    clock.advance(KEPT);
    for number in [1, 3] {
        assert_eq!(store.timer(QUEUE, id(number)).await.unwrap(), None);
        assert_eq!(store.schedule_timers(QUEUE, &[of(number, 0, "6")]).await.unwrap(), [TimerState::Waiting]);
        let anew = store.timer(QUEUE, id(number)).await.unwrap().unwrap();
        assert_eq!((anew.payload.as_deref(), anew.attempts, anew.failure), (Some("6"), 0, None));
    }
}

/// Owners share what is due: each timer is taken once, however many ask at once, and every fence is another one.
pub async fn store_084_owners_share_what_is_due(factory: &dyn Factory) {
    let Some((_fixture, store, _clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=200, Duration::ZERO).await;
    let mut owners = JoinSet::new();
    for owner in 0..8 {
        let store = Arc::clone(&store);
        owners.spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..10 {
                taken.extend(claim(&*store, &format!("owner-{owner}"), 7).await.timers);
            }
            taken
        });
    }
    let mut taken = Vec::new();
    while let Some(by_owner) = owners.join_next().await {
        taken.extend(by_owner.unwrap());
    }
    // Whoever passes over rows that others hold may find less than there is: the last ones are asked for by one alone.
    taken.extend(claim(&*store, "last", 200).await.timers);
    assert_eq!(taken.len(), 200);
    assert_eq!(taken.iter().map(|held| held.timer.id).collect::<BTreeSet<_>>().len(), 200);
    assert_eq!(taken.iter().map(|held| held.fence).collect::<BTreeSet<_>>().len(), 200);
}

/// What became due first is taken first, never more than was asked for, and whoever asks is told when to ask again.
pub async fn store_084_what_became_due_first_is_taken_first(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    assert_eq!(claim(&*store, "one", 10).await.next, None);
    for (number, seconds) in [(1, 30), (2, 10), (3, 20), (4, 90)] {
        set(&*store, number..=number, Duration::from_secs(seconds)).await;
    }
    assert_eq!(claim(&*store, "one", 10).await.next, Some(Duration::from_secs(10)));
    clock.advance(MINUTE);
    let asked = claim(&*store, "one", 0).await;
    assert_eq!((asked.timers.len(), asked.next), (0, Some(Duration::ZERO)), "more are due");
    let first = claim(&*store, "one", 2).await;
    assert_eq!((ids(&first), first.next), (vec![id(2), id(3)], Some(Duration::ZERO)));
    assert!(first.timers[0].timer.due_at < first.timers[1].timer.due_at);
    let second = claim(&*store, "two", 2).await;
    assert_eq!((ids(&second), second.next), (vec![id(1)], Some(Duration::from_secs(30))));
    let higher = second.timers[0].fence;
    assert!(first.timers.iter().all(|held| held.fence < higher), "a later holding has a higher fence");
    set(&*store, 5..=5, MINUTE).await;
    clock.advance(MINUTE);
    assert_eq!(claim(&*store, "one", 10).await.timers.len(), 5, "those of the dead, and two more");
    assert_eq!(claim(&*store, "one", 10).await.next, Some(LEASE), "what is held may be had when its lease lapses");
}

/// A timer whose holder dies is taken by another, and whatever the late one says changes nothing.
pub async fn store_084_a_timer_is_not_lost_with_its_holder(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=1, Duration::ZERO).await;
    let late = one(claim(&*store, "one", 10).await);
    clock.advance(LEASE - A_MICRO);
    assert!(claim(&*store, "two", 10).await.timers.is_empty());
    clock.advance(A_MICRO);
    let held = one(claim(&*store, "two", 10).await);
    assert!(held.fence > late.fence);
    assert_eq!(held.timer.attempts, 2, "the attempt of the dead counts");
    let outcomes = [
        FIRED,
        Settled::Idle,
        Settled::Later { at: store.timer_clock() },
        Settled::Failed { pause: MINUTE, failure: "no".to_owned() },
        Settled::Parked { failure: "no".to_owned() },
        Settled::GivenBack,
    ];
    let before = store.timer(QUEUE, id(1)).await.unwrap().unwrap();
    for settled in &outcomes {
        assert!(!store.settle_timer(&late, settled).await.unwrap(), "{settled:?}");
    }
    assert_eq!(store.renew_timers(std::slice::from_ref(&late), LEASE).await.unwrap(), [id(1)]);
    assert_eq!(store.timer(QUEUE, id(1)).await.unwrap().unwrap(), before);
    assert!(store.settle_timer(&held, &FIRED).await.unwrap());
    for settled in &outcomes {
        assert!(!store.settle_timer(&held, settled).await.unwrap(), "once it is settled nobody holds it: {settled:?}");
    }
    assert_eq!(state(&*store, 1).await, Some(TimerState::Fired));
    clock.advance(LEASE * 2);
    assert!(claim(&*store, "two", 10).await.timers.is_empty(), "it has fired");
}

/// Signs of life keep a timer, also after its lease has lapsed where nobody has taken it; what is lost is told.
pub async fn store_084_signs_of_life_keep_a_timer(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=3, Duration::ZERO).await;
    let held = claim(&*store, "one", 10).await.timers;
    assert_eq!(store.renew_timers(&[], LEASE).await.unwrap(), NONE);
    for _ in 0..3 {
        clock.advance(LEASE - A_MICRO);
        assert_eq!(store.renew_timers(&held, LEASE).await.unwrap(), NONE);
        assert!(claim(&*store, "two", 10).await.timers.is_empty());
    }
    clock.advance(LEASE);
    assert_eq!(store.renew_timers(&held, LEASE).await.unwrap(), NONE, "nobody has taken them");
    assert!(claim(&*store, "two", 10).await.timers.is_empty());
    let renewed = store.timer(QUEUE, id(1)).await.unwrap().unwrap();
    assert_eq!(renewed.lease.unwrap().renewed_at, store.timer_clock());
    assert_eq!((renewed.attempts, renewed.next_at), (1, store.timer_clock() + LEASE));
    let by_id = |number| held.iter().find(|held| held.timer.id == id(number)).unwrap();
    assert!(store.settle_timer(by_id(1), &FIRED).await.unwrap());
    store.cancel_timer(QUEUE, id(2), KEPT).await.unwrap();
    let lost: BTreeSet<_> = store.renew_timers(&held, LEASE).await.unwrap().into_iter().collect();
    assert_eq!(lost, BTreeSet::from([id(1), id(2)]));
}

/// A timer that is moved waits for its new time, from whoever held it; what has fired or was cancelled stays so.
pub async fn store_084_a_moved_timer_waits_for_its_new_time(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    assert_eq!(store.move_timer(QUEUE, id(1), store.timer_clock()).await.unwrap(), None);
    set(&*store, 1..=1, MINUTE).await;
    let sooner = store.timer_clock() + Duration::from_secs(1);
    assert_eq!(store.move_timer(QUEUE, id(1), sooner).await.unwrap().unwrap().due_at, sooner);
    clock.advance(Duration::from_secs(1));
    let held = one(claim(&*store, "one", 10).await);
    let later = store.timer_clock() + MINUTE;
    for _ in 0..2 {
        let moved = store.move_timer(QUEUE, id(1), later).await.unwrap().unwrap();
        assert_eq!((moved.due_at, moved.next_at, moved.attempts, moved.lease), (later, later, 0, None));
        assert_eq!(moved.state, TimerState::Waiting);
        assert!(moved.revision > held.timer.revision);
    }
    assert!(!store.settle_timer(&held, &FIRED).await.unwrap());
    assert_eq!(store.renew_timers(std::slice::from_ref(&held), LEASE).await.unwrap(), [id(1)]);
    assert!(claim(&*store, "two", 10).await.timers.is_empty());
    clock.advance(MINUTE);
    let held = one(claim(&*store, "two", 10).await);
    assert!(store.settle_timer(&held, &Settled::Parked { failure: "no".to_owned() }).await.unwrap());
    let moved = store.move_timer(QUEUE, id(1), store.timer_clock()).await.unwrap().unwrap();
    assert_eq!((moved.state, moved.failure), (TimerState::Waiting, None), "what is parked waits again");
    let held = one(claim(&*store, "two", 10).await);
    assert!(store.settle_timer(&held, &FIRED).await.unwrap());
    assert_eq!(store.move_timer(QUEUE, id(1), later).await.unwrap().unwrap().state, TimerState::Fired);
    store.cancel_timer(QUEUE, id(2), KEPT).await.unwrap();
    assert_eq!(store.move_timer(QUEUE, id(2), later).await.unwrap().unwrap().state, TimerState::Cancelled);
    clock.advance(LEASE * 2);
    assert!(claim(&*store, "two", 10).await.timers.is_empty());
}

/// A timer that is cancelled does not fire, also where it is held, or set only afterwards.
pub async fn store_084_a_cancelled_timer_does_not_fire(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=2, Duration::ZERO).await;
    let held = claim(&*store, "one", 1).await.timers.remove(0);
    let other = if held.timer.id == id(1) { id(2) } else { id(1) };
    let before = store.cancel_timer(QUEUE, held.timer.id, KEPT).await.unwrap().unwrap();
    assert_eq!(before.lease.unwrap().owner, "one", "whoever cancels is told that somebody had it");
    assert_eq!(store.cancel_timer(QUEUE, other, KEPT).await.unwrap().unwrap().state, TimerState::Waiting);
    for number in [1, 2] {
        assert_eq!(store.cancel_timer(QUEUE, id(number), KEPT).await.unwrap().unwrap().state, TimerState::Cancelled);
    }
    assert!(!store.settle_timer(&held, &FIRED).await.unwrap());
    assert_eq!(store.cancel_timer(QUEUE, id(3), KEPT).await.unwrap(), None);
    set(&*store, 1..=3, Duration::ZERO).await;
    clock.advance(KEPT - A_MICRO);
    assert!(claim(&*store, "one", 10).await.timers.is_empty());
    let unset = store.timer(QUEUE, id(3)).await.unwrap().unwrap();
    assert_eq!((unset.state, unset.payload), (TimerState::Cancelled, None));
    clock.advance(A_MICRO);
    assert_eq!(store.cancel_timer(QUEUE, id(1), KEPT).await.unwrap(), None, "its time was over");
    assert_eq!(store.timer(QUEUE, id(1)).await.unwrap().unwrap().state, TimerState::Cancelled);
    set(&*store, 4..=4, Duration::ZERO).await;
    let held = one(claim(&*store, "one", 10).await);
    assert!(store.settle_timer(&held, &FIRED).await.unwrap());
    for _ in 0..2 {
        assert_eq!(store.cancel_timer(QUEUE, id(4), KEPT).await.unwrap().unwrap().state, TimerState::Fired);
    }
}

/// Queues know nothing of each other, whatever the ids.
pub async fn store_084_queues_know_nothing_of_each_other(factory: &dyn Factory) {
    let Some((_fixture, store, _clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=1, Duration::ZERO).await;
    let other = DueClaim { queue: "process:order".into(), ..claim_of("one", 10) };
    assert!(store.claim_due(&other).await.unwrap().timers.is_empty());
    store.wake_timers(&other.queue, &[id(1)], store.timer_clock()).await.unwrap();
    let held = store.claim_due(&other).await.unwrap().timers.remove(0);
    assert_eq!((held.timer.payload.as_deref(), &*held.timer.queue), (None, "process:order"));
    let mine = one(claim(&*store, "one", 10).await);
    assert_eq!(store.renew_timers(&[mine.clone(), held.clone()], LEASE).await.unwrap(), NONE);
    assert!(store.settle_timer(&held, &Settled::Idle).await.unwrap());
    assert_eq!(store.timer(&other.queue, id(1)).await.unwrap(), None);
    assert!(store.settle_timer(&mine, &FIRED).await.unwrap());
}

/// Timers survive a restart: those that wait, and those that were held when the application died.
pub async fn store_084_timers_survive_a_restart(factory: &dyn Factory) {
    let Some(mut fixture) = with_restart(factory, "84").await else { return };
    let Some(store) = fixture.timers() else {
        not_run("84", "the store keeps no timers");
        return;
    };
    let past: DateTime<Utc> = store.timer_clock() - MINUTE;
    let timers = [1, 2].map(|number| NewTimer { id: id(number), due_at: past, payload: "{}".into() });
    store.schedule_timers(QUEUE, &timers).await.unwrap();
    let lease = Duration::from_millis(1);
    let held = store.claim_due(&DueClaim { lease, ..claim_of("one", 1) }).await.unwrap().timers.remove(0);
    drop(store);
    fixture.reopen().await;
    let store = fixture.timers().unwrap();
    let mut taken = BTreeSet::new();
    // The lease of the dead lapses in a millisecond of the machine's, or the server's.
    for _ in 0..10_000 {
        taken.extend(claim(&*store, "two", 10).await.timers.into_iter().map(|held| held.timer.id));
        if taken.len() == 2 {
            break;
        }
    }
    assert_eq!(taken, BTreeSet::from([id(1), id(2)]));
    assert!(!store.settle_timer(&held, &FIRED).await.unwrap());
}

/// Every one of these may be repeated after an error: it has the effect of one, and nothing is lost.
pub async fn store_084_calls_that_are_repeated_have_one_effect(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=1, Duration::ZERO).await;
    set(&*store, 1..=1, Duration::ZERO).await;
    for _ in 0..2 {
        store.wake_timers(QUEUE, &[id(2), id(2)], store.timer_clock()).await.unwrap();
    }
    // The answer to the first claim is lost: what was taken comes back when its lease lapses.
    assert_eq!(claim(&*store, "one", 10).await.timers.len(), 2);
    assert!(claim(&*store, "one", 10).await.timers.is_empty());
    clock.advance(LEASE);
    let held = claim(&*store, "one", 10).await.timers;
    assert_eq!(held.len(), 2);
    for _ in 0..2 {
        assert_eq!(store.renew_timers(&held, LEASE).await.unwrap(), NONE);
    }
    let (first, second) = (&held[0], &held[1]);
    assert!(store.settle_timer(first, &Settled::Parked { failure: "no".to_owned() }).await.unwrap());
    assert!(!store.settle_timer(first, &Settled::Parked { failure: "no".to_owned() }).await.unwrap());
    assert!(store.resume_timer(QUEUE, first.timer.id).await.unwrap());
    assert!(!store.resume_timer(QUEUE, first.timer.id).await.unwrap());
    assert!(store.settle_timer(second, &Settled::Idle).await.unwrap());
    assert!(!store.settle_timer(second, &Settled::Idle).await.unwrap());
    assert_eq!(ids(&claim(&*store, "one", 10).await), [first.timer.id]);
}
