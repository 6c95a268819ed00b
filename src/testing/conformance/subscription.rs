//! Subscriptions: catching up and following on, where they start, and waiting for them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

use super::{
    fixture::{Factory, not_run, with_clock},
    sample::{NOTEBOOK, log, noted, number, write},
    telling::{PATIENCE, Running, named, noting, subscribing, write_numbers},
};
use crate::{
    read::{Attempts, Consumers, OnFailure, Start, Subscription},
    store::{Append, Error, EventStore as _, ManualClock, NewEvent, Position, RecordedEvent, Selection},
};

/// What was there and what comes is told once and in order, with no seam where the one becomes the other.
pub async fn store_065_what_was_and_what_comes_is_told_once_and_in_order(factory: &dyn Factory) {
    let Some((_fixture, store)) =
        subscribing(factory, "store_065_what_was_and_what_comes_is_told_once_and_in_order").await
    else {
        return;
    };
    let ids: Vec<_> = (0..7).map(|_| Uuid::now_v7()).collect();
    // In appends of many, so that there is more than a page.
    for (first, id) in (0..1_500).step_by(50).zip(ids.iter().cycle()) {
        write_numbers(&store, *id, first..first + 50).await;
    }
    let mut running = Running::start(named(&store, "following"));
    let writer = tokio::spawn({
        let (store, ids) = (Arc::clone(&store), ids.clone());
        async move {
            for (number, id) in (1_500..1_900).zip(ids.iter().cycle()) {
                write_numbers(&store, *id, [number]).await;
            }
        }
    });
    let mut told = Vec::new();
    while told.len() < 1_900 {
        told.push(running.next().await);
    }
    writer.await.unwrap();
    told.extend(running.stop().await);
    let written = log(&*store).await;
    assert_eq!(told, written, "each event was told, once, in the order of the log");
}

/// A subscription begins where it is told to, and after a restart goes on where it stood, whatever it is told.
pub async fn store_066_it_starts_where_it_is_told_and_goes_on_where_it_stood(factory: &dyn Factory) {
    let case = "store_066_it_starts_where_it_is_told_and_goes_on_where_it_stood";
    let clock = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
    let Some(fixture) = with_clock(factory, &clock, case).await else { return };
    let Some(store) = fixture.checkpoints() else {
        return not_run(case, "the store keeps no checkpoints");
    };
    let id = Uuid::now_v7();
    let mut positions = Vec::new();
    for number in 0..4 {
        clock.set(chrono::DateTime::UNIX_EPOCH + Duration::from_secs(number * 60));
        positions.push(write_numbers(&store, id, [number]).await);
    }
    let minute = |minutes: u64| chrono::DateTime::UNIX_EPOCH + Duration::from_secs(minutes * 60);
    for (name, start, expected) in [
        ("beginning", Start::Beginning, &[0, 1, 2, 3][..]),
        ("now", Start::Now, &[]),
        ("after-1", Start::After(positions[1]), &[2, 3]),
        ("after-none", Start::After(Position::START), &[0, 1, 2, 3]),
        ("after-3", Start::After(positions[3]), &[]),
        ("since-2", Start::Since(minute(2)), &[2, 3]),
        ("since-between", Start::Since(minute(1) + Duration::from_secs(1)), &[2, 3]),
        ("since-ever", Start::Since(minute(0)), &[0, 1, 2, 3]),
        ("since-the-future", Start::Since(minute(9)), &[]),
    ] {
        let told = Mutex::new(Vec::new());
        named(&store, name).start(start).catch_up(|event| noting(&told, &event)).await.unwrap();
        assert_eq!(*told.lock().unwrap(), expected, "{name}");
    }
    write_numbers(&store, id, [4]).await;
    for start in [Start::Beginning, Start::Now, Start::Since(minute(0))] {
        for name in ["beginning", "now", "after-1", "since-the-future"] {
            let told = Mutex::new(Vec::new());
            named(&store, name).start(start).catch_up(|event| noting(&told, &event)).await.unwrap();
            let expected = if start == Start::Beginning { vec![4] } else { vec![] };
            assert_eq!(*told.lock().unwrap(), expected, "{name} goes on where it stood");
        }
    }
}

