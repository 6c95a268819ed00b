//! Runners die in every gap: nothing is lost, and the effect is had once.

use super::{
    Arc, AtomicBool, Duration, MINUTE, ManualClock, Ordering, Running, Store, TimerState, Uuid, die_with_it, effects,
    on_every_database, quick, remind, timers, until, until_in_state,
};

on_every_database! {
    store_084_a_timer_whose_runner_dies_is_fired_by_another
    store_084_a_timer_that_kills_its_runners_is_parked_without_being_handed_out
}

/// Where a runner dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// With the timer taken, and nothing done.
    Taken,
    /// In the handler, before its effect.
    Begun,
    /// In the handler, after its effect and before the timer's end is noted.
    Done,
}

async fn store_084_a_timer_whose_runner_dies_is_fired_by_another(store: impl Store, clock: Arc<ManualClock>) {
    let timers = timers(&store);
    for (number, gap) in (1..).zip([Gap::Taken, Gap::Begun, Gap::Done]) {
        let id = Uuid::from_u128(number);
        timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
        if gap == Gap::Taken {
            assert_eq!(die_with_it(&store, &clock).await.len(), 1);
        } else {
            let is_there = Arc::new(AtomicBool::new(false));
            let (told, on) = (Arc::clone(&is_there), store.clone());
            let dying = Running::start(quick(&timers), move |timer| {
                let (told, store) = (Arc::clone(&told), on.clone());
                async move {
                    if gap == Gap::Done {
                        remind(&store, &timer).await;
                    }
                    told.store(true, Ordering::SeqCst);
                    std::future::pending().await
                }
            });
            until("the gap", async || is_there.load(Ordering::SeqCst)).await;
            drop(dying);
            clock.advance(MINUTE);
        }
        assert_eq!(timers.find(id).await.unwrap().unwrap().state, TimerState::Waiting, "{gap:?}");
        let on = store.clone();
        let running = Running::start(quick(&timers), move |timer| {
            let store = on.clone();
            async move {
                assert_eq!(timer.attempt(), 2, "the attempt of the dead counts");
                remind(&store, &timer).await;
                Ok(())
            }
        });
        until_in_state(&timers, id, TimerState::Fired).await;
        running.stop().await;
        assert_eq!(effects(&store, id).await, 1, "{gap:?}");
    }
}

async fn store_084_a_timer_that_kills_its_runners_is_parked_without_being_handed_out(
    store: impl Store,
    clock: Arc<ManualClock>,
) {
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(die_with_it(&store, &clock).await.len(), 1);
    }
    let is_begun = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_begun);
    let running = Running::start(quick(&timers).attempts(3), move |_| {
        told.store(true, Ordering::SeqCst);
        async { Ok(()) }
    });
    let parked = until_in_state(&timers, id, TimerState::Parked).await;
    running.stop().await;
    assert!(!is_begun.load(Ordering::SeqCst));
    assert!(parked.failure.unwrap().message.contains("3 runners"));
}
