//! Runners of subscriptions: leases, partitions, parked events, pauses.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use super::{
    fixture::{Factory, not_run, with_clock},
    sample::{log, number},
    telling::{PATIENCE, Running, named, noting, subscribing, write_numbers},
};
use crate::{
    read::{Attempts, BoxError, Consumers, OnFailure, RunState},
    store::{
        CheckpointStore as _, Claim, Claimed, Clock as _, Consumer, ConsumerKind, Cursor, Error, EventStore as _,
        Lease, ManualClock, Position, RecordedEvent, Step,
    },
};

/// Of two that run one subscription one works; when it dies the other goes on, and nothing is lost.
pub async fn store_068_when_the_runner_dies_the_one_that_stands_by_takes_over(factory: &dyn Factory) {
    let case = "store_068_when_the_runner_dies_the_one_that_stands_by_takes_over";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let id = Uuid::now_v7();
    write_numbers(&store, id, [0]).await;
    let mut first = Running::start(named(&store, "mail").owner("first"));
    assert_eq!(first.next_numbers(1).await, [0]);
    let mut second = Running::start(named(&store, "mail").owner("second"));
    write_numbers(&store, id, [1]).await;
    assert_eq!(first.next_numbers(1).await, [1], "the one that has the lease is told");
    named(&store, "mail").wait_until(store.head().await.unwrap(), PATIENCE).await.unwrap();
    assert!(second.told.try_recv().is_err(), "the other one stands by");
    first.kill().await;
    write_numbers(&store, id, [2]).await;
    assert_eq!(second.next_numbers(1).await, [2], "it takes over when the lease has lapsed");
    let progress = named(&store, "mail").progress().await.unwrap().unwrap();
    assert!(
        matches!(&progress.state, RunState::Running { owner } if owner.starts_with("second")),
        "who runs it is seen: {progress:?}"
    );
    second.stop().await;
    let mut third = Running::start(named(&store, "mail"));
    write_numbers(&store, id, [3]).await;
    assert_eq!(third.next_numbers(1).await, [3], "who lets go is followed at once");
    third.stop().await;
}

/// A runner whose lease was taken stops telling, and what it still moves is refused.
pub async fn store_068_a_late_runner_moves_nothing(factory: &dyn Factory) {
    let Some((_fixture, store)) = subscribing(factory, "store_068_a_late_runner_moves_nothing").await else { return };
    let id = Uuid::now_v7();
    write_numbers(&store, id, [0, 1, 2]).await;
    let (entered, mut entries) = mpsc::unbounded_channel();
    let subscription = named(&store, "slow").lease(Duration::from_secs(60));
    let slow = tokio::spawn({
        let subscription = subscription.clone();
        async move {
            subscription
                .run(std::future::pending(), move |event| {
                    let _ = entered.send(number(&event));
                    // It never comes back, as one that waits for a mail server that is down.
                    std::future::pending::<Result<(), Error>>()
                })
                .await
        }
    });
    assert_eq!(timeout(PATIENCE, entries.recv()).await.unwrap(), Some(0));
    let before = store.checkpoint(&Consumer::new("slow").unwrap()).await.unwrap().unwrap();
    let taken = Claim {
        consumer: before.consumer.clone(),
        kind: ConsumerKind::Subscription,
        version: 0,
        start: None,
        owner: "another".into(),
        length: Duration::from_secs(60),
        by_force: true,
    };
    let Claimed::Taken(after) = store.claim(&taken).await.unwrap() else { panic!("by force it is taken") };
    assert!(after.fence > before.fence, "the fence rises");
    let late = Lease { consumer: before.consumer.clone(), fence: before.fence, length: Duration::from_secs(60) };
    let events = log(&*store).await;
    let step = Step { from: Position::START, to: Cursor::from(&events[0]), parked: &[] };
    assert!(!store.advance(&late, &step).await.unwrap(), "the late holder moves nothing");
    let holder = Lease { fence: after.fence, ..late };
    assert!(store.advance(&holder, &step).await.unwrap(), "the holder does");
    store.release(&holder).await.unwrap();
    slow.abort();
    drop(slow.await);
    let told = Mutex::new(Vec::new());
    subscription.catch_up(|event| noting(&told, &event)).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [1, 2], "it goes on where the holder has left it");
}

