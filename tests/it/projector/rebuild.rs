//! Rebuilding without downtime.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::{Attempts, Error, Projection, Projector};
use uuid::Uuid;

use super::{
    on_every_backend,
    place::{ConnectionOf, PATIENCE, Place},
    sums::Sums,
};

on_every_backend! {
    store_078_a_rebuild_equals_the_first_build_and_removes_what_no_event_has_made
    store_078_two_rebuilds_at_once_leave_one_sound_build
    store_079_a_new_version_has_no_effects_for_what_was_handled_before
    store_079_an_interrupted_rebuild_goes_on_where_it_was
    store_079_old_code_ends_where_newer_code_has_rebuilt
    rebuilding_under_live_writes_never_shows_fewer_events
}

async fn tables<P: Place>(place: &P) -> Vec<String>
where
    Sums: Projection<ConnectionOf<P>>,
{
    let mut found = Vec::new();
    for build in 1..=6 {
        if place.execute(&format!("SELECT 1 FROM sums__{build}")).await.is_ok() {
            found.push(format!("sums__{build}"));
        }
    }
    found
}

/// A rebuild equals the first build, rows that no event has made are gone, and other projections are not touched.
async fn store_078_a_rebuild_equals_the_first_build_and_removes_what_no_event_has_made<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3]).await;
    let projector = Projector::new(place.store(), Sums::default()).unwrap();
    projector.rebuild().await.expect("the first build is a build");
    let first = place.sums().await;
    assert_eq!(first, [(format!("{notebook} 3"), 6)]);
    place.execute("INSERT INTO sums__1 (notebook, events, total) VALUES ('nobody', 1, 5)").await.unwrap();
    place.execute("UPDATE sums__1 SET total = 7 WHERE total = 6").await.unwrap();
    assert_eq!(place.sums().await.len(), 2);
    for build in [2, 3] {
        projector.rebuild().await.unwrap();
        assert_eq!(place.sums().await, first);
        assert_eq!(tables(&place).await, [format!("sums__{build}")], "the old tables are gone");
        assert_eq!(projector.progress().await.unwrap().unwrap().build, build);
        assert_eq!(projector.rebuild_progress().await.unwrap(), None);
    }
    place.write(notebook, &[4]).await;
    projector.catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 4"), 10)], "it goes on, on the new tables");
}

/// Two rebuilds at once end in one build that is complete.
async fn store_078_two_rebuilds_at_once_leave_one_sound_build<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    for number in 1..=40 {
        place.write(notebook, &[number]).await;
    }
    let projector =
        || Projector::new(place.store(), Sums::default()).unwrap().batch_events(3).lease(Duration::from_millis(300));
    projector().catch_up().await.unwrap();
    let (one, other) = (projector(), projector());
    let (one, other) = tokio::join!(tokio::time::timeout(PATIENCE, one.rebuild()), other.rebuild());
    one.expect("it ends").unwrap();
    other.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 40"), 820)]);
    place.write(notebook, &[41]).await;
    projector().catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 41"), 861)]);
    assert_eq!(tables(&place).await.len(), 1);
}

/// Effects are had for what is new, and for nothing that an earlier version has handled.
async fn store_079_a_new_version_has_no_effects_for_what_was_handled_before<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3]).await;
    let old = Sums::default();
    let effects = Arc::clone(&old.effects);
    Projector::new(place.store(), old).unwrap().catch_up().await.unwrap();
    assert_eq!(*effects.lock().unwrap(), [1, 2, 3]);

    place.write(notebook, &[4]).await;
    let new = Sums { version: 2, factor: 10, ..Sums::default() };
    let effects = Arc::clone(&new.effects);
    let projector = Projector::new(place.store(), new).unwrap();
    let refused = projector.catch_up().await;
    assert!(matches!(refused, Err(Error::Schema { .. })), "its tables are of another version: {refused:?}");
    projector.rebuild().await.unwrap();
    assert_eq!(*effects.lock().unwrap(), [0_u64; 0], "up to where the old one stood there are none");
    assert_eq!(place.sums().await, [(format!("{notebook} 3"), 60)]);
    place.write(notebook, &[5]).await;
    projector.catch_up().await.unwrap();
    assert_eq!(*effects.lock().unwrap(), [4, 5], "and behind it there is one for each");
    assert_eq!(place.sums().await, [(format!("{notebook} 5"), 150)]);
}

