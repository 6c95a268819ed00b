//! Ten thousand timers that are due over one minute, two runners, one of which dies half-way.

use std::collections::HashMap;

use annals::{LogQuery, store::NewTimer};

use super::{
    Arc, Duration, MINUTE, ManualClock, Mutex, QUEUE, Running, Seen, Store, Timers, Uuid, on_every_database, quick,
    remind, timers,
};

on_every_database! {
    store_084_ten_thousand_timers_take_effect_once_each
}

const TIMERS: u32 = 10_000;

/// How often the clock is moved on, over the minute.
const STEPS: u32 = 60;

/// Looks seldom: to count ten thousand is work. Four minutes at the most.
async fn until_few_wait(timers: &Timers, few: u64) {
    for _ in 0..4 * 60 * 10 {
        if timers.counts().await.unwrap().waiting < few {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("more than {few} wait still: {:?}", timers.counts().await);
}

async fn store_084_ten_thousand_timers_take_effect_once_each(store: impl Store, clock: Arc<ManualClock>) {
    let timers = timers(&store);
    let begin = store.timer_clock();
    let due_at = |number: u32| begin + MINUTE * number / TIMERS;
    let all: Vec<_> = (1..=TIMERS)
        .map(|number| NewTimer { id: Uuid::from_u128(number.into()), due_at: due_at(number), payload: "1".into() })
        .collect();
    for some in all.chunks(1_000) {
        store.schedule_timers(QUEUE, some).await.unwrap();
    }
    let early: Seen<Uuid> = Arc::new(Mutex::default());
    let start = || {
        let (early, on) = (Arc::clone(&early), store.clone());
        Running::start(quick(&timers).concurrency(64), move |timer| {
            let (early, store) = (Arc::clone(&early), on.clone());
            async move {
                if store.timer_clock() < timer.due_at() {
                    early.lock().unwrap().push(timer.id());
                }
                remind(&store, &timer).await;
                Ok(())
            }
        })
    };
    let (staying, mut dying) = (start(), Some(start()));
    for step in 1..=STEPS {
        clock.advance(MINUTE / STEPS);
        let left = u64::from(TIMERS - TIMERS * step / STEPS);
        if step == STEPS / 2 {
            // In the middle of its work; what it held is free when its leases lapse.
            until_few_wait(&timers, left + 100).await;
            drop(dying.take());
        }
    }
    // What the dead one held lapses half a minute after it was taken.
    clock.advance(MINUTE);
    until_few_wait(&timers, 1).await;
    assert!(dying.is_none());
    staying.stop().await;
    assert_eq!(*early.lock().unwrap(), Vec::<Uuid>::new(), "none before its time");
    let mut effects = HashMap::new();
    store
        .read_log(&LogQuery::all(), &mut |event| {
            *effects.entry(event.aggregate_id).or_insert(0) += 1;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(effects.len(), TIMERS as usize);
    assert!(effects.values().all(|times| *times == 1));
    assert_eq!(timers.counts().await.unwrap().parked, 0);
}
