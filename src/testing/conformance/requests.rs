//! What an operator asks of runners: parked events told again, and subscriptions moved to another place.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{Either, select};
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use super::{
    fixture::{Factory, not_run, with_clock},
    sample::{log, number, numbers},
    telling::{PATIENCE, Running, Store, named, noting, subscribing, write_numbers},
};
use crate::{
    read::{Attempts, BoxError, Consumers, OnFailure, Start, Subscription},
    store::{
        Clock as _, Consumer, ConsumerKind, Cursor, Error, EventStore as _, ManualClock, ParkedChoice, Position,
        RecordedEvent,
    },
};

/// A subscription that parks what fails, at the first try.
fn parking(store: &Store, name: &str) -> Subscription<Store> {
    named(store, name).attempts(Attempts::once()).on_failure(OnFailure::park())
}

/// Handles what is there, and parks these numbers and what follows of their aggregates.
async fn park(store: &Store, name: &str, poison: &[u64]) {
    let told = |event: RecordedEvent| {
        let is_poison = poison.contains(&number(&event));
        std::future::ready(if is_poison { Err::<(), BoxError>("no such customer".into()) } else { Ok(()) })
    };
    parking(store, name).catch_up(told).await.expect("the rest goes on");
}

/// Sequence and error of what is parked, and whether it is asked for.
async fn parked(store: &Store, name: &str) -> Vec<(u64, Option<String>, bool)> {
    let parked = Consumers::new(store).parked(name, Position::START).await.unwrap();
    let shown =
        |event: &crate::store::ParkedEvent| (event.sequence, event.error.clone(), event.replay_requested_at.is_some());
    parked.iter().map(shown).collect()
}

/// Waits until so many events are parked.
async fn until_parked(store: &Store, name: &str, count: u64) {
    until(async || store.count_parked(name).await.unwrap() == count).await;
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it comes to pass");
}

/// A runner at work tells what is asked for again, in order, and what waits behind it; then the aggregate goes on.
pub async fn store_071_a_runner_handles_the_parked_events_it_is_asked_for(factory: &dyn Factory) {
    let case = "store_071_a_runner_handles_the_parked_events_it_is_asked_for";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    for round in 0..3 {
        write_numbers(&store, one, [10 + round]).await;
        write_numbers(&store, other, [20 + round]).await;
    }
    park(&store, "mail", &[10, 20]).await;
    let consumers = Consumers::new(&store);
    let unknown = Uuid::now_v7();
    for (name, choice) in [
        ("nobody", ParkedChoice::All),
        ("nobody", ParkedChoice::Event { aggregate_id: one, sequence: 1 }),
        ("mail", ParkedChoice::Aggregate(unknown)),
        ("mail", ParkedChoice::Event { aggregate_id: one, sequence: 9 }),
    ] {
        let refused = consumers.request_replay(name, choice).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{name} {choice:?}: {refused:?}");
    }
    // Nobody runs it: the next runner does.
    assert_eq!(consumers.request_replay("mail", ParkedChoice::Aggregate(one)).await.unwrap(), 3);
    let mut running = Running::start(parking(&store, "mail"));
    assert_eq!(running.next_numbers(3).await, [10, 11, 12]);
    until_parked(&store, "mail", 3).await;
    write_numbers(&store, one, [13]).await;
    assert_eq!(running.next_numbers(1).await, [13], "the aggregate goes on");
    // While it is at work. What was parked behind the one follows it, also what comes meanwhile.
    write_numbers(&store, other, [23]).await;
    until_parked(&store, "mail", 4).await;
    let choice = ParkedChoice::Event { aggregate_id: other, sequence: 1 };
    assert_eq!(consumers.request_replay("mail", choice).await.unwrap(), 1);
    assert_eq!(running.next_numbers(4).await, [20, 21, 22, 23]);
    until_parked(&store, "mail", 0).await;
    write_numbers(&store, other, [24]).await;
    assert_eq!(running.next_numbers(1).await, [24]);
    assert!(running.stop().await.is_empty(), "nothing is told twice");
}

