//! What the cases of timers set and take.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    claims::{KEPT, LEASE},
    fixture::{Factory, Fixture, not_run, with_clock},
};
use crate::store::{Due, DueClaim, HeldTimer, ManualClock, NewTimer, Settled, TimerState, TimerStore};

pub(super) const QUEUE: &str = "reminders";

/// It has fired, and is remembered for as long as anything here.
pub(super) const FIRED: Settled = Settled::Fired { keep_for: KEPT };

/// No timers.
pub(super) const NONE: [Uuid; 0] = [];

/// A store that keeps timers, with a clock that stands still.
pub(super) async fn timing(
    factory: &dyn Factory,
    case: &str,
) -> Option<(Box<dyn Fixture>, Arc<dyn TimerStore>, Arc<ManualClock>)> {
    let clock = Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap()));
    let fixture = with_clock(factory, &clock, case).await?;
    let Some(store) = fixture.timers() else {
        not_run(case, "the store keeps no timers");
        return None;
    };
    Some((fixture, store, clock))
}

pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Sets timers that are due so long from now.
pub(super) async fn set(store: &dyn TimerStore, numbers: RangeInclusive<u128>, from_now: Duration) {
    let due_at = store.timer_clock() + from_now;
    let timers: Vec<_> =
        numbers.map(|number| NewTimer { id: id(number), due_at, payload: number.to_string().into() }).collect();
    store.schedule_timers(QUEUE, &timers).await.unwrap();
}

pub(super) fn claim_of(owner: &str, limit: u32) -> DueClaim {
    DueClaim { queue: QUEUE.into(), owner: owner.into(), lease: LEASE, limit }
}

pub(super) async fn claim(store: &dyn TimerStore, owner: &str, limit: u32) -> Due {
    store.claim_due(&claim_of(owner, limit)).await.unwrap()
}

pub(super) fn ids(due: &Due) -> Vec<Uuid> {
    due.timers.iter().map(|held| held.timer.id).collect()
}

/// The one that is due.
#[track_caller]
pub(super) fn one(mut due: Due) -> HeldTimer {
    assert_eq!(due.timers.len(), 1, "{due:?}");
    due.timers.remove(0)
}

pub(super) async fn state(store: &dyn TimerStore, number: u128) -> Option<TimerState> {
    store.timer(QUEUE, id(number)).await.unwrap().map(|timer| timer.state)
}
