//! Deaths, leases and fences: group D.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use annals::{
    IdempotencyKey, ResponseStore, Scope, ScopedKey,
    http::{IdempotencyLayer, IdempotencyLayerBuilder, InFlight, Verdict},
    store::{ResponseAction, ResponseQuery, ResponseState},
};
use axum::response::IntoResponse as _;
use http::StatusCode;

use super::{
    app::{App, Ask, Gate, Got, created, layer, tenant},
    doomed::{die_while_processing, die_with},
    faults::{Fault, Faults},
    place::{Kind, Place, on_every_place},
};

on_every_place! {
    http_d01_a_dead_process_leaves_its_lease
    http_d02_after_the_lease_a_retry_takes_over
    http_d03_who_was_taken_over_from_does_not_answer
    http_d04_who_was_taken_over_from_frees_nothing
    http_d06_a_long_handler_keeps_its_lease
    http_d06_a_lease_is_not_renewed_for_ever
    http_d07_who_cannot_renew_stops_before_the_lease_ends
    http_d09_a_death_before_the_commit_leaves_nothing
    http_d10_a_death_after_the_commit_is_a_replay
    http_d11_a_lost_reply_to_the_completion_is_found_out
    http_d12_a_database_that_is_down_at_the_completion_is_waited_for
    http_d12_an_answer_is_stored_later_also_after_the_longest_run
    http_d13_a_panic_is_caught_and_the_key_not_stuck
    http_d14_a_client_that_hangs_up_stops_nothing
    http_d15_a_shutdown_waits_for_what_is_under_way
    http_d16_another_request_never_takes_over
    http_d18_a_request_that_kills_its_processes_is_given_up
}

fn key(key: &str) -> ScopedKey {
    ScopedKey::new(Scope::new("tenant").unwrap(), IdempotencyKey::new(key).unwrap())
}

fn short(layer: IdempotencyLayerBuilder) -> IdempotencyLayerBuilder {
    layer.lease(Duration::from_millis(400))
}

