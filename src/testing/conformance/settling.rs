//! What becomes of timers that were held: settled, woken meanwhile, parked, counted and listed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    claims::{A_MICRO, KEPT, LEASE},
    due::{FIRED, NONE, QUEUE, claim, claim_of, id, ids, one, set, state, timing},
    fixture::Factory,
};
use crate::store::{DueClaim, Error, NewTimer, Settled, TimerCounts, TimerQuery, TimerState, TimerStore};

const MINUTE: Duration = Duration::from_secs(60);

fn failed(pause: Duration) -> Settled {
    Settled::Failed { pause, failure: "the mail server is down".to_owned() }
}

fn parked() -> Settled {
    Settled::Parked { failure: "the mail server is down".to_owned() }
}

async fn wake(store: &dyn TimerStore, number: u128) {
    store.wake_timers(QUEUE, &[id(number)], store.timer_clock()).await.unwrap();
}

/// A timer that failed is tried again after its pause, and its attempts are counted until it gets on.
pub async fn store_084_a_failed_timer_is_tried_again_after_its_pause(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=1, Duration::ZERO).await;
    for attempt in 1..=3 {
        let held = one(claim(&*store, "one", 10).await);
        assert_eq!(held.timer.attempts, attempt);
        assert_eq!(held.timer.failure.is_some(), attempt > 1);
        assert!(store.settle_timer(&held, &failed(MINUTE)).await.unwrap());
        let stands = store.timer(QUEUE, id(1)).await.unwrap().unwrap();
        assert_eq!((stands.attempts, stands.lease), (attempt, None));
        assert_eq!(stands.failure.as_ref().map(|failure| failure.at), Some(store.timer_clock()));
        assert_eq!(stands.failure.unwrap().message, "the mail server is down");
        clock.advance(MINUTE - A_MICRO);
        assert_eq!(claim(&*store, "one", 10).await.next, Some(A_MICRO));
        clock.advance(A_MICRO);
    }
    let held = one(claim(&*store, "one", 10).await);
    let at = store.timer_clock() + MINUTE;
    assert!(store.settle_timer(&held, &Settled::Later { at }).await.unwrap());
    let stands = store.timer(QUEUE, id(1)).await.unwrap().unwrap();
    assert_eq!((stands.attempts, &stands.failure, stands.due_at, stands.next_at), (0, &None, at, at));
    clock.advance(MINUTE);
    let held = one(claim(&*store, "one", 10).await);
    assert_eq!(held.timer.attempts, 1);
    assert!(store.settle_timer(&held, &Settled::Failed { pause: MINUTE, failure: "\0x".repeat(3_000) }).await.unwrap());
    let message = store.timer(QUEUE, id(1)).await.unwrap().unwrap().failure.unwrap().message;
    assert!(message.len() <= 2_000 && message.starts_with("\u{fffd}x"), "{} bytes", message.len());
}

/// A timer that is given back is due as it was, and the attempt does not count.
pub async fn store_084_a_timer_that_is_given_back_is_due_as_it_was(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=1, Duration::ZERO).await;
    clock.advance(MINUTE);
    set(&*store, 2..=2, Duration::ZERO).await;
    for _ in 0..5 {
        let held = one(claim(&*store, "one", 1).await);
        assert_eq!((held.timer.id, held.timer.attempts), (id(1), 1), "it was due first, and is first again");
        assert!(store.settle_timer(&held, &Settled::GivenBack).await.unwrap());
        let stands = store.timer(QUEUE, id(1)).await.unwrap().unwrap();
        assert_eq!((stands.attempts, stands.lease), (0, None));
    }
    let held = one(claim(&*store, "one", 1).await);
    assert!(store.settle_timer(&held, &failed(MINUTE)).await.unwrap());
    clock.advance(MINUTE);
    let held = claim(&*store, "one", 10).await.timers.into_iter().find(|held| held.timer.id == id(1)).unwrap();
    assert!(store.settle_timer(&held, &Settled::GivenBack).await.unwrap());
    let stands = store.timer(QUEUE, id(1)).await.unwrap().unwrap();
    assert_eq!(stands.attempts, 1);
    assert!(stands.failure.is_some());
    assert_eq!(ids(&claim(&*store, "two", 10).await), [id(1)], "at once");
}