/// A rebuild that ends half-way shows nothing of itself, and goes on where it was, still without effects.
async fn store_079_an_interrupted_rebuild_goes_on_where_it_was<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    for number in 1..=10 {
        place.write(notebook, &[number]).await;
    }
    Projector::new(place.store(), Sums::default()).unwrap().catch_up().await.unwrap();
    let failing = Sums {
        version: 2,
        factor: 2,
        judge: Arc::new(|number| if number == 7 { Err("interrupted".into()) } else { Ok(()) }),
        ..Sums::default()
    };
    let projector = Projector::new(place.store(), failing).unwrap().batch_events(2).attempts(Attempts::once());
    assert!(matches!(projector.rebuild().await, Err(Error::Handler { sequence: 7, .. })));
    assert_eq!(place.sums().await, [(format!("{notebook} 10"), 55)], "readers see the old build");
    let half = projector.rebuild_progress().await.unwrap().expect("it is kept");
    assert_eq!((half.build, half.version, half.lag_events), (2, 2, 4));
    Projector::new(place.store(), Sums::default()).unwrap().catch_up().await.expect("the old version goes on");

    let mended = Sums { version: 2, factor: 2, ..Sums::default() };
    let (applied, effects) = (Arc::clone(&mended.applied), Arc::clone(&mended.effects));
    Projector::new(place.store(), mended).unwrap().rebuild().await.unwrap();
    assert_eq!(*applied.lock().unwrap(), [7, 8, 9, 10], "it goes on where it was");
    assert!(effects.lock().unwrap().is_empty());
    assert_eq!(place.sums().await, [(format!("{notebook} 10"), 110)]);

    // Another version does not go on with tables that it does not know.
    let failing = Sums {
        version: 3,
        judge: Arc::new(|number| if number == 7 { Err("interrupted".into()) } else { Ok(()) }),
        ..Sums::default()
    };
    let projector = Projector::new(place.store(), failing).unwrap().attempts(Attempts::once());
    assert!(matches!(projector.rebuild().await, Err(Error::Handler { .. })));
    let newest = Sums { version: 4, factor: 3, ..Sums::default() };
    let applied = Arc::clone(&newest.applied);
    Projector::new(place.store(), newest).unwrap().rebuild().await.unwrap();
    assert_eq!(applied.lock().unwrap().len(), 10, "it begins anew");
    assert_eq!(place.sums().await, [(format!("{notebook} 10"), 165)]);
    assert_eq!(tables(&place).await, ["sums__3"]);
}

/// Old code that runs meanwhile goes on until the swap, and ends then.
async fn store_079_old_code_ends_where_newer_code_has_rebuilt<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1]).await;
    let old = Arc::new(Projector::new(place.store(), Sums::default()).unwrap().lease(Duration::from_millis(300)));
    let running = tokio::spawn({
        let old = Arc::clone(&old);
        async move { old.run(std::future::pending()).await }
    });
    old.wait_until(place.write(notebook, &[2]).await, PATIENCE).await.unwrap();
    let new = Projector::new(place.store(), Sums { version: 2, factor: 10, ..Sums::default() }).unwrap();
    new.rebuild().await.unwrap();
    place.write(notebook, &[3]).await;
    let ended = tokio::time::timeout(PATIENCE, running).await.expect("the old code ends").unwrap();
    assert!(matches!(&ended, Err(Error::Schema { message, .. }) if message.contains("newer code")), "{ended:?}");
    new.catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 3"), 60)], "old code wrote nothing into the new tables");
    let again = old.rebuild().await;
    assert!(matches!(again, Err(Error::Schema { .. })), "nor does it put the old version back: {again:?}");
}

/// While a projection is rebuilt, and rebuilt again, its runner goes on, and no reader sees fewer events than before.
async fn rebuilding_under_live_writes_never_shows_fewer_events<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = Arc::new(P::open().await);
    let notebook = Uuid::now_v7();
    for _ in 1..=50 {
        place.write(notebook, &[1]).await;
    }
    let projector = |batch| {
        Projector::new(place.store(), Sums::default()).unwrap().batch_events(batch).lease(Duration::from_millis(500))
    };
    projector(100).catch_up().await.unwrap();
    let is_over = AtomicBool::new(false);
    let write = async {
        let mut written = 50;
        while !is_over.load(Ordering::Relaxed) {
            place.write(notebook, &[1]).await;
            written += 1;
        }
        written
    };
    let read = async {
        let (mut looks, mut events) = (0, 50);
        while !is_over.load(Ordering::Relaxed) {
            let seen = place.rows("SELECT notebook, events FROM sums").await;
            assert_eq!(seen.len(), 1, "the row is there at every moment");
            assert!(seen[0].1 >= events, "{} events after {events}", seen[0].1);
            (looks, events) = (looks + 1, seen[0].1);
        }
        looks
    };
    let rebuild = async {
        for _ in 0..3 {
            projector(5).rebuild().await.unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let runner = projector(100);
    let stopped = async {
        while !is_over.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    };
    let (written, looks, (), ran) = tokio::join!(write, read, rebuild, runner.run(stopped));
    ran.unwrap();
    assert!(looks > 3, "somebody looked");
    projector(100).catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} {written}"), written)]);
    assert_eq!(projector(1).progress().await.unwrap().unwrap().build, 4);
}