/// Sends a request again and again until it is not in flight any more; others' leases end by the clock alone.
async fn after_the_lease(app: &App, ask: &Ask) -> Got {
    let began = Instant::now();
    loop {
        let got = app.send(ask.clone()).await;
        if got.status != 409 {
            return got;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the key is stuck");
        tokio::task::yield_now().await;
    }
}

async fn http_d01_a_dead_process_leaves_its_lease(kind: Kind) {
    let place = Place::new(kind).await;
    die_while_processing(&place, Ask::charge("d-1"), |layer| layer).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    let got = app.send(Ask::charge("d-1")).await;
    assert_eq!((got.status, app.calls()), (409, 0));
    let seconds = got.retry_after().unwrap();
    assert!((1..=60).contains(&seconds), "what is left of 60 s, rounded up: {seconds}");
}

async fn http_d02_after_the_lease_a_retry_takes_over(kind: Kind) {
    let place = Place::new(kind).await;
    die_while_processing(&place, Ask::charge("d-2"), short).await;
    let process = place.process().await;
    let app = App::new(short(layer(&process)), |call| async move { call.request.unwrap().attempt().to_string() });
    let before = fence_of(&process.responses, "d-2").await;
    let got = after_the_lease(&app, &Ask::charge("d-2")).await;
    assert_eq!((got.text(), got.is_replayed(), app.calls()), ("2", false, 1), "the second attempt");
    assert!(fence_of(&process.responses, "d-2").await > before);
    assert!(app.send(Ask::charge("d-2")).await.is_replayed());
}

async fn fence_of(store: &Arc<dyn ResponseStore>, key: &str) -> u64 {
    let rows = store.list_responses(&ResponseQuery { limit: 100, ..ResponseQuery::default() }).await.unwrap();
    rows.iter().find(|row| row.key.key.as_str() == key).unwrap().fence
}

/// A request that has lost its right while its handler was at the gate, and another that has answered instead.
async fn taken_over(place: &Place, verdict: Option<Verdict>) -> (Got, App) {
    let gate = Gate::shut();
    let at = gate.clone();
    let process = place.process().await;
    let app = App::new(layer(&process), move |call| {
        let gate = at.clone();
        async move {
            if call.number == 1 {
                gate.pass().await;
            }
            let mut response = format!("from attempt {}", call.request.unwrap().attempt()).into_response();
            if call.number == 1 {
                verdict.map(|verdict| response.extensions_mut().insert(verdict));
            }
            response
        }
    });
    let zombie = app.spawn(Ask::charge("d-3"));
    gate.come(1).await;
    // An operator's hand is the fastest way to lose a lease.
    assert!(process.responses.operate_response(&key("d-3"), ResponseAction::Release, "night shift").await.unwrap());
    let successor = App::new(layer(&place.process().await), |call| async move {
        format!("from attempt {}", call.request.unwrap().attempt())
    });
    assert_eq!(successor.send(Ask::charge("d-3")).await.text(), "from attempt 2");
    gate.let_through(1);
    (zombie.await.unwrap(), app)
}

async fn http_d03_who_was_taken_over_from_does_not_answer(kind: Kind) {
    let place = Place::new(kind).await;
    let (zombie, app) = taken_over(&place, None).await;
    assert_eq!((zombie.text(), zombie.is_replayed()), ("from attempt 2", true), "the winner's answer");
    assert_eq!(app.send(Ask::charge("d-3")).await.text(), "from attempt 2");
}

async fn http_d04_who_was_taken_over_from_frees_nothing(kind: Kind) {
    for verdict in [Verdict::Retryable, Verdict::NotStored, Verdict::Unknown] {
        let place = Place::new(kind).await;
        let (_, app) = taken_over(&place, Some(verdict)).await;
        let again = app.send(Ask::charge("d-3")).await;
        assert_eq!((again.text(), again.is_replayed()), ("from attempt 2", true), "{verdict:?}");
    }
}

/// An application whose handler waits at a gate, over a store that can be made to fail.
async fn faulty(
    place: &Place,
    settings: fn(IdempotencyLayerBuilder) -> IdempotencyLayerBuilder,
) -> (App, Gate, Arc<Faults>) {
    let faults = Faults::new(place.process().await.responses);
    let builder = IdempotencyLayer::builder(Arc::clone(&faults) as Arc<dyn ResponseStore>, tenant);
    let gate = Gate::shut();
    let at = gate.clone();
    let app = App::new(settings(builder), move |call| {
        let gate = at.clone();
        async move {
            gate.pass().await;
            created(&call)
        }
    });
    (app, gate, faults)
}

async fn http_d06_a_long_handler_keeps_its_lease(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate, faults) = faulty(&place, short).await;
    let first = app.spawn(Ask::charge("d-6"));
    gate.come(1).await;
    // A renewal comes with each third of the lease: this is twice its length.
    faults.renewed(7).await;
    let other = App::new(short(layer(&place.process().await)), |_| async { StatusCode::IM_A_TEAPOT });
    assert_eq!(other.send(Ask::charge("d-6")).await.status, 409);
    gate.let_through(1);
    assert_eq!((first.await.unwrap().status, other.calls()), (201, 0));
}

async fn http_d06_a_lease_is_not_renewed_for_ever(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate, _) = faulty(&place, |layer| short(layer).longest_run(Duration::from_millis(600))).await;
    let first = app.spawn(Ask::charge("d-6"));
    gate.come(1).await;
    // Its handler never passes the gate: it is ended, and another may take over.
    let first = first.await.unwrap();
    assert_eq!(first.status, 409, "{first:?}");
    let other = App::new(short(layer(&place.process().await)), |call| async move { created(&call) });
    assert_eq!(after_the_lease(&other, &Ask::charge("d-6")).await.status, 201);
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn http_d07_who_cannot_renew_stops_before_the_lease_ends(kind: Kind) {
    let place = Place::new(kind).await;
    let faults = Faults::new(place.process().await.responses);
    faults.plan("renew", Fault::NotSent, 1_000);
    let builder = IdempotencyLayer::builder(Arc::clone(&faults) as Arc<dyn ResponseStore>, tenant);
    let (ended, gate) = (Arc::new(AtomicBool::new(false)), Gate::shut());
    let (at, seen) = (gate.clone(), Arc::clone(&ended));
    let app = App::new(short(builder), move |call| {
        let (gate, dropped) = (at.clone(), Dropped(Arc::clone(&seen)));
        async move {
            let _dropped = dropped;
            gate.pass().await;
            created(&call)
        }
    });
    let got = app.send(Ask::charge("d-7")).await;
    assert!(ended.load(Ordering::SeqCst), "the handler was ended before the answer");
    assert_eq!(got.status, 409, "{got:?}");
    assert!(faults.asked("renew") >= 2, "it was tried more than once");
    let other = App::new(short(layer(&place.process().await)), |call| async move { created(&call) });
    assert_eq!(after_the_lease(&other, &Ask::charge("d-7")).await.status, 201);
}