/// A timer that was set aside is taken by nobody until it is resumed; then at once, and with no attempts counted.
pub async fn store_084_a_parked_timer_waits_until_it_is_resumed(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    assert!(!store.resume_timer(QUEUE, id(1)).await.unwrap());
    set(&*store, 1..=1, Duration::ZERO).await;
    assert!(!store.resume_timer(QUEUE, id(1)).await.unwrap(), "it is not parked");
    let held = one(claim(&*store, "one", 10).await);
    assert!(store.settle_timer(&held, &parked()).await.unwrap());
    wake(&*store, 1).await;
    clock.advance(LEASE * 2);
    let due = claim(&*store, "one", 10).await;
    assert_eq!((due.timers.len(), due.next), (0, None));
    let stands = store.timer(QUEUE, id(1)).await.unwrap().unwrap();
    assert_eq!((stands.state, stands.attempts, stands.lease), (TimerState::Parked, 1, None));
    assert_eq!(stands.failure.unwrap().message, "the mail server is down");
    assert!(store.resume_timer(QUEUE, id(1)).await.unwrap());
    let held = one(claim(&*store, "one", 10).await);
    assert_eq!((held.timer.attempts, held.timer.payload.as_deref()), (1, Some("1")));
    assert!(store.settle_timer(&held, &FIRED).await.unwrap());
    assert!(!store.resume_timer(QUEUE, id(1)).await.unwrap());
}

/// Waking makes what is not there, and has what waits be looked at sooner, never later.
pub async fn store_084_waking_makes_and_hastens(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    store.wake_timers(QUEUE, &[], store.timer_clock()).await.unwrap();
    store.wake_timers(QUEUE, &[id(1), id(2), id(1)], store.timer_clock() + MINUTE).await.unwrap();
    wake(&*store, 2).await;
    store.wake_timers(QUEUE, &[id(2)], store.timer_clock() + MINUTE).await.unwrap();
    let held = one(claim(&*store, "one", 10).await);
    assert_eq!((held.timer.id, held.timer.payload.as_deref()), (id(2), None));
    assert!(store.settle_timer(&held, &failed(MINUTE * 2)).await.unwrap());
    store.wake_timers(QUEUE, &[id(2)], store.timer_clock() + MINUTE).await.unwrap();
    assert!(
        claim(&*store, "one", 10).await.timers.is_empty(),
        "what has failed has its pause, or until it is woken for"
    );
    clock.advance(MINUTE);
    assert_eq!(claim(&*store, "one", 10).await.timers.len(), 2);
    // What has fired, or was cancelled, stays so for its time.
    set(&*store, 3..=3, Duration::ZERO).await;
    let held = one(claim(&*store, "one", 10).await);
    assert!(store.settle_timer(&held, &FIRED).await.unwrap());
    store.cancel_timer(QUEUE, id(4), KEPT).await.unwrap();
    store.wake_timers(QUEUE, &[id(3), id(4)], store.timer_clock()).await.unwrap();
    assert_eq!(state(&*store, 3).await, Some(TimerState::Fired));
    assert_eq!(state(&*store, 4).await, Some(TimerState::Cancelled));
    clock.advance(KEPT);
    store.wake_timers(QUEUE, &[id(3), id(4)], store.timer_clock()).await.unwrap();
    let woken = store.timer(QUEUE, id(3)).await.unwrap().unwrap();
    assert_eq!((woken.state, woken.payload, woken.attempts), (TimerState::Waiting, None, 0));
    assert_eq!(claim(&*store, "one", 10).await.timers.len(), 4);
}

