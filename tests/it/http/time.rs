//! Times to live and times by the clock: what of group H needs the layer.

use std::time::Duration;

use annals::{
    http::IdempotencyLayer,
    store::{Expiring, ResponseQuery},
};

use super::{
    app::{App, Ask, Gate, created, layer, tenant},
    place::{Kind, Place, on_every_database},
};

// What Redis keeps goes by Redis's own clock: there it is tested beside it.
on_every_database! {
    http_h01_an_answer_is_kept_for_its_time_and_not_a_moment_longer
    http_h03_an_expired_key_is_carried_out_anew
    http_h04_a_key_that_is_used_anew_is_not_swept
    http_h05_what_is_under_way_is_not_swept
    http_h09_a_clock_that_is_set_back_keeps_keys_safe
    http_h11_times_that_make_no_sense_are_refused_at_the_start
}

const HOUR: Duration = Duration::from_secs(3600);
const MICRO: Duration = Duration::from_micros(1);

async fn http_h01_an_answer_is_kept_for_its_time_and_not_a_moment_longer(kind: Kind) {
    for (late, is_replayed) in [(HOUR - MICRO, true), (HOUR, false), (HOUR + MICRO, false)] {
        let (place, clock) = Place::with_clock(kind).await;
        let app = App::new(layer(&place.process().await).keep_for(HOUR), |call| async move { created(&call) });
        app.send(Ask::charge("h-1")).await;
        clock.advance(late);
        // By this process and by another one, which asks the store.
        let other = App::new(layer(&place.process().await).keep_for(HOUR), |call| async move { created(&call) });
        assert_eq!(other.send(Ask::charge("h-1")).await.is_replayed(), is_replayed, "{late:?}");
    }
}

async fn http_h03_an_expired_key_is_carried_out_anew(kind: Kind) {
    let (place, clock) = Place::with_clock(kind).await;
    let process = place.process().await;
    let app = App::new(layer(&process), |call| async move { created(&call) });
    app.send(Ask::charge("h-3")).await;
    let before = process.responses.list_responses(&ResponseQuery { limit: 9, ..Default::default() }).await.unwrap();
    clock.advance(25 * HOUR);
    // Also for another request: it is a new key.
    let anew = app.send(Ask::charge("h-3").json("{\"amount\":1}")).await;
    assert_eq!((anew.text(), anew.is_replayed()), ("charge 2", false));
    let after = process.responses.list_responses(&ResponseQuery { limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!((before.len(), after.len(), after[0].attempts), (1, 1, 1));
    assert!(after[0].fence > before[0].fence && after[0].run_id != before[0].run_id);
}

async fn http_h04_a_key_that_is_used_anew_is_not_swept(kind: Kind) {
    let (place, clock) = Place::with_clock(kind).await;
    let process = place.process().await;
    let app = App::new(layer(&process), |call| async move { created(&call) });
    for number in 0..10 {
        app.send(Ask::charge(&format!("h-4-{number}"))).await;
    }
    clock.advance(25 * HOUR);
    app.send(Ask::charge("h-4-3")).await;
    assert_eq!(process.store.retention().sweep(Expiring::Responses, 1_000).await.unwrap(), 9);
    assert!(app.send(Ask::charge("h-4-3")).await.is_replayed());
}

async fn http_h05_what_is_under_way_is_not_swept(kind: Kind) {
    let (place, clock) = Place::with_clock(kind).await;
    let process = place.process().await;
    let gate = Gate::shut();
    let at = gate.clone();
    let app = App::new(layer(&process).keep_for(Duration::from_secs(61)), move |call| {
        let gate = at.clone();
        async move {
            gate.pass().await;
            created(&call)
        }
    });
    let first = app.spawn(Ask::charge("h-5"));
    gate.come(1).await;
    clock.advance(Duration::from_secs(59));
    assert_eq!(process.store.retention().sweep(Expiring::Responses, 1_000).await.unwrap(), 0);
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 201);
    assert!(app.send(Ask::charge("h-5")).await.is_replayed());
}

async fn http_h09_a_clock_that_is_set_back_keeps_keys_safe(kind: Kind) {
    let (place, clock) = Place::with_clock(kind).await;
    let process = place.process().await;
    let app = App::new(layer(&process), |call| async move { created(&call) });
    app.send(Ask::charge("h-9")).await;
    clock.set(chrono::DateTime::from_timestamp(1_600_000_000, 0).unwrap());
    assert!(app.send(Ask::charge("h-9")).await.is_replayed());
    let new = app.send(Ask::charge("h-9-new")).await;
    assert_eq!((new.text(), new.is_replayed()), ("charge 2", false));
    assert!(app.send(Ask::charge("h-9-new")).await.is_replayed());
    let rows = process.responses.list_responses(&ResponseQuery { limit: 9, ..Default::default() }).await.unwrap();
    assert!(rows[1].fence > rows[0].fence, "fences rise whatever the clock says");
}

async fn http_h11_times_that_make_no_sense_are_refused_at_the_start(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let builder = || IdempotencyLayer::builder(std::sync::Arc::clone(&process.responses), tenant);
    for senseless in [
        builder().keep_for(Duration::ZERO),
        builder().keep_for(Duration::MAX),
        builder().lease(Duration::ZERO),
        builder().lease(Duration::MAX),
        builder().keep_for(Duration::from_secs(10)).lease(Duration::from_secs(10)),
        builder().attempts(0),
        builder().keys_per_scope(0),
        builder().request_bytes(0),
        builder().methods([]),
        process.store.in_transactions(builder()).keep_requests(),
        process.store.in_transactions(builder()).steps(process.store.steps()),
    ] {
        let error = senseless.build().unwrap_err();
        assert!(matches!(error, annals::Error::Invalid { .. }), "{error}");
    }
    assert!(builder().build().is_ok());
}
