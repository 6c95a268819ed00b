//! What went wrong once, on every backend.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use annals::{
    Attempts, CheckpointStore as _, Clock as _, Consumer, ConsumerKind, Consumers, Cursor, Error, ExecuteError,
    ManualClock, OnFailure, Position, Projection, Projector, Start, Subscription, Transactional as _, Work as _,
    store::{CheckpointWork as _, Claim, Claimed, Lease},
};
use chrono::DateTime;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    on_every_backend,
    place::{ConnectionOf, PATIENCE, Place},
    sums::{Sums, number},
};

on_every_backend! {
    store_073_runners_that_die_with_nothing_to_do_park_nothing
    store_073_a_run_that_comes_back_after_an_outage_is_no_crash
    store_066_a_name_that_was_forgotten_begins_where_it_is_told_to
    store_071_what_is_parked_behind_counts_and_nothing_else
    store_071_a_store_that_fails_beneath_a_handlers_error_parks_nothing
    store_079_a_version_raised_before_the_first_build_is_built
    store_079_rebuilders_of_two_versions_at_once_leave_what_can_be_rebuilt
    a_rebuild_waits_for_the_lease_of_a_dead_rebuilder_and_leaves_the_shown_build_alone
    a_shutdown_waits_for_the_effect_of_one_event_at_the_most
    one_can_wait_for_ever
}

fn ready<E>(result: Result<(), E>) -> std::future::Ready<Result<(), E>> {
    std::future::ready(result)
}

/// Runners that are killed while there is nothing to do say nothing about the next event.
async fn store_073_runners_that_die_with_nothing_to_do_park_nothing<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
    let place = P::open_at(Arc::<ManualClock>::clone(&clock)).await;
    let quiet = Subscription::new(place.store(), "quiet").unwrap().on_failure(OnFailure::park());
    let consumer = Consumer::new("quiet").unwrap();
    for _ in 0..7 {
        let before = place.store().checkpoint(&consumer).await.unwrap().map(|checkpoint| checkpoint.fence);
        let running = quiet.clone();
        let running =
            tokio::spawn(async move { running.run(std::future::pending(), |_| ready(Ok::<_, Error>(()))).await });
        let claimed = async {
            while place.store().checkpoint(&consumer).await.unwrap().map(|checkpoint| checkpoint.fence) == before {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, claimed).await.expect("it claims its lease");
        running.abort();
        drop(running.await);
        clock.set(clock.now() + Duration::from_secs(31));
    }
    place.write(Uuid::now_v7(), &[1]).await;
    let told = Mutex::new(Vec::new());
    let tell = |event| {
        told.lock().unwrap().push(number(&event));
        ready(Ok::<_, Error>(()))
    };
    quiet.catch_up(tell).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [1]);
    assert!(Consumers::new(place.store()).parked("quiet", Position::START).await.unwrap().is_empty());
}

fn claim(consumer: Consumer, start: Option<Cursor>) -> Claim {
    let kind = if consumer.name().starts_with("sums") { ConsumerKind::Projection } else { ConsumerKind::Subscription };
    let version = u32::from(kind == ConsumerKind::Projection);
    Claim { consumer, kind, version, start, owner: "earlier".into(), length: Duration::from_secs(1), by_force: false }
}

/// Whoever asks again for a lease of its own that has lapsed meanwhile has not crashed.
async fn store_073_a_run_that_comes_back_after_an_outage_is_no_crash<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
    let place = P::open_at(Arc::<ManualClock>::clone(&clock)).await;
    let claim = claim(Consumer::new("mail").unwrap(), Some(Cursor::START));
    for _ in 0..3 {
        let Claimed::Taken(taken) = place.store().claim(&claim).await.unwrap() else { panic!("it is free") };
        assert_eq!(taken.crashes, 0);
        clock.set(clock.now() + Duration::from_secs(60));
    }
    let other = Claim { owner: "another".into(), ..claim };
    let Claimed::Taken(taken) = place.store().claim(&other).await.unwrap() else { panic!("it has lapsed") };
    assert_eq!(taken.crashes, 1, "whoever else takes it over, does after a crash");
}