/// What is woken while it is held is looked at again at once, and so is what waits after a failure; that counts as no attempt.
pub async fn store_084_what_is_woken_while_it_is_held_is_looked_at_again(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    let far = store.timer_clock() + MINUTE * 100;
    for (number, settled) in (1..).zip([Settled::Idle, Settled::Later { at: far }]) {
        wake(&*store, number).await;
        let held = one(claim(&*store, "one", 10).await);
        wake(&*store, number).await;
        assert!(claim(&*store, "two", 10).await.timers.is_empty(), "it is held still");
        assert_eq!(store.renew_timers(std::slice::from_ref(&held), LEASE).await.unwrap(), NONE);
        assert!(store.settle_timer(&held, &settled).await.unwrap());
        let again = one(claim(&*store, "one", 10).await);
        assert_eq!((again.timer.id, again.timer.attempts), (id(number), 1), "{settled:?}");
        assert!(store.settle_timer(&again, &settled).await.unwrap());
        assert!(claim(&*store, "one", 10).await.timers.is_empty(), "it was not woken again");
    }
    assert_eq!(state(&*store, 1).await, None, "what is idle is forgotten");
    assert_eq!(store.timer(QUEUE, id(2)).await.unwrap().unwrap().next_at, far);
    wake(&*store, 3).await;
    let held = one(claim(&*store, "one", 10).await);
    wake(&*store, 3).await;
    assert!(store.settle_timer(&held, &failed(MINUTE)).await.unwrap());
    let held = one(claim(&*store, "one", 10).await);
    assert_eq!(held.timer.attempts, 1, "it was tried since it was woken");
    assert!(store.settle_timer(&held, &failed(MINUTE)).await.unwrap());
    assert!(claim(&*store, "one", 10).await.timers.is_empty());
    for _ in 0..2 {
        wake(&*store, 3).await;
    }
    let held = one(claim(&*store, "one", 10).await);
    assert_eq!(held.timer.attempts, 1);
    assert!(store.settle_timer(&held, &failed(MINUTE)).await.unwrap());
    clock.advance(MINUTE);
    let held = one(claim(&*store, "one", 10).await);
    assert_eq!(held.timer.attempts, 2);
    wake(&*store, 3).await;
    assert!(store.settle_timer(&held, &Settled::GivenBack).await.unwrap());
    let held = one(claim(&*store, "one", 10).await);
    wake(&*store, 3).await;
    assert!(store.settle_timer(&held, &parked()).await.unwrap());
    assert_eq!(state(&*store, 3).await, Some(TimerState::Parked));
    // A time that comes sooner than "at once" stays.
    wake(&*store, 4).await;
    let held = one(claim(&*store, "one", 10).await);
    wake(&*store, 4).await;
    let before = store.timer_clock() - MINUTE;
    assert!(store.settle_timer(&held, &Settled::Later { at: before }).await.unwrap());
    assert_eq!(store.timer(QUEUE, id(4)).await.unwrap().unwrap().due_at, before);
}

/// What there is to do is counted, and how long the oldest of it has been due.
pub async fn store_084_what_there_is_to_do_is_counted(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    assert_eq!(store.count_timers(QUEUE).await.unwrap(), TimerCounts::default());
    set(&*store, 1..=5, Duration::ZERO).await;
    set(&*store, 6..=8, MINUTE * 10).await;
    let held = claim(&*store, "one", 2).await.timers;
    assert!(store.settle_timer(&held[0], &parked()).await.unwrap());
    clock.advance(LEASE - A_MICRO);
    let lag = LEASE - A_MICRO;
    let counts = TimerCounts { waiting: 7, due: 3, held: 1, parked: 1, lag };
    assert_eq!(store.count_timers(QUEUE).await.unwrap(), counts);
    assert_eq!(store.count_timers("other").await.unwrap(), TimerCounts::default());
    clock.advance(A_MICRO);
    let counts = TimerCounts { due: 4, held: 0, lag: LEASE, ..counts };
    assert_eq!(store.count_timers(QUEUE).await.unwrap(), counts, "a lease that has lapsed holds nothing");
}

/// Timers are listed in the order of their ids, page by page, of every state or of one.
pub async fn store_084_timers_are_listed_page_by_page(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = timing(factory, "84").await else { return };
    set(&*store, 1..=9, Duration::ZERO).await;
    set(&*store, u128::MAX..=u128::MAX, MINUTE).await;
    for held in claim(&*store, "one", 9).await.timers {
        let settled = match held.timer.id.as_u128() % 3 {
            0 => FIRED,
            1 => parked(),
            _ => Settled::GivenBack,
        };
        assert!(store.settle_timer(&held, &settled).await.unwrap());
    }
    for (state, expected) in [
        (None, vec![1, 2, 3, 4, 5, 6, 7, 8, 9, u128::MAX]),
        (Some(TimerState::Waiting), vec![2, 5, 8, u128::MAX]),
        (Some(TimerState::Parked), vec![1, 4, 7]),
        (Some(TimerState::Fired), vec![3, 6, 9]),
        (Some(TimerState::Cancelled), vec![]),
    ] {
        let mut query = TimerQuery { queue: QUEUE.into(), state, after: None, limit: 2 };
        let mut listed = Vec::new();
        loop {
            let page = store.list_timers(&query).await.unwrap();
            listed.extend(page.iter().map(|timer| timer.id.as_u128()));
            if page.len() < 2 {
                break;
            }
            query.after = page.last().map(|timer| timer.id);
        }
        assert_eq!(listed, expected, "{state:?}");
    }
    let last = TimerQuery { queue: QUEUE.into(), state: None, after: Some(Uuid::max()), limit: 2 };
    assert_eq!(store.list_timers(&last).await.unwrap(), []);
    clock.advance(KEPT);
    let fired = TimerQuery { state: Some(TimerState::Fired), after: None, ..last };
    assert_eq!(store.list_timers(&fired).await.unwrap(), [], "what is to be forgotten is not listed");
}

