//! Waiting for events.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use uuid::Uuid;

use super::{
    fixture::{Factory, fresh, not_run},
    sample::{note, write},
};
use crate::store::{Error, EventRef, EventStore, LogQuery, Position};

/// Longer than any wait may take here, short enough to call it lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits in a task of its own, which has begun to wait when this returns.
fn waiter(store: &Arc<dyn EventStore>, after: Position) -> tokio::task::JoinHandle<Result<Position, Error>> {
    let store = Arc::clone(store);
    let mut waiting = Box::pin(async move { store.wait_for(after).await });
    let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending), "nothing is there yet");
    tokio::spawn(waiting)
}

async fn woken(waiter: tokio::task::JoinHandle<Result<Position, Error>>) -> Position {
    let answer = tokio::time::timeout(PATIENCE, waiter).await.expect("a waiter is woken");
    answer.expect("a waiter does not panic").expect("the head can be read")
}

/// Who waits for an event is woken by an append of the same store.
pub async fn store_p6_a_waiter_is_woken_by_an_append(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let mut head = store.head().await.unwrap();
    for number in 0..20 {
        let waiters = [(); 5].map(|()| waiter(&store, head));
        let appended = write(&*store, note(Uuid::now_v7(), [number, number])).await;
        for waiter in waiters {
            // It may be woken between the two events: what is at hand can be read.
            let mut seen = woken(waiter).await;
            assert!(head < seen && Some(seen) <= appended.position, "{seen} is of what was written");
            while Some(seen) < appended.position {
                seen = tokio::time::timeout(PATIENCE, store.wait_for(seen)).await.expect("there is more").unwrap();
            }
        }
        head = store.head().await.unwrap();
    }
}

/// Who waits for what is there already does not wait, whether others do or not.
pub async fn store_p6_who_waits_for_what_is_there_does_not_wait(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    write(&*store, note(Uuid::now_v7(), [1])).await;
    let before = store.head().await.unwrap();
    let appended = write(&*store, note(Uuid::now_v7(), [2])).await;
    let head = appended.position.unwrap();
    let far_ahead = waiter(&store, Position::new(u64::MAX));
    let at_the_head = waiter(&store, head);
    for after in [Position::START, before] {
        let found = tokio::time::timeout(PATIENCE, store.wait_for(after)).await.expect("it is there");
        assert_eq!(found.unwrap(), head);
    }
    assert!(!far_ahead.is_finished() && !at_the_head.is_finished(), "theirs is not there");
    let next = write(&*store, note(Uuid::now_v7(), [3])).await;
    assert_eq!(Some(woken(at_the_head).await), next.position);
    assert!(!far_ahead.is_finished(), "its event is still to come");
    far_ahead.abort();
}

/// Who waits for an event is woken by an append that another handle on the same database made.
pub async fn store_p6_a_waiter_is_woken_by_an_append_of_another_handle(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let Some(other) = fixture.another().await else {
        not_run("store_p6_a_waiter_is_woken_by_an_append_of_another_handle", "there is one handle on the database");
        return;
    };
    for number in 0..3 {
        let head = store.head().await.unwrap();
        let waiter = waiter(&store, head);
        let appended = write(&*other, note(Uuid::now_v7(), [number])).await;
        assert_eq!(Some(woken(waiter).await), appended.position);
    }
}

/// Whoever follows the log by waiting for its end sees every event of those who write meanwhile.
pub async fn store_p6_who_follows_the_log_by_waiting_misses_nothing(factory: &dyn Factory) {
    const EVENTS: usize = 200;
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let following = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let (mut seen, mut after) = (0, Position::START);
            while seen < EVENTS {
                store.wait_for(after).await.unwrap();
                let query = LogQuery::all().after(after);
                let mut count = |_: EventRef<'_>| {
                    seen += 1;
                    Ok(())
                };
                after = store.read_log(&query, &mut count).await.unwrap().position;
            }
            seen
        }
    });
    let writing = (0..4).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0..EVENTS as u64 / 4 {
                write(&*store, note(Uuid::now_v7(), [number])).await;
            }
        })
    });
    for writer in writing.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let seen = tokio::time::timeout(PATIENCE, following).await.expect("the last event wakes whoever waits for it");
    assert_eq!(seen.unwrap(), EVENTS);
}