async fn http_d09_a_death_before_the_commit_leaves_nothing(kind: Kind) {
    let place = Place::new(kind).await;
    die_with(&place, Ask::charge("d-9"), |process| process.store.in_transactions(layer(process))).await;
    let process = place.process().await;
    let app = App::new(process.store.in_transactions(layer(&process)), |call| async move {
        call.request.unwrap().attempt().to_string()
    });
    // The server may not have noticed yet that the connection is gone.
    let got = after_the_lease(&app, &Ask::charge("d-9")).await;
    assert_eq!((got.text(), got.is_replayed()), ("1", false), "as if it had never been begun");
}

async fn http_d10_a_death_after_the_commit_is_a_replay(kind: Kind) {
    for in_transaction in [false, true] {
        let place = Place::new(kind).await;
        let process = place.process().await;
        let builder = layer(&process);
        let builder = if in_transaction { process.store.in_transactions(builder) } else { builder };
        let gate = Gate::shut();
        let at = gate.clone();
        let app = App::new(builder, move |call| {
            let gate = at.clone();
            async move {
                gate.pass().await;
                created(&call)
            }
        });
        let first = app.spawn(Ask::charge("d-10"));
        gate.come(1).await;
        // Nobody is there for the reply.
        first.abort();
        gate.let_through(1);
        assert!(app.layer.drain(Duration::from_secs(30)).await);
        process.store.close().await;
        let other = App::new(layer(&place.process().await), |_| async { StatusCode::IM_A_TEAPOT });
        let got = other.send(Ask::charge("d-10")).await;
        assert_eq!((got.status, got.text(), got.is_replayed()), (201, "charge 1", true));
    }
}

async fn http_d11_a_lost_reply_to_the_completion_is_found_out(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate, faults) = faulty(&place, |layer| layer).await;
    faults.plan("complete", Fault::ReplyLost, 2);
    gate.let_through(2);
    assert_eq!(app.send(Ask::charge("d-11")).await.status, 201, "what was done is answered");
    assert!(app.layer.drain(Duration::from_secs(30)).await);
    assert_eq!((faults.injected(), faults.asked("complete")), (2, 3), "it was asked until it was known");
    let got = app.send(Ask::charge("d-11")).await;
    assert_eq!((got.text(), got.is_replayed(), app.calls()), ("charge 1", true, 1));
}

async fn http_d12_a_database_that_is_down_at_the_completion_is_waited_for(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate, faults) = faulty(&place, |layer| layer).await;
    faults.plan("complete", Fault::NotSent, 4);
    gate.let_through(2);
    assert_eq!(app.send(Ask::charge("d-12")).await.status, 201, "what was done is answered");
    // Until it is stored nobody else gets at the key.
    let other = App::new(layer(&place.process().await), |_| async { StatusCode::IM_A_TEAPOT });
    for app in [&app, &other] {
        let got = app.send(Ask::charge("d-12")).await;
        assert!(got.status == 409 || got.is_replayed(), "{got:?}");
    }
    assert!(app.layer.drain(Duration::from_secs(30)).await);
    assert_eq!(faults.injected(), 4);
    for app in [&app, &other] {
        assert!(app.send(Ask::charge("d-12")).await.is_replayed());
    }
    assert_eq!((app.calls(), other.calls()), (1, 0));
}