/// Runners of partitions tell each aggregate's events in order, and all of them together every event.
pub async fn store_070_partitions_keep_the_order_of_each_aggregate_and_leave_none_out(factory: &dyn Factory) {
    let case = "store_070_partitions_keep_the_order_of_each_aggregate_and_leave_none_out";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let ids: Vec<_> = (0..40).map(|_| Uuid::now_v7()).collect();
    for number in 0..5 {
        for id in &ids {
            write_numbers(&store, *id, [number]).await;
        }
    }
    let part = |partition, of| named(&store, "parts").partition(partition, of).unwrap();
    let mut seen: BTreeMap<Uuid, Vec<u64>> = BTreeMap::new();
    let mut shares = Vec::new();
    for partition in 0..3 {
        let told = Mutex::new(Vec::new());
        let tell = |event: RecordedEvent| {
            told.lock().unwrap().push(event);
            std::future::ready(Ok::<_, Error>(()))
        };
        part(partition, 3).catch_up(tell).await.unwrap();
        let told = told.into_inner().unwrap();
        let aggregates: HashSet<_> = told.iter().map(RecordedEvent::aggregate_id).collect();
        assert!(aggregates.iter().all(|id| !seen.contains_key(id)), "each aggregate is of one partition");
        for event in &told {
            seen.entry(event.aggregate_id()).or_default().push(number(event));
        }
        shares.push(aggregates.len());
    }
    assert_eq!(seen.len(), ids.len(), "none is left out");
    assert!(seen.values().all(|numbers| *numbers == [0, 1, 2, 3, 4]), "each in its order: {seen:?}");
    assert!(shares.iter().all(|share| (1..40).contains(share)), "no partition has all or none: {shares:?}");

    let other = part(0, 2).catch_up(|_| std::future::ready(Ok::<_, Error>(()))).await;
    assert!(matches!(other, Err(Error::Invalid { .. })), "into how many it is split is kept: {other:?}");
    part(0, 3).repartition(2).await.unwrap();
    let last = write_numbers(&store, ids[0], [5]).await;
    let told = Mutex::new(Vec::new());
    for partition in 0..2 {
        part(partition, 2).catch_up(|event| noting(&told, &event)).await.unwrap();
    }
    assert_eq!(*told.lock().unwrap(), [5], "all partitions stood at the end, so nothing is told twice");
    part(0, 2).wait_until(last, PATIENCE).await.expect("all partitions have come there");
}

/// Partitions that are told the whole log choose for themselves; each has a checkpoint, and none parks.
pub async fn store_070_a_partition_that_is_told_the_whole_log_chooses_for_itself(factory: &dyn Factory) {
    let case = "store_070_a_partition_that_is_told_the_whole_log_chooses_for_itself";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let ids: Vec<_> = (0..20).map(|_| Uuid::now_v7()).collect();
    for (number, id) in (0..).zip(&ids) {
        write_numbers(&store, *id, [number]).await;
    }
    let part = |partition| named(&store, "routed").partition(partition, 3).unwrap().whole_log();
    for partition in 0..3 {
        let told = Mutex::new(Vec::new());
        part(partition).catch_up(|event| noting(&told, &event)).await.unwrap();
        assert_eq!(*told.lock().unwrap(), (0..20).collect::<Vec<_>>(), "partition {partition} is told everything");
    }
    let last = write_numbers(&store, ids[0], [20]).await;
    let told = Mutex::new(Vec::new());
    part(1).catch_up(|event| noting(&told, &event)).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [20], "it goes on where it stood");
    let behind = part(0).wait_until(last, Duration::ZERO).await;
    assert!(matches!(behind, Err(Error::Behind { .. })), "the others have not come there: {behind:?}");
    let parks = part(0).on_failure(OnFailure::park()).catch_up(|event| noting(&told, &event)).await;
    assert!(matches!(parks, Err(Error::Invalid { .. })), "{parks:?}");
}