/// What fails again stays parked with its new error, and is not told once more until it is asked for anew.
pub async fn store_071_what_fails_again_is_asked_for_no_longer(factory: &dyn Factory) {
    let case = "store_071_what_fails_again_is_asked_for_no_longer";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    write_numbers(&store, one, [1, 2]).await;
    write_numbers(&store, other, [11, 12]).await;
    park(&store, "mail", &[1, 11]).await;
    let consumers = Consumers::new(&store);
    let is_mended = Arc::new(AtomicBool::new(false));
    let mut running = Running::failing(parking(&store, "mail"), {
        let is_mended = Arc::clone(&is_mended);
        move |event| match number(event) {
            1 if !is_mended.load(Ordering::SeqCst) => Err("still no such customer".into()),
            _ => Ok(()),
        }
    });
    assert_eq!(consumers.request_replay("mail", ParkedChoice::All).await.unwrap(), 4);
    assert_eq!(running.next_numbers(3).await, [1, 11, 12], "in the order of the log, but for what failed");
    until_parked(&store, "mail", 2).await;
    let still = [(1, Some("still no such customer".to_owned()), false), (2, None, false)];
    until(async || parked(&store, "mail").await == still).await;
    assert_eq!(consumers.parked("mail", Position::START).await.unwrap()[0].attempts, 2);
    is_mended.store(true, Ordering::SeqCst);
    assert_eq!(consumers.request_replay("mail", ParkedChoice::Aggregate(one)).await.unwrap(), 2);
    assert_eq!(running.next_numbers(2).await, [1, 2]);
    until_parked(&store, "mail", 0).await;
    running.stop().await;
}

/// What is told at most once and fails again is parked still, and is not lost.
pub async fn store_071_at_most_once_a_replay_that_fails_is_parked_still(factory: &dyn Factory) {
    let case = "store_071_at_most_once_a_replay_that_fails_is_parked_still";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let id = Uuid::now_v7();
    write_numbers(&store, id, [1, 2]).await;
    park(&store, "mail", &[1]).await;
    let fails = |_| std::future::ready(Err::<(), BoxError>("no".into()));
    let run = parking(&store, "mail").at_most_once().replay_parked(fails).await.unwrap();
    assert_eq!((run.handled, run.left), (0, 2));
    assert_eq!(parked(&store, "mail").await, [(1, Some("no".to_owned()), false), (2, None, false)]);
    Consumers::new(&store).request_replay("mail", ParkedChoice::All).await.unwrap();
    let mut running = Running::failing(parking(&store, "mail").at_most_once(), |_| Err("no again".into()));
    assert_eq!(running.next_numbers(1).await, [1]);
    let still = [(1, Some("no again".to_owned()), false), (2, None, true)];
    until(async || parked(&store, "mail").await.first() == still.first()).await;
    running.stop().await;
}

/// Hundreds of replays hold up no live event.
pub async fn store_071_live_events_go_on_between_replays(factory: &dyn Factory) {
    let Some((_fixture, store)) = subscribing(factory, "store_071_live_events_go_on_between_replays").await else {
        return;
    };
    let (poisoned, live) = (Uuid::now_v7(), Uuid::now_v7());
    write_numbers(&store, poisoned, 0..450).await;
    park(&store, "mail", &[0]).await;
    assert_eq!(Consumers::new(&store).request_replay("mail", ParkedChoice::All).await.unwrap(), 450);
    write_numbers(&store, live, 1_000..1_010).await;
    let mut running = Running::start(parking(&store, "mail"));
    let told = running.next_numbers(460).await;
    let first_live = told.iter().position(|number| *number >= 1_000).unwrap();
    assert!(first_live < 400, "live events have waited for {first_live} replays");
    let replays: Vec<_> = told.into_iter().filter(|number| *number < 1_000).collect();
    assert!(replays.into_iter().eq(0..450), "each once, in order");
    until_parked(&store, "mail", 0).await;
    running.stop().await;
}