async fn http_d12_an_answer_is_stored_later_also_after_the_longest_run(kind: Kind) {
    let place = Place::new(kind).await;
    let faults = Faults::new(place.process().await.responses);
    // Its last moment: the completion begins within the longest run and fails when that is over.
    faults.plan("complete", Fault::NotSent, 12);
    let builder = IdempotencyLayer::builder(Arc::clone(&faults) as Arc<dyn ResponseStore>, tenant);
    let app = App::new(short(builder).longest_run(Duration::from_millis(50)), |call| async move { created(&call) });
    assert_eq!(app.send(Ask::charge("d-12")).await.status, 201);
    assert!(app.layer.drain(Duration::from_secs(60)).await);
    assert_eq!(faults.injected(), 12);
    let again = app.send(Ask::charge("d-12")).await;
    assert_eq!((again.text(), again.is_replayed(), app.calls()), ("charge 1", true, 1));
}

async fn http_d13_a_panic_is_caught_and_the_key_not_stuck(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(short(layer(&place.process().await)), |call| async move {
        assert!(call.number > 1, "the first call panics");
        created(&call)
    });
    let got = app.send(Ask::charge("d-13")).await;
    assert_eq!(got.status, 500);
    assert!(got.retry_after().unwrap() >= 1, "it says when the lease is over");
    let again = after_the_lease(&app, &Ask::charge("d-13")).await;
    assert_eq!((again.status, again.text()), (201, "charge 2"));
}

async fn http_d14_a_client_that_hangs_up_stops_nothing(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate, _) = faulty(&place, |layer| layer.in_flight(InFlight::Wait(Duration::from_secs(30)))).await;
    let client = app.spawn(Ask::charge("d-14"));
    gate.come(1).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    let retry = app.spawn(Ask::charge("d-14"));
    gate.let_through(1);
    let got = retry.await.unwrap();
    assert_eq!((got.text(), got.is_replayed(), app.calls()), ("charge 1", true, 1));
}

async fn http_d15_a_shutdown_waits_for_what_is_under_way(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate, _) = faulty(&place, |layer| layer).await;
    let first = app.spawn(Ask::charge("d-15"));
    gate.come(1).await;
    assert_eq!(app.layer.under_way(), 1);
    assert!(!app.layer.drain(Duration::from_millis(50)).await, "it takes longer than it is waited for");
    gate.let_through(1);
    assert!(app.layer.drain(Duration::from_secs(30)).await);
    assert_eq!((first.await.unwrap().status, app.layer.under_way()), (201, 0));
}

async fn http_d16_another_request_never_takes_over(kind: Kind) {
    let place = Place::new(kind).await;
    die_while_processing(&place, Ask::charge("d-16"), |layer| layer.lease(Duration::from_millis(150))).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    for _ in 0..3 {
        let got = app.send(Ask::charge("d-16").json("{\"amount\":999}")).await;
        assert_eq!((got.status, app.calls()), (422, 0));
    }
    assert_eq!(after_the_lease(&app, &Ask::charge("d-16")).await.status, 201, "the same one does");
}

async fn http_d18_a_request_that_kills_its_processes_is_given_up(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    for _ in 0..5 {
        die_while_processing(&place, Ask::charge("d-18"), |layer| {
            layer.lease(Duration::from_millis(150)).in_flight(InFlight::Wait(Duration::from_secs(10)))
        })
        .await;
    }
    let app = App::new(layer(&process), |call| async move { created(&call) });
    for is_replayed in [false, true] {
        let got = after_the_lease(&app, &Ask::charge("d-18")).await;
        assert_eq!((got.status, got.is_replayed(), app.calls()), (500, is_replayed, 0), "{got:?}");
        assert_eq!(got.header("stripe-should-retry"), Some("false"));
    }
    let rows =
        process.responses.list_responses(&ResponseQuery { limit: 10, ..ResponseQuery::default() }).await.unwrap();
    assert_eq!((rows[0].state, rows[0].attempts), (ResponseState::Dead, 5));
    // Somebody has mended it.
    assert!(process.responses.operate_response(&key("d-18"), ResponseAction::Revive, "day shift").await.unwrap());
    assert_eq!(app.send(Ask::charge("d-18")).await.status, 201);
}