/// A selection leaves out what was not asked for, and the checkpoint passes it over all the same.
pub async fn store_065_a_selection_is_passed_over_and_the_checkpoint_with_it(factory: &dyn Factory) {
    let Some((_fixture, store)) =
        subscribing(factory, "store_065_a_selection_is_passed_over_and_the_checkpoint_with_it").await
    else {
        return;
    };
    let id = Uuid::now_v7();
    let other = || Append::new("calendar", Uuid::now_v7()).events([NewEvent::new("opened", &()).unwrap()]);
    write_numbers(&store, id, [1]).await;
    write(&*store, other()).await;
    write_numbers(&store, id, [2]).await;
    let last = write(&*store, other()).await.position.unwrap();
    let chosen = named(&store, "chosen").select(Selection::all().aggregate_types([NOTEBOOK]));
    let mut running = Running::start(chosen.clone());
    assert_eq!(running.next_numbers(2).await, [1, 2]);
    chosen.wait_until(last, PATIENCE).await.expect("what is left out is passed over");
    assert!(running.stop().await.is_empty(), "nothing else is told");
    let progress = chosen.progress().await.unwrap().unwrap();
    assert!(progress.is_caught_up() && progress.position == last, "{progress:?}");
}

/// At most once: what was interrupted or has failed is not told again.
pub async fn store_065_at_most_once_tells_nothing_twice(factory: &dyn Factory) {
    let Some((_fixture, store)) = subscribing(factory, "store_065_at_most_once_tells_nothing_twice").await else {
        return;
    };
    let id = Uuid::now_v7();
    write_numbers(&store, id, [1, 2, 3, 4]).await;
    let once = named(&store, "once").at_most_once();
    let failing = Running::failing(once.clone(), |event| if number(event) == 2 { Err("no".into()) } else { Ok(()) });
    assert!(matches!(failing.ended().await, Err(Error::Handler { sequence: 2, .. })), "it says which is not handled");
    let (entered, mut entries) = mpsc::unbounded_channel();
    let interrupted = tokio::spawn({
        let once = once.clone();
        async move {
            once.run(std::future::pending(), move |event| {
                let _ = entered.send(number(&event));
                std::future::pending::<Result<(), Error>>()
            })
            .await
        }
    });
    assert_eq!(timeout(PATIENCE, entries.recv()).await.unwrap(), Some(3));
    interrupted.abort();
    drop(interrupted.await);
    let told = Mutex::new(Vec::new());
    once.catch_up(|event| noting(&told, &event)).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [4], "neither what failed nor what was interrupted is told again");
}

/// Waiting for a position ends when the events up to it are handled, never before, and honestly when time is over.
pub async fn store_080_waiting_for_a_position_ends_when_it_is_handled(factory: &dyn Factory) {
    let Some((_fixture, store)) =
        subscribing(factory, "store_080_waiting_for_a_position_ends_when_it_is_handled").await
    else {
        return;
    };
    let handled = Arc::new(Mutex::new(HashSet::new()));
    let subscription = named(&store, "awaited");
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn({
        let (subscription, handled) = (subscription.clone(), Arc::clone(&handled));
        async move {
            let shutdown = async { drop(stopped.await) };
            subscription
                .run(shutdown, move |event| {
                    let handled = Arc::clone(&handled);
                    async move {
                        tokio::task::yield_now().await;
                        handled.lock().unwrap().insert(event.position());
                        Ok::<_, Error>(())
                    }
                })
                .await
        }
    });
    let id = Uuid::now_v7();
    for number in 0..50 {
        let position = write_numbers(&store, id, [number]).await;
        subscription.wait_until(position, PATIENCE).await.unwrap();
        assert!(handled.lock().unwrap().contains(&position), "it is told so only when it is true");
    }
    let head = store.head().await.unwrap();
    drop(stop);
    running.await.unwrap().unwrap();
    let next = write_numbers(&store, id, [50]).await;
    match subscription.wait_until(next, Duration::from_millis(30)).await {
        Err(Error::Behind { awaited, reached, .. }) => assert_eq!((awaited, reached), (next, head)),
        other => panic!("nobody runs it, so time runs out: {other:?}"),
    }
}