/// A runner that is killed within a replay is followed by one that does what was asked for: at least once, in order.
pub async fn store_071_a_runner_killed_within_a_replay_is_followed_by_one_that_does_it(factory: &dyn Factory) {
    let case = "store_071_a_runner_killed_within_a_replay_is_followed_by_one_that_does_it";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let id = Uuid::now_v7();
    write_numbers(&store, id, 0..5).await;
    park(&store, "mail", &[0]).await;
    Consumers::new(&store).request_replay("mail", ParkedChoice::All).await.unwrap();
    let (entered, mut entries) = mpsc::unbounded_channel();
    let hanging = tokio::spawn({
        let subscription = parking(&store, "mail").owner("first");
        async move {
            let tell = move |event: RecordedEvent| {
                let number = number(&event);
                let _ = entered.send(number);
                async move {
                    if number == 2 {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Error>(())
                }
            };
            subscription.run(std::future::pending(), tell).await
        }
    });
    while timeout(PATIENCE, entries.recv()).await.expect("it goes on").expect("it runs") != 2 {}
    hanging.abort();
    drop(hanging.await);
    assert_eq!(store.count_parked("mail").await.unwrap(), 3, "what was handled is parked no longer");
    let mut second = Running::start(parking(&store, "mail").owner("second"));
    assert_eq!(second.next_numbers(3).await, [2, 3, 4]);
    until_parked(&store, "mail", 0).await;
    second.stop().await;
}

/// Of a consumer in partitions each runner tells what is its own.
pub async fn store_071_partitions_tell_their_own_parked_events(factory: &dyn Factory) {
    let case = "store_071_partitions_tell_their_own_parked_events";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let ids: Vec<_> = (0..16).map(|_| Uuid::now_v7()).collect();
    for id in &ids {
        write_numbers(&store, *id, [1, 2]).await;
    }
    let part = |number| parking(&store, "mail").partition(number, 2).unwrap();
    for number in 0..2 {
        part(number).catch_up(|_| std::future::ready(Err::<(), BoxError>("no".into()))).await.unwrap();
    }
    assert_eq!(Consumers::new(&store).request_replay("mail", ParkedChoice::All).await.unwrap(), 32);
    let mine = |number| {
        let part = Consumer::new("mail").unwrap().partition_of(number, 2).unwrap();
        ids.iter().filter(|id| part.has(**id)).count() as u64
    };
    let mut running = Running::start(part(0));
    until_parked(&store, "mail", 2 * mine(1)).await;
    let own = Consumer::new("mail").unwrap().partition_of(0, 2).unwrap();
    for _ in 0..2 * mine(0) {
        assert!(own.has(running.next().await.aggregate_id()));
    }
    let other = Running::start(part(1));
    until_parked(&store, "mail", 0).await;
    assert!(running.stop().await.is_empty());
    assert_eq!(other.stop().await.len() as u64, 2 * mine(1));
}

/// A parked event at which runner after runner dies is left parked with that for its error, and the rest goes on.
pub async fn store_073_a_parked_event_that_kills_its_runners_is_left_parked(factory: &dyn Factory) {
    let case = "store_073_a_parked_event_that_kills_its_runners_is_left_parked";
    let clock = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
    let Some(fixture) = with_clock(factory, &clock, case).await else { return };
    let Some(store) = fixture.checkpoints() else {
        return not_run(case, "the store keeps no checkpoints");
    };
    let id = Uuid::now_v7();
    write_numbers(&store, id, [3]).await;
    park(&store, "deadly", &[3]).await;
    let consumers = Consumers::new(&store);
    consumers.request_replay("deadly", ParkedChoice::All).await.unwrap();
    let deadly =
        parking(&store, "deadly").attempts(Attempts { most: 3, ..Attempts::default() }).lease(Duration::from_secs(60));
    let mut deaths = 0;
    loop {
        let (entered, mut entries) = mpsc::unbounded_channel();
        let subscription = deadly.clone();
        let runner = tokio::spawn(async move {
            let tell = move |_| {
                let _ = entered.send(());
                std::future::pending::<Result<(), Error>>()
            };
            subscription.run(std::future::pending(), tell).await
        });
        let left = async || !parked(&store, "deadly").await[0].2;
        let (told, left) = (pin!(entries.recv()), pin!(until(left)));
        let first = timeout(PATIENCE, select(told, left)).await;
        let is_told = match first.expect("it is told, or left") {
            Either::Left((told, _)) => told.is_some(),
            Either::Right(_) => false,
        };
        runner.abort();
        drop(runner.await);
        clock.set(clock.now() + Duration::from_secs(120));
        if !is_told {
            break;
        }
        deaths += 1;
        assert!(deaths <= 10, "it is told for ever");
    }
    let [(1, Some(error), false)] = &parked(&store, "deadly").await[..] else {
        panic!("it is parked, and asked for no longer");
    };
    assert!(error.contains("3 runners in a row"), "{error}");
    assert!((3..=5).contains(&deaths), "after {deaths} deaths");
}

/// Moved while a runner is at work in it, a subscription is told every event from the new place on, and none is lost.
pub async fn store_066_a_subscription_that_is_moved_is_told_everything_from_there(factory: &dyn Factory) {
    let case = "store_066_a_subscription_that_is_moved_is_told_everything_from_there";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let id = Uuid::now_v7();
    for number in 0..40 {
        write_numbers(&store, id, [number]).await;
    }
    let consumers = Consumers::new(&store);
    let events = log(&*store).await;
    let mut running = Running::start(named(&store, "mail").batch_events(1));
    // In the middle of its work, again and again: what it has under way then moves nothing.
    for (to, first) in [(30, 31), (4, 5), (0, 1)] {
        let told = running.next().await;
        let reset = consumers.reset("mail", Start::After(events[to].position())).await.unwrap();
        assert_eq!(reset.position(), events[to].position());
        // Told by the late turn, and then from the new place on.
        let mut numbers = vec![number(&told)];
        while numbers.last() != Some(&first) {
            numbers.push(number(&running.next().await));
        }
    }
    let rest = running.next_numbers(38).await;
    assert!(rest.into_iter().eq(2..40), "from there on each event once");
    running.stop().await;

    let planned = consumers.plan_reset("mail", Start::Beginning).await.unwrap();
    assert_eq!((planned.told_again, planned.passed_over, planned.position()), (40, 0, Position::START));
    consumers.reset("mail", Start::Beginning).await.unwrap();
    let planned = consumers.plan_reset("mail", Start::Now).await.unwrap();
    assert_eq!((planned.told_again, planned.passed_over), (0, 40));
    let told = Mutex::new(Vec::new());
    named(&store, "mail").catch_up(|event| noting(&told, &event)).await.unwrap();
    assert_eq!(*told.lock().unwrap(), numbers(&events));
    let since = consumers.reset("mail", Start::Since(events[39].recorded_at())).await.unwrap();
    assert!(since.position() < events[39].position() && since.told_again >= 1);

    let nowhere = Position::new(events[39].position().get() + 1_000);
    for (name, to) in [("nobody", Start::Beginning), ("mail", Start::After(nowhere))] {
        let refused = consumers.reset(name, to).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
}

/// What is parked behind the new place is told again and parked no longer; what is parked before it stays.
pub async fn store_066_parked_events_behind_the_new_place_are_told_again(factory: &dyn Factory) {
    let case = "store_066_parked_events_behind_the_new_place_are_told_again";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    write_numbers(&store, one, [1]).await;
    let middle = write_numbers(&store, other, [2]).await;
    write_numbers(&store, one, [3]).await;
    write_numbers(&store, other, [4]).await;
    for place in 0..2 {
        let part = parking(&store, "mail").partition(place, 2).unwrap();
        let judge = |event: RecordedEvent| {
            std::future::ready(if [1, 4].contains(&number(&event)) { Err::<(), BoxError>("no".into()) } else { Ok(()) })
        };
        part.catch_up(judge).await.unwrap();
    }
    let consumers = Consumers::new(&store);
    let reset = consumers.reset("mail", Start::After(middle)).await.unwrap();
    assert_eq!((reset.unparked, reset.told_again), (2, 2));
    assert_eq!(parked(&store, "mail").await, [(1, Some("no".to_owned()), false)], "what lies before the place stays");
    let told = Mutex::new(BTreeSet::new());
    for place in 0..2 {
        let part = parking(&store, "mail").partition(place, 2).unwrap();
        let tell = |event: RecordedEvent| {
            told.lock().unwrap().insert(number(&event));
            std::future::ready(Ok::<_, Error>(()))
        };
        part.catch_up(tell).await.unwrap();
    }
    assert_eq!(
        told.into_inner().unwrap().into_iter().collect::<Vec<_>>(),
        [4],
        "the other waits behind what is parked"
    );
    let still = [(1, Some("no".to_owned()), false), (2, None, false)];
    assert_eq!(parked(&store, "mail").await, still);
    assert_eq!(consumers.discard_all("mail", ParkedChoice::All).await.unwrap(), 2);
    assert_eq!(store.count_parked("mail").await.unwrap(), 0);
}

/// A late holder moves nothing after a reset, a paused one stays paused, and a projection is not moved.
pub async fn store_068_a_subscription_that_was_moved_is_moved_by_no_late_holder(factory: &dyn Factory) {
    let case = "store_068_a_subscription_that_was_moved_is_moved_by_no_late_holder";
    let Some((_fixture, store)) = subscribing(factory, case).await else { return };
    let id = Uuid::now_v7();
    write_numbers(&store, id, [1, 2, 3]).await;
    let events = log(&*store).await;
    let claim = |name: &str, kind, version| crate::store::Claim {
        consumer: Consumer::new(name).unwrap(),
        kind,
        version,
        start: Some(Cursor::START),
        owner: "late".into(),
        length: PATIENCE,
        by_force: false,
    };
    let claimed = store.claim(&claim("mail", ConsumerKind::Subscription, 0)).await.unwrap();
    let crate::store::Claimed::Taken(taken) = claimed else { panic!("it is free") };
    let lease = crate::store::Lease { consumer: taken.consumer, fence: taken.fence, length: PATIENCE };
    // To where it stands already: it is another's all the same.
    assert!(store.reset("mail", &Cursor::START).await.unwrap());
    let step = crate::store::Step { from: Position::START, to: Cursor::from(&events[2]), parked: &[] };
    assert!(!store.advance(&lease, &step).await.unwrap(), "what it still moves is refused");
    assert!(!store.reset("nobody", &Cursor::START).await.unwrap());
    store.set_paused("mail", true).await.unwrap();
    assert!(store.reset("mail", &Cursor::from(&events[1])).await.unwrap());
    let found = store.checkpoint(&Consumer::new("mail").unwrap()).await.unwrap().unwrap();
    assert_eq!((found.cursor, found.paused_at.is_some(), found.lease), (Cursor::from(&events[1]), true, None));
    store.claim(&claim("sales", ConsumerKind::Projection, 1)).await.unwrap();
    let refused = store.reset("sales", &Cursor::START).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert!(store.head().await.unwrap() >= events[2].position());
}
