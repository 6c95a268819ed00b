//! A timer that ends with the transaction of its effect.

use annals::{Append, NewEvent, Work as _};

use super::{
    Arc, Duration, MINUTE, ManualClock, Running, Store, TimerState, Uuid, die_with_it, effects, on_every_database,
    quick, timers, until, until_in_state,
};

on_every_database! {
    store_084_a_timer_ends_with_the_transaction_of_its_effect
    store_084_a_transaction_that_is_not_committed_ends_no_timer
    store_084_a_late_runner_commits_nothing
    store_084_a_long_transaction_holds_up_nobody_elses_lease
}

fn reminded(id: Uuid) -> Append {
    Append::new("mailbox", id).event(NewEvent::new("reminded", &serde_json::json!({})).unwrap())
}

async fn store_084_a_timer_ends_with_the_transaction_of_its_effect(store: impl Store, _clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    let on = store.clone();
    let running = Running::start(quick(&timers), move |timer| {
        let store = on.clone();
        async move {
            let mut work = store.begin().await?;
            timer.within(&mut work).await?;
            work.append(&reminded(timer.id())).await?;
            work.commit().await?;
            Ok(())
        }
    });
    until_in_state(&timers, id, TimerState::Fired).await;
    running.stop().await;
    let stands = timers.find(id).await.unwrap().unwrap();
    assert_eq!((stands.state, stands.attempts, stands.failure), (TimerState::Fired, 1, None));
    assert_eq!(effects(&store, id).await, 1);
}

/// The handler says that all went well, and has dropped the transaction: the timer has not fired.
async fn store_084_a_transaction_that_is_not_committed_ends_no_timer(store: impl Store, clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    let on = store.clone();
    let running = Running::start(quick(&timers).pauses(MINUTE, MINUTE), move |timer| {
        let store = on.clone();
        async move {
            let mut work = store.begin().await?;
            timer.within(&mut work).await?;
            work.append(&reminded(timer.id())).await?;
            if timer.attempt() > 1 {
                work.commit().await?;
            }
            Ok(())
        }
    });
    until("a failure", async || timers.find(id).await.unwrap().unwrap().failure.is_some()).await;
    assert!(timers.find(id).await.unwrap().unwrap().failure.unwrap().message.contains("without committing"));
    assert_eq!(effects(&store, id).await, 0);
    clock.advance(MINUTE * 2);
    until_in_state(&timers, id, TimerState::Fired).await;
    running.stop().await;
    assert_eq!(effects(&store, id).await, 1);
}

async fn store_084_a_late_runner_commits_nothing(store: impl Store, clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let id = Uuid::from_u128(1);
    timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    let late = die_with_it(&store, &clock).await.remove(0);
    let current = die_with_it(&store, &clock).await.remove(0);
    let mut work = store.begin().await.unwrap();
    work.append(&reminded(id)).await.unwrap();
    assert!(!annals::TimerWork::fire(&mut work, &late, MINUTE).await.unwrap());
    drop(work);
    let mut work = store.begin().await.unwrap();
    work.append(&reminded(id)).await.unwrap();
    assert!(annals::TimerWork::fire(&mut work, &current, MINUTE).await.unwrap());
    assert!(!annals::TimerWork::fire(&mut work, &current, MINUTE).await.unwrap(), "it has fired, in this transaction");
    work.commit().await.unwrap();
    assert_eq!(effects(&store, id).await, 1);
    assert_eq!(timers.find(id).await.unwrap().unwrap().state, TimerState::Fired);
}

/// On PostgreSQL the row is locked until the commit: signs of life for others pass over it, and so do claims. On SQLite the
/// transaction has the writer, and signs of life come after it: there nothing is taken meanwhile either.
async fn store_084_a_long_transaction_holds_up_nobody_elses_lease(store: impl Store, clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let ids = [1, 2].map(Uuid::from_u128);
    for id in ids {
        timers.schedule_after(id, Duration::ZERO, &()).await.unwrap();
    }
    let held = die_with_it(&store, &clock).await;
    let mut work = store.begin().await.unwrap();
    assert!(annals::TimerWork::fire(&mut work, &held[0], MINUTE).await.unwrap());
    let renewing = store.clone();
    let both = held.clone();
    let renewed = tokio::spawn(async move { renewing.renew_timers(&both, MINUTE).await });
    if std::any::type_name_of_val(&store).contains("Postgres") {
        // Before the commit.
        assert_eq!(renewed.await.unwrap().unwrap(), Vec::<Uuid>::new(), "neither is lost");
        work.commit().await.unwrap();
    } else {
        work.commit().await.unwrap();
        assert_eq!(renewed.await.unwrap().unwrap(), [held[0].timer.id], "it has fired, and is held no longer");
    }
    assert_eq!(timers.find(held[0].timer.id).await.unwrap().unwrap().state, TimerState::Fired);
    assert!(timers.find(held[1].timer.id).await.unwrap().unwrap().lease.unwrap().expires_at > store.timer_clock());
}