/// Names, times, payloads and lists of timers have bounds; what is refused leaves nothing behind.
pub async fn store_102_timers_have_bounds(factory: &dyn Factory) {
    let Some((_fixture, store, _clock)) = timing(factory, "102").await else { return };
    let now = store.timer_clock();
    let of = |payload: String, due_at: DateTime<Utc>| NewTimer { id: id(2), due_at, payload: payload.into() };
    let whole = || of(format!("\"{}\"", "a".repeat((64 << 10) - 2)), now);
    let is_invalid = |error: Option<Error>| assert!(matches!(error, Some(Error::Invalid { .. })), "{error:?}");
    for refused in [
        of(format!("\"{}\"", "a".repeat((64 << 10) - 1)), now),
        of("{".to_owned(), now),
        of(String::new(), now),
        of("[".repeat(200) + &"]".repeat(200), now),
        of("1".to_owned(), DateTime::<Utc>::MAX_UTC),
    ] {
        let timers = [NewTimer { id: id(1), ..whole() }, refused];
        is_invalid(store.schedule_timers(QUEUE, &timers).await.err());
    }
    assert_eq!(state(&*store, 1).await, None, "all or none");
    for queue in ["", "a queue", "\u{e4}", &"a".repeat(201)] {
        is_invalid(store.schedule_timers(queue, &[whole()]).await.err());
        is_invalid(store.move_timer(queue, id(1), now).await.err());
        is_invalid(store.cancel_timer(queue, id(1), KEPT).await.err());
        is_invalid(store.wake_timers(queue, &[id(1)], now).await.err());
        is_invalid(store.claim_due(&DueClaim { queue: queue.into(), ..claim_of("one", 1) }).await.err());
        is_invalid(store.resume_timer(queue, id(1)).await.err());
        is_invalid(store.timer(queue, id(1)).await.err());
        is_invalid(store.count_timers(queue).await.err());
        let query = TimerQuery { queue: queue.into(), state: None, after: None, limit: 1 };
        is_invalid(store.list_timers(&query).await.err());
    }
    let thousand: Vec<_> = (1..=1_001).map(|number| NewTimer { id: id(number), ..of("1".to_owned(), now) }).collect();
    is_invalid(store.schedule_timers(QUEUE, &thousand).await.err());
    store.schedule_timers(QUEUE, &thousand[..1_000]).await.unwrap();
    is_invalid(store.wake_timers(QUEUE, &vec![id(1); 1_001], now).await.err());
    is_invalid(store.cancel_timer(QUEUE, id(1), Duration::ZERO).await.err());
    for refused in [claim_of("", 1), claim_of(&"a".repeat(256), 1), claim_of("one", 1_001)] {
        is_invalid(store.claim_due(&refused).await.err());
    }
    is_invalid(store.claim_due(&DueClaim { lease: Duration::ZERO, ..claim_of("one", 1) }).await.err());
    let held = claim(&*store, "one", 1_000).await.timers;
    assert_eq!(held.len(), 1_000);
    assert_eq!(store.renew_timers(&held, LEASE).await.unwrap(), NONE);
    is_invalid(store.renew_timers(&held, Duration::ZERO).await.err());
    for settled in [
        Settled::Fired { keep_for: Duration::ZERO },
        Settled::Later { at: DateTime::<Utc>::MAX_UTC },
        failed(Duration::MAX),
    ] {
        is_invalid(store.settle_timer(&held[0], &settled).await.err());
    }
    for limit in [0, 10_001] {
        let query = TimerQuery { queue: QUEUE.into(), state: None, after: None, limit };
        is_invalid(store.list_timers(&query).await.err());
    }
    store.schedule_timers("a", &[whole()]).await.unwrap();
    assert_eq!(store.timer("a", id(2)).await.unwrap().unwrap().payload.unwrap().len(), 64 << 10);
}