/// Where a name is forgotten while somebody asks for its lease, nothing begins at a place that nobody has named.
async fn store_066_a_name_that_was_forgotten_begins_where_it_is_told_to<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let gone = place.store().claim(&claim(Consumer::new("mail").unwrap(), None)).await;
    assert!(matches!(gone, Err(Error::Contention { .. })), "there is none, and none is to be made: {gone:?}");
    assert!(place.store().checkpoints(None).await.unwrap().is_empty());

    place.write(Uuid::now_v7(), &[1, 2, 3]).await;
    let mail = Subscription::new(place.store(), "mail").unwrap().start(Start::Now);
    let told = Arc::new(AtomicU32::new(0));
    let consumers = Consumers::new(place.store());
    for _ in 0..30 {
        let mut runs = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let (mail, told) = (mail.clone(), Arc::clone(&told));
            runs.spawn(async move {
                mail.catch_up(|_| {
                    told.fetch_add(1, Ordering::Relaxed);
                    ready(Ok::<_, Error>(()))
                })
                .await
            });
        }
        // It may not be there yet, or again.
        drop(consumers.forget("mail").await);
        for ended in runs.join_all().await {
            ended.unwrap();
        }
    }
    assert_eq!(told.load(Ordering::Relaxed), 0, "what was there before is not told");
}

/// The bound on parked events counts parked events, and not those that stand between them.
async fn store_071_what_is_parked_behind_counts_and_nothing_else<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let (broken, sound) = (Uuid::now_v7(), Uuid::now_v7());
    place.write(broken, &[7]).await;
    place.write(sound, &[1; 40]).await;
    place.write(broken, &[8]).await;
    place.write(sound, &[1; 40]).await;
    let failing = |most| {
        let judge = |number| if number == 7 { Err("no rate".into()) } else { Ok(()) };
        let sums = Sums { judge: Arc::new(judge), ..Sums::default() };
        let projector = Projector::new(place.store(), sums).unwrap().attempts(Attempts::once());
        projector.on_failure(OnFailure::Park { most })
    };
    failing(3).catch_up().await.expect("two of three are parked");
    assert_eq!(place.sums().await, [(format!("{sound} 80"), 80)]);
    place.write(broken, &[9, 10]).await;
    let full = failing(3).catch_up().await;
    assert!(matches!(full, Err(Error::Handler { sequence: 4, .. })), "up to the fourth: {full:?}");
    let parked = Consumers::new(place.store()).parked("sums", Position::START).await.unwrap();
    assert_eq!(parked.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2, 3]);
}

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct No;

/// A store that is away while a handler executes a command is no failure of the event, however it is wrapped.
async fn store_071_a_store_that_fails_beneath_a_handlers_error_parks_nothing<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    place.write(Uuid::now_v7(), &[1]).await;
    let saga = Subscription::new(place.store(), "saga").unwrap();
    let saga = saga.attempts(Attempts::once()).on_failure(OnFailure::park());
    let tries = AtomicU32::new(0);
    let execute = |_| match tries.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => ready(Err(ExecuteError::<No>::Store(Error::Contention { source: None }))),
        _ => ready(Ok(())),
    };
    saga.catch_up(execute).await.unwrap();
    assert_eq!(saga.progress().await.unwrap().unwrap().parked, 0);
    assert_eq!(tries.load(Ordering::Relaxed), 3);
}

/// Newer code takes over a projection that was begun, and of which nothing was built.
async fn store_079_a_version_raised_before_the_first_build_is_built<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1]).await;
    let begun = claim(Consumer::new("sums").unwrap(), Some(Cursor::START));
    let Claimed::Taken(taken) = place.store().claim(&begun).await.unwrap() else { panic!("it is new") };
    place.store().release(&Lease { consumer: begun.consumer, fence: taken.fence, length: begun.length }).await.unwrap();
    Projector::new(place.store(), Sums { version: 2, ..Sums::default() }).unwrap().catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 1"), 1)]);
    let old = Projector::new(place.store(), Sums::default()).unwrap().catch_up().await;
    assert!(matches!(old, Err(Error::Schema { .. })), "older code does not take it back: {old:?}");
}