/// A poisoned event is parked with its error, later ones of its aggregate behind it, and the rest goes on.
pub async fn store_071_a_poisoned_event_is_parked_and_its_aggregate_waits_behind_it(factory: &dyn Factory) {
    let case = "store_071_a_poisoned_event_is_parked_and_its_aggregate_waits_behind_it";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let (poisoned, sound) = (Uuid::now_v7(), Uuid::now_v7());
    for number in 0..4 {
        write_numbers(&store, poisoned, [10 + number]).await;
        write_numbers(&store, sound, [20 + number]).await;
    }
    let parking = named(&store, "parking")
        .attempts(Attempts { most: 3, first_pause: Duration::from_millis(1), longest_pause: Duration::from_millis(2) })
        .on_failure(OnFailure::park());
    let tried = Mutex::new(Vec::new());
    let told = |event: RecordedEvent| {
        tried.lock().unwrap().push(number(&event));
        std::future::ready(if number(&event) == 11 { Err::<(), BoxError>("no such customer".into()) } else { Ok(()) })
    };
    parking.catch_up(told).await.expect("the rest goes on");
    assert_eq!(*tried.lock().unwrap(), [10, 20, 11, 11, 11, 21, 22, 23], "tried three times, then passed by");
    let consumers = Consumers::new(&store);
    let parked = consumers.parked("parking", Position::START).await.unwrap();
    let shown: Vec<_> = parked.iter().map(|event| (event.sequence, event.attempts, event.error.clone())).collect();
    assert_eq!(shown, [(2, 3, Some("no such customer".to_owned())), (3, 0, None), (4, 0, None)]);
    assert!(parked.iter().all(|event| event.aggregate_id == poisoned));

    let head = store.head().await.unwrap();
    let early = parking.wait_until(head, Duration::from_millis(50)).await;
    assert!(matches!(early, Err(Error::Behind { reached, .. }) if reached < parked[0].position), "{early:?}");
    let last = write_numbers(&store, poisoned, [14]).await;
    parking.catch_up(|_| std::future::ready(Err::<(), BoxError>("it is parked, not told".into()))).await.unwrap();

    let told = Mutex::new(Vec::new());
    let still = |event: RecordedEvent| {
        told.lock().unwrap().push(number(&event));
        std::future::ready(if number(&event) == 12 { Err::<(), BoxError>("not yet".into()) } else { Ok(()) })
    };
    let run = parking.replay_parked(still).await.unwrap();
    assert_eq!((run.handled, run.left, told.into_inner().unwrap()), (1, 3, vec![11, 12]), "in order, up to the next");
    consumers.discard("parking", poisoned, 3).await.unwrap();
    let again = consumers.discard("parking", poisoned, 3).await;
    assert!(matches!(again, Err(Error::Invalid { .. })), "it is no longer parked: {again:?}");
    let told = Mutex::new(Vec::new());
    let run = parking.replay_parked(|event| noting(&told, &event)).await.unwrap();
    assert_eq!((run.handled, run.left, told.into_inner().unwrap()), (2, 0, vec![13, 14]));
    parking.wait_until(last, PATIENCE).await.expect("nothing is parked any more");
    let told = Mutex::new(Vec::new());
    write_numbers(&store, poisoned, [15]).await;
    parking.catch_up(|event| noting(&told, &event)).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [15], "the aggregate goes on");
}

/// By default a runner ends at an event that fails, says why, and is told it again.
pub async fn store_071_by_default_a_poisoned_event_ends_the_runner_loudly(factory: &dyn Factory) {
    let Some((_fixture, store)) =
        subscribing(factory, "store_071_by_default_a_poisoned_event_ends_the_runner_loudly").await
    else {
        return;
    };
    let id = Uuid::now_v7();
    write_numbers(&store, id, [1, 2, 3]).await;
    let stopping = named(&store, "stopping").attempts(Attempts::once());
    let running = Running::failing(stopping.clone(), |event| {
        if number(event) == 2 { Err("a mail without an address".into()) } else { Ok(()) }
    });
    match running.ended().await {
        Err(Error::Handler { sequence: 2, consumer, aggregate, .. }) => {
            assert_eq!((consumer.as_str(), aggregate.aggregate_id), ("stopping", id));
        }
        other => panic!("expected the handler's error, got {other:?}"),
    }
    let progress = stopping.progress().await.unwrap().unwrap();
    let failure = progress.failure.expect("it is kept why");
    assert!(failure.message.contains("a mail without an address"), "{failure:?}");
    assert_eq!((progress.lag_events, progress.state), (2, RunState::Stopped));
    let told = Mutex::new(Vec::new());
    stopping.catch_up(|event| noting(&told, &event)).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [2, 3], "it is told again, and nothing before it");
    assert_eq!(stopping.progress().await.unwrap().unwrap().failure, None, "what went well is forgotten");
}