/// Settings and names that cannot be are refused before anything is asked of the store.
pub async fn store_102_names_and_settings_of_consumers_have_bounds(factory: &dyn Factory) {
    let Some((_fixture, store)) = subscribing(factory, "store_102_names_and_settings_of_consumers_have_bounds").await
    else {
        return;
    };
    for name in ["", "two words", "tab\there", "ünicode", &"x".repeat(201), "sales (rebuild)"] {
        assert!(matches!(Subscription::new(&store, name), Err(Error::Invalid { .. })), "{name:?} is refused");
    }
    for name in ["'; DROP TABLE annals_events; --".replace(' ', "_"), "x".repeat(200), "a\"b'c%_".to_owned()] {
        let told = Mutex::new(Vec::new());
        named(&store, &name).catch_up(|event| noting(&told, &event)).await.expect("it is a name like any other");
        assert!(named(&store, &name).progress().await.unwrap().is_some());
    }
    let sound = || named(&store, "sound");
    for unsound in [
        sound().lease(Duration::ZERO),
        sound().lease(Duration::from_hours(25)),
        sound().batch_events(0),
        sound().batch_events(1_001),
        sound().owner(""),
        sound().owner("x".repeat(201)),
        sound().attempts(Attempts { most: 0, ..Attempts::default() }),
        sound().select(Selection::all().event_types(Vec::<String>::new())),
    ] {
        let refused = unsound.catch_up(|_| std::future::ready(Ok::<_, Error>(()))).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{unsound:?}: {refused:?}");
    }
    for (partition, of) in [(1, 1), (0, 0), (3, 2), (0, 1_025)] {
        assert!(matches!(sound().partition(partition, of), Err(Error::Invalid { .. })), "{partition} of {of}");
    }
    assert_eq!(sound().progress().await.unwrap(), None, "nothing was asked of the store");
    let event = noted([1]).pop().unwrap();
    assert_eq!(event.event_type(), "noted");
}

/// Batches hold every event once and in order, and none is larger than was asked for.
pub async fn store_065_batches_hold_every_event_once_and_in_order(factory: &dyn Factory) {
    let case = "store_065_batches_hold_every_event_once_and_in_order";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let ids: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
    for (first, id) in (0..250).step_by(25).zip(ids.iter().cycle()) {
        write_numbers(&store, *id, first..first + 25).await;
    }
    let batches = named(&store, "batches").batch_events(100);
    let told = Mutex::new(Vec::new());
    let tell = |events: Vec<RecordedEvent>| {
        told.lock().unwrap().push(events);
        std::future::ready(Ok::<_, Error>(()))
    };
    batches.catch_up_in_batches(tell).await.unwrap();
    let sizes: Vec<_> = told.lock().unwrap().iter().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| (1..=100).contains(size)) && sizes.contains(&100), "{sizes:?}");
    let before: Vec<_> = told.lock().unwrap().drain(..).flatten().collect();
    assert_eq!(before, log(&*store).await, "each event once, in the order of the log");

    let (sender, mut following) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        let shutdown = async { stopped.await.unwrap() };
        let tell = |events: Vec<RecordedEvent>| {
            events.iter().for_each(|event| sender.send(number(event)).unwrap());
            std::future::ready(Ok::<_, Error>(()))
        };
        batches.run_in_batches(shutdown, tell).await
    });
    write_numbers(&store, ids[0], [250, 251]).await;
    for expected in [250, 251] {
        assert_eq!(timeout(PATIENCE, following.recv()).await.unwrap(), Some(expected), "it follows on");
    }
    stop.send(()).unwrap();
    timeout(PATIENCE, running).await.expect("it stops").unwrap().unwrap();
    let once = named(&store, "once").at_most_once().catch_up_in_batches(tell).await;
    assert!(matches!(once, Err(Error::Invalid { .. })), "{once:?}");
}