/// Whichever way two rebuilders of different versions meet, the newer one's build is shown in the end.
async fn store_079_rebuilders_of_two_versions_at_once_leave_what_can_be_rebuilt<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    for head_start in 0..12 {
        let place = P::open().await;
        let notebook = Uuid::now_v7();
        place.write(notebook, &[1, 2, 3]).await;
        Projector::new(place.store(), Sums::default()).unwrap().catch_up().await.unwrap();
        let version = |version| {
            let sums = Sums { version, factor: i64::from(version), ..Sums::default() };
            Projector::new(place.store(), sums).unwrap().lease(Duration::from_millis(300)).batch_events(1)
        };
        let (two, three) = (version(2), version(3));
        let later = async {
            for _ in 0..head_start {
                place.rows("SELECT notebook, events FROM sums").await;
            }
            three.rebuild().await
        };
        let (older, newer) =
            timeout(PATIENCE, async { tokio::join!(two.rebuild(), later) }).await.expect("both come to an end");
        assert!(matches!(older, Ok(()) | Err(Error::Schema { .. })), "{older:?}");
        if newer.is_err() {
            version(3).rebuild().await.expect("alone it succeeds");
        }
        assert_eq!(place.sums().await, [(format!("{notebook} 3"), 18)], "after {newer:?}");
    }
}

/// A rebuilder that died with its lease is waited for, without a turn of the runner of what is shown.
async fn a_rebuild_waits_for_the_lease_of_a_dead_rebuilder_and_leaves_the_shown_build_alone<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3]).await;
    let projector = Projector::new(place.store(), Sums::default()).unwrap().lease(Duration::from_secs(1));
    projector.catch_up().await.unwrap();
    let consumer = Consumer::new("sums").unwrap();
    let shown = place.store().checkpoint(&consumer).await.unwrap().unwrap();
    // As one leaves it that was killed between its last event and the swap; but for its tables.
    let dead = claim(consumer.rebuild(), Some(shown.cursor));
    let Claimed::Taken(taken) = place.store().claim(&dead).await.unwrap() else { panic!("it is new") };
    let lease = Lease { consumer: consumer.rebuild(), fence: taken.fence, length: dead.length };
    let mut work = place.store().begin().await.unwrap();
    work.run_script("CREATE TABLE sums__2 AS SELECT * FROM sums__1").await.unwrap();
    work.run_script("CREATE TABLE known__2 AS SELECT * FROM known__1").await.unwrap();
    assert!(work.set_build(&lease, 2, 1).await.unwrap());
    work.commit().await.unwrap();
    timeout(PATIENCE, projector.rebuild()).await.expect("it ends").unwrap();
    let after = place.store().checkpoint(&consumer).await.unwrap().unwrap();
    assert_eq!((after.build, after.fence), (2, shown.fence + 1), "one swap, and nothing else, has raised the fence");
    assert_eq!(place.sums().await, [(format!("{notebook} 3"), 6)]);
}

/// Told to stop, a projector has no further effects, and moves behind those that it has had.
async fn a_shutdown_waits_for_the_effect_of_one_event_at_the_most<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1; 200]).await;
    let sums = Sums { effects_pause: true, ..Sums::default() };
    let effects = Arc::clone(&sums.effects);
    let shutdown = async {
        while effects.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let projector = Projector::new(place.store(), sums).unwrap();
    timeout(PATIENCE, projector.run(shutdown)).await.expect("it stops").unwrap();
    let had = effects.lock().unwrap().len();
    assert!(had < 50, "{had} effects");
    let had = i64::try_from(had).unwrap();
    let shown = place.sums().await;
    assert!(shown == [(format!("{notebook} {had}"), had)] || had == 1, "{shown:?} after {had} effects");
}

/// A wait without an end is a wait.
async fn one_can_wait_for_ever<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let position = place.write(Uuid::now_v7(), &[1]).await;
    let projector = Projector::new(place.store(), Sums::default()).unwrap();
    let waiting = projector.wait_until(position, Duration::MAX);
    let (waited, ran) = timeout(PATIENCE, async { tokio::join!(waiting, projector.catch_up()) }).await.unwrap();
    ran.unwrap();
    waited.unwrap();
}
