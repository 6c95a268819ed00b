//! A timer fires at its time, once; what fails is tried again, then parked.

use super::{
    Arc, AtomicBool, Dropped, Duration, MINUTE, ManualClock, Mutex, Ordering, Running, Seen, Store, TimerState, Timers,
    Uuid, effects, on_every_database, quick, remind, timers, until, until_in_state,
};

on_every_database! {
    store_084_a_timer_fires_once_and_not_before_it_is_due
    store_084_a_cancelled_timer_does_not_fire_and_a_moved_one_fires_at_its_new_time
    store_084_what_fails_is_tried_again_then_parked_then_resumed
    store_084_a_handler_that_panics_or_takes_too_long_has_failed
    store_084_a_handler_whose_timer_is_taken_away_is_dropped
    store_084_what_is_set_in_the_same_process_fires_without_a_look
    store_084_what_does_not_end_in_time_is_given_back
    store_084_settings_and_names_have_bounds
}

async fn store_084_a_timer_fires_once_and_not_before_it_is_due(store: impl Store, clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    timers.schedule_after(id, MINUTE, &"hello").await.unwrap();
    let seen: Seen<_> = Arc::default();
    let (noted, on) = (Arc::clone(&seen), store.clone());
    let running = Running::start(quick(&timers), move |timer| {
        let (noted, store) = (Arc::clone(&noted), on.clone());
        async move {
            noted.lock().unwrap().push((timer.payload::<String>()?, store.timer_clock() >= timer.due_at()));
            remind(&store, &timer).await;
            Ok(())
        }
    });
    clock.advance(MINUTE - Duration::from_micros(1));
    // One that is due shows that the runner has looked at this time.
    timers.schedule_after(Uuid::from_u128(2), Duration::ZERO, &"now").await.unwrap();
    until_in_state(&timers, Uuid::from_u128(2), TimerState::Fired).await;
    assert_eq!(effects(&store, id).await, 0);
    clock.advance(Duration::from_micros(1));
    until_in_state(&timers, id, TimerState::Fired).await;
    // Setting it again changes nothing.
    assert_eq!(timers.schedule_after(id, Duration::ZERO, &"again").await.unwrap(), TimerState::Fired);
    clock.advance(MINUTE * 10);
    timers.schedule_after(Uuid::from_u128(3), Duration::ZERO, &"last").await.unwrap();
    until_in_state(&timers, Uuid::from_u128(3), TimerState::Fired).await;
    running.stop().await;
    assert_eq!(effects(&store, id).await, 1);
    let expected = ["now", "hello", "last"].map(|payload| (payload.to_owned(), true));
    assert_eq!(*seen.lock().unwrap(), expected);
}

async fn store_084_a_cancelled_timer_does_not_fire_and_a_moved_one_fires_at_its_new_time(
    store: impl Store,
    clock: Arc<ManualClock>,
) {
    let timers = timers(&store);
    let [cancelled, sooner, later] = [1, 2, 3].map(Uuid::from_u128);
    let now = store.timer_clock();
    for id in [cancelled, sooner, later] {
        timers.schedule(id, now + MINUTE, &()).await.unwrap();
    }
    assert_eq!(timers.cancel(cancelled).await.unwrap().unwrap().state, TimerState::Waiting);
    timers.move_to(sooner, now).await.unwrap().unwrap();
    timers.move_to(later, now + MINUTE * 2).await.unwrap().unwrap();
    let on = store.clone();
    let running = Running::start(quick(&timers), move |timer| {
        let store = on.clone();
        async move {
            remind(&store, &timer).await;
            Ok(())
        }
    });
    until_in_state(&timers, sooner, TimerState::Fired).await;
    clock.advance(MINUTE * 2 - Duration::from_micros(1));
    timers.schedule(Uuid::from_u128(4), now, &()).await.unwrap();
    until_in_state(&timers, Uuid::from_u128(4), TimerState::Fired).await;
    assert_eq!(effects(&store, later).await, 0);
    clock.advance(Duration::from_micros(1));
    until_in_state(&timers, later, TimerState::Fired).await;
    running.stop().await;
    let all = [effects(&store, cancelled).await, effects(&store, sooner).await, effects(&store, later).await];
    assert_eq!(all, [0, 1, 1]);
}