/// Where a batch fails its events are told one by one, and the one that fails is parked, alone with its aggregate.
pub async fn store_071_in_a_batch_that_fails_the_event_at_fault_is_found(factory: &dyn Factory) {
    let case = "store_071_in_a_batch_that_fails_the_event_at_fault_is_found";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let (poisoned, sound) = (Uuid::now_v7(), Uuid::now_v7());
    for number in 0..10 {
        write_numbers(&store, poisoned, [100 + number]).await;
        write_numbers(&store, sound, [number]).await;
    }
    let handled = Mutex::new(Vec::new());
    let handler = |events: Vec<RecordedEvent>| {
        let numbers: Vec<_> = events.iter().map(number).collect();
        let is_sound = !numbers.contains(&103);
        if is_sound {
            handled.lock().unwrap().push(numbers);
        }
        std::future::ready(if is_sound { Ok(()) } else { Err("103 is poison") })
    };
    let parking = named(&store, "parking").batch_events(8).attempts(Attempts::once()).on_failure(OnFailure::park());
    parking.catch_up_in_batches(handler).await.unwrap();
    let handled = handled.into_inner().unwrap();
    assert!(handled.iter().any(|batch| batch.len() > 1), "those without fault are told together: {handled:?}");
    let numbers: Vec<_> = handled.concat();
    let of = |range: std::ops::Range<u64>| numbers.iter().copied().filter(|number| range.contains(number)).collect();
    let (of_sound, of_poisoned): (Vec<_>, Vec<_>) = (of(0..10), of(100..110));
    assert_eq!(of_sound, (0..10).collect::<Vec<_>>(), "in order, each once");
    assert_eq!(of_poisoned, [100, 101, 102], "what was before it was handled, and nothing behind it");
    let parked = Consumers::new(&store).parked("parking", Position::START).await.unwrap();
    let found: Vec<_> = parked.iter().map(|event| (event.sequence, event.error.as_deref())).collect();
    let behind = (5..=10).map(|sequence| (sequence, None));
    let expected: Vec<_> = std::iter::once((4, Some("103 is poison"))).chain(behind).collect();
    assert_eq!(found, expected);
}

/// A batch is broken off when the lease is lost, and told again by whoever has it then.
pub async fn store_068_a_batch_is_broken_off_with_its_lease(factory: &dyn Factory) {
    struct Broken(Option<oneshot::Sender<()>>);
    impl Drop for Broken {
        fn drop(&mut self) {
            let _ = self.0.take().map(|broken| broken.send(()));
        }
    }
    let Some((_fixture, store)) = subscribing(factory, "store_068_a_batch_is_broken_off_with_its_lease").await else {
        return;
    };
    write_numbers(&store, Uuid::now_v7(), 0..5).await;
    let (entered, entries) = oneshot::channel();
    let (broken, is_broken) = oneshot::channel();
    let mut guards = Some((entered, Broken(Some(broken))));
    let slow = named(&store, "slow");
    let stalled = tokio::spawn(async move {
        let handler = move |_| {
            let guards = guards.take();
            async move {
                if let Some((entered, _broken)) = guards {
                    entered.send(()).unwrap();
                    std::future::pending::<()>().await;
                }
                std::future::pending::<Result<(), Error>>().await
            }
        };
        slow.run_in_batches(std::future::pending(), handler).await
    });
    timeout(PATIENCE, entries).await.unwrap().unwrap();
    // It takes the lease by force; nothing is parked.
    named(&store, "slow").replay_parked(|_| std::future::ready(Ok::<_, Error>(()))).await.unwrap();
    timeout(PATIENCE, is_broken).await.expect("the batch is broken off").unwrap();
    stalled.abort();
    drop(stalled.await);
    let told = Mutex::new(0);
    let count = |events: Vec<RecordedEvent>| {
        *told.lock().unwrap() += events.len();
        std::future::ready(Ok::<_, Error>(()))
    };
    named(&store, "slow").catch_up_in_batches(count).await.unwrap();
    assert_eq!(*told.lock().unwrap(), 5, "all of them are told again");
}