/// An event at which runner after runner dies is parked, and not told for ever.
pub async fn store_073_an_event_that_kills_its_runners_is_parked(factory: &dyn Factory) {
    let case = "store_073_an_event_that_kills_its_runners_is_parked";
    let clock = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
    let Some(fixture) = with_clock(factory, &clock, case).await else { return };
    let Some(store) = fixture.checkpoints() else {
        return not_run(case, "the store keeps no checkpoints");
    };
    let id = Uuid::now_v7();
    write_numbers(&store, Uuid::now_v7(), [1, 2]).await;
    write_numbers(&store, id, [3]).await;
    write_numbers(&store, Uuid::now_v7(), [4]).await;
    let deadly = named(&store, "deadly")
        .attempts(Attempts { most: 3, ..Attempts::default() })
        .on_failure(OnFailure::park())
        .lease(Duration::from_secs(60));
    let mut deaths = 0;
    let last = loop {
        let (entered, mut entries) = mpsc::unbounded_channel();
        let subscription = deadly.clone();
        let runner = tokio::spawn(async move {
            subscription
                .run(std::future::pending(), move |event| {
                    let number = number(&event);
                    let _ = entered.send(number);
                    async move {
                        if number == 3 {
                            std::future::pending::<()>().await;
                        }
                        Ok::<_, Error>(())
                    }
                })
                .await
        });
        let at = loop {
            let at = timeout(PATIENCE, entries.recv()).await.expect("it goes on").expect("it runs");
            if at >= 3 {
                break at;
            }
        };
        runner.abort();
        drop(runner.await);
        if at == 4 {
            break at;
        }
        deaths += 1;
        assert!(deaths <= 10, "it is told for ever");
        clock.set(clock.now() + Duration::from_secs(120));
    };
    assert_eq!(last, 4, "the rest goes on");
    let parked = Consumers::new(&store).parked("deadly", Position::START).await.unwrap();
    assert_eq!(parked.iter().map(|event| (event.aggregate_id, event.sequence)).collect::<Vec<_>>(), [(id, 1)]);
    assert!((3..=6).contains(&deaths), "after {deaths} deaths");
}

/// A subscription can be paused, goes on where it stood, and can be forgotten; its name is free then.
pub async fn store_077_a_subscription_is_paused_resumed_stopped_and_forgotten(factory: &dyn Factory) {
    let case = "store_077_a_subscription_is_paused_resumed_stopped_and_forgotten";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let consumers = Consumers::new(&store);
    let head = Position::new(1);
    for unknown in [
        consumers.pause("nobody").await,
        consumers.resume("nobody").await,
        consumers.forget("nobody").await,
        consumers.discard("nobody", Uuid::now_v7(), 1).await,
        consumers.wait_until("nobody", head, Duration::ZERO).await,
        named(&store, "nobody").repartition(2).await,
        named(&store, "nobody").replay_parked(|_| std::future::ready(Ok::<_, Error>(()))).await.map(drop),
    ] {
        assert!(matches!(unknown, Err(Error::Invalid { .. })), "an unknown name is an error: {unknown:?}");
    }
    let id = Uuid::now_v7();
    write_numbers(&store, id, [1]).await;
    let mut running = Running::start(named(&store, "news"));
    assert_eq!(running.next_numbers(1).await, [1]);
    named(&store, "news").wait_until(store.head().await.unwrap(), PATIENCE).await.unwrap();
    consumers.pause("news").await.unwrap();
    let last = write_numbers(&store, id, [2]).await;
    let paused = named(&store, "news").progress().await.unwrap().unwrap();
    assert!(matches!(paused.state, RunState::Paused { .. }) && paused.lag_events == 1, "{paused:?}");
    let behind = consumers.wait_until("news", last, Duration::from_millis(20)).await;
    assert!(matches!(behind, Err(Error::Behind { .. })), "{behind:?}");
    consumers.resume("news").await.unwrap();
    assert_eq!(running.next_numbers(1).await, [2], "it goes on where it stood");
    assert!(running.stop().await.is_empty());
    consumers.forget("news").await.unwrap();
    assert_eq!(named(&store, "news").progress().await.unwrap(), None);
    let told = Mutex::new(Vec::new());
    named(&store, "news").catch_up(|event| noting(&told, &event)).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [1, 2], "it begins anew");
}