async fn store_084_what_fails_is_tried_again_then_parked_then_resumed(store: impl Store, clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    let seen: Seen<_> = Arc::default();
    let is_well = Arc::new(AtomicBool::new(false));
    let (noted, well) = (Arc::clone(&seen), Arc::clone(&is_well));
    let runner = quick(&timers).attempts(3).pauses(MINUTE, MINUTE);
    let running = Running::start(runner, move |timer| {
        noted.lock().unwrap().push(timer.attempt());
        let is_well = well.load(Ordering::SeqCst);
        async move { if is_well { Ok(()) } else { Err("the mail server is down".into()) } }
    });
    for attempt in 1..=3 {
        until("an attempt", async || {
            let timer = timers.find(id).await.unwrap().unwrap();
            timer.attempts == attempt && timer.lease.is_none() && timer.failure.is_some()
        })
        .await;
        // A pause is lengthened by as much as itself at the most.
        clock.advance(MINUTE * 2);
    }
    let parked = until_in_state(&timers, id, TimerState::Parked).await;
    assert_eq!(parked.failure.unwrap().message, "the mail server is down");
    assert_eq!(timers.list_parked(None).await.unwrap().iter().map(|timer| timer.id).collect::<Vec<_>>(), [id]);
    assert_eq!(timers.counts().await.unwrap().parked, 1);
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    is_well.store(true, Ordering::SeqCst);
    assert!(timers.resume(id).await.unwrap());
    until_in_state(&timers, id, TimerState::Fired).await;
    running.stop().await;
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 1]);
}

async fn store_084_a_handler_that_panics_or_takes_too_long_has_failed(store: impl Store, _clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let [panics, hangs] = [1, 2].map(Uuid::from_u128);
    for id in [panics, hangs] {
        timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    }
    let runner = quick(&timers).attempts(1).handler_timeout(Duration::from_millis(20));
    let running = Running::start(runner, move |timer| async move {
        assert_ne!(timer.id(), Uuid::from_u128(1), "this one panics");
        std::future::pending().await
    });
    assert!(until_in_state(&timers, panics, TimerState::Parked).await.failure.unwrap().message.contains("panicked"));
    assert!(until_in_state(&timers, hangs, TimerState::Parked).await.failure.unwrap().message.contains("longer than"));
    running.stop().await;
}

/// Somebody moves or cancels a timer that is being fired: within a third of the lease its handler is dropped.
async fn store_084_a_handler_whose_timer_is_taken_away_is_dropped(store: impl Store, _clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    let (begun, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (told, guard) = (Arc::clone(&begun), Arc::clone(&dropped));
    let running = Running::start(quick(&timers).lease(Duration::from_millis(60)), move |_| {
        let guard = Dropped(Arc::clone(&guard));
        told.store(true, Ordering::SeqCst);
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    });
    until("the handler", async || begun.load(Ordering::SeqCst)).await;
    timers.cancel(id).await.unwrap();
    until("its end", async || dropped.load(Ordering::SeqCst)).await;
    assert_eq!(timers.find(id).await.unwrap().unwrap().state, TimerState::Cancelled);
    running.stop().await;
}

/// A runner that would look only in an hour is woken by what a clone sets.
async fn store_084_what_is_set_in_the_same_process_fires_without_a_look(store: impl Store, _clock: Arc<ManualClock>) {
    let timers: Timers = timers(&store);
    let running = Running::start(timers.runner().poll(Duration::from_secs(3600)), |_| async { Ok(()) });
    for number in 1..=20 {
        let id = Uuid::from_u128(number);
        timers.clone().schedule_after(id, Duration::ZERO, &()).await.unwrap();
        until_in_state(&timers, id, TimerState::Fired).await;
    }
    running.stop().await;
}

async fn store_084_what_does_not_end_in_time_is_given_back(store: impl Store, clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    let begun: Arc<Mutex<u32>> = Arc::default();
    let told = Arc::clone(&begun);
    let running = Running::start(quick(&timers).drain(Duration::from_millis(10)), move |_| {
        *told.lock().unwrap() += 1;
        std::future::pending()
    });
    until("the handler", async || *begun.lock().unwrap() == 1).await;
    running.stop().await;
    let stands = timers.find(id).await.unwrap().unwrap();
    assert_eq!((stands.attempts, &stands.lease), (0, &None), "at once, and without counting");
    assert_eq!(stands.next_at, clock_now(&clock));
}

fn clock_now(clock: &ManualClock) -> chrono::DateTime<chrono::Utc> {
    annals::Clock::now(clock)
}

async fn store_084_settings_and_names_have_bounds(store: impl Store, _clock: Arc<ManualClock>) {
    for name in ["", "a queue", "process:order", &"a".repeat(201)] {
        assert!(Timers::new(&store, name).is_err(), "{name:?}");
    }
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    assert!(timers.schedule_after(id, Duration::MAX, &()).await.is_err());
    assert!(timers.schedule_after(id, MINUTE, &"a".repeat(64 << 10)).await.is_err());
    for refused in [
        timers.runner().concurrency(0),
        timers.runner().concurrency(1_001),
        timers.runner().attempts(0),
        timers.runner().lease(Duration::ZERO),
        timers.runner().poll(Duration::ZERO),
        timers.runner().handler_timeout(Duration::MAX),
        timers.runner().drain(Duration::MAX),
        timers.runner().pauses(Duration::ZERO, MINUTE),
        timers.runner().owner(""),
    ] {
        let ended = refused.run(std::future::pending(), |_| async { Ok(()) }).await;
        assert!(matches!(ended, Err(annals::Error::Invalid { .. })), "{refused:?}: {ended:?}");
    }
}
