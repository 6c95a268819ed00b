//! First runs, requests at the same time, and replays: group C.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use annals::http::{InFlight, Verdict};
use axum::{body::Body, response::IntoResponse as _};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;

use super::{
    app::{App, Ask, Gate, Got, created, layer, tally},
    place::{Kind, Place, on_every_place},
};

on_every_place! {
    http_c01_a_new_key_is_carried_out_once
    http_c02_a_retry_gets_the_same_bytes
    http_c03_a_stored_refusal_is_replayed
    http_c04_a_running_request_is_answered_409
    http_c05_those_who_wait_get_the_answer_when_it_is_there
    http_c06_nobody_waits_longer_than_they_were_told_to
    http_c07_one_of_those_who_wait_takes_over
    http_c08_of_a_hundred_first_requests_one_is_carried_out
    http_c10_in_a_transaction_a_second_request_is_in_flight
    http_c11_when_a_transaction_is_rolled_back_another_begins
    http_c10_a_transaction_holds_up_no_replay_and_ends_with_its_longest_run
    http_c12_a_busy_database_is_never_a_reused_key
    http_c13_one_store_claims_and_answers
}

async fn http_c01_a_new_key_is_carried_out_once(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    let first = app.send(Ask::charge("k-1")).await;
    assert_eq!((first.status, first.text(), first.is_replayed()), (201, "charge 1", false));
    assert_eq!(first.header("idempotent-replayed"), None);
    let second = app.send(Ask::charge("k-1")).await;
    assert_eq!((second.status, second.text(), second.is_replayed()), (201, "charge 1", true));
    assert_eq!(app.calls(), 1);
}

async fn http_c02_a_retry_gets_the_same_bytes(kind: Kind) {
    let place = Place::new(kind).await;
    let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let sent = body.clone();
    let app = App::new(layer(&place.process().await), move |_| {
        let body = sent.clone();
        async move { (StatusCode::CREATED, [("content-type", "application/x-bytes")], body) }
    });
    app.send(Ask::charge("k-2")).await;
    // Through this process, and through one that has never seen the key.
    let other = App::new(layer(&place.process().await), |_| async { StatusCode::IM_A_TEAPOT });
    for app in [&app, &other] {
        let again = app.send(Ask::charge("k-2")).await;
        assert_eq!((again.status, again.header("content-type")), (201, Some("application/x-bytes")));
        assert!(again.body == body && again.is_replayed());
    }
    assert_eq!((app.calls(), other.calls()), (1, 0));
}

async fn http_c03_a_stored_refusal_is_replayed(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move {
        (StatusCode::PAYMENT_REQUIRED, format!("declined {}", call.number))
    });
    for is_replayed in [false, true, true] {
        let got = app.send(Ask::charge("k-3")).await;
        assert_eq!((got.status, got.text(), got.is_replayed()), (402, "declined 1", is_replayed));
    }
}

/// An application whose handler waits at a gate.
async fn gated(place: &Place, in_flight: InFlight) -> (App, Gate) {
    let gate = Gate::shut();
    let at = gate.clone();
    let app = App::new(layer(&place.process().await).in_flight(in_flight), move |call| {
        let gate = at.clone();
        async move {
            gate.pass().await;
            created(&call)
        }
    });
    (app, gate)
}

async fn http_c04_a_running_request_is_answered_409(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate) = gated(&place, InFlight::Reject).await;
    let first = app.spawn(Ask::charge("k-4"));
    gate.come(1).await;
    let other = App::new(layer(&place.process().await), |_| async { StatusCode::IM_A_TEAPOT });
    for app in [&app, &other] {
        let second = app.send(Ask::charge("k-4")).await;
        assert_eq!((second.status, second.header("content-type")), (409, Some("application/problem+json")));
        assert!(second.retry_after().unwrap() >= 1);
        assert_eq!(second.header("stripe-should-retry"), Some("true"));
        assert_eq!(second.header("x-should-retry"), Some("true"));
        assert_eq!(second.json()["status"], 409);
    }
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 201);
    assert!(app.send(Ask::charge("k-4")).await.is_replayed());
}

async fn http_c05_those_who_wait_get_the_answer_when_it_is_there(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate) = gated(&place, InFlight::Wait(Duration::from_secs(30))).await;
    let (other, _) = gated(&place, InFlight::Wait(Duration::from_secs(30))).await;
    let first = app.spawn(Ask::charge("k-5"));
    gate.come(1).await;
    // Half of them in the process that is at work, half in another.
    let waiting: Vec<_> = (0..50).map(|number| [&app, &other][number % 2].spawn(Ask::charge("k-5"))).collect();
    // They hold no connection: others get through.
    let free = App::new(layer(&place.process().await), |_| async { "free" });
    for number in 0..20 {
        assert_eq!(free.send(Ask::charge(&format!("free-{number}"))).await.text(), "free");
    }
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 201);
    for waiter in waiting {
        let got = waiter.await.unwrap();
        assert_eq!((got.status, got.text(), got.is_replayed()), (201, "charge 1", true));
    }
    assert_eq!(app.calls() + other.calls(), 1);
}

async fn http_c06_nobody_waits_longer_than_they_were_told_to(kind: Kind) {
    let place = Place::new(kind).await;
    let (app, gate) = gated(&place, InFlight::Wait(Duration::from_millis(300))).await;
    let first = app.spawn(Ask::charge("k-6"));
    gate.come(1).await;
    let began = Instant::now();
    let second = app.send(Ask::charge("k-6")).await;
    assert_eq!(second.status, 409);
    assert!(second.retry_after().unwrap() >= 1);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(300) && waited < Duration::from_secs(10), "{waited:?}");
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 201);
}

async fn http_c07_one_of_those_who_wait_takes_over(kind: Kind) {
    let place = Place::new(kind).await;
    let gate = Gate::shut();
    let at = gate.clone();
    let app = App::new(layer(&place.process().await).in_flight(InFlight::Wait(Duration::from_secs(30))), move |call| {
        let gate = at.clone();
        async move {
            gate.pass().await;
            match call.number {
                1 => {
                    let mut busy = StatusCode::SERVICE_UNAVAILABLE.into_response();
                    busy.extensions_mut().insert(Verdict::Retryable);
                    busy
                }
                _ => created(&call).into_response(),
            }
        }
    });
    let first = app.spawn(Ask::charge("k-7"));
    gate.come(1).await;
    let waiting: Vec<_> = (0..10).map(|_| app.spawn(Ask::charge("k-7"))).collect();
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 503);
    // Exactly one comes to the gate; the others go on waiting.
    gate.come(1).await;
    assert_eq!(app.calls(), 2);
    gate.let_through(1);
    let mut answers = Vec::new();
    for waiter in waiting {
        answers.push(waiter.await.unwrap());
    }
    assert!(answers.iter().all(|got| got.text() == "charge 2"), "{answers:?}");
    assert_eq!(tally(&answers), [((201, false), 1), ((201, true), 9)].into());
    assert_eq!(app.calls(), 2);
}

async fn http_c08_of_a_hundred_first_requests_one_is_carried_out(kind: Kind) {
    let place = Place::new(kind).await;
    let handler = |call| async move { created(&call) };
    let processes = [
        App::new(layer(&place.process().await), handler),
        App::new(layer(&place.process().await), handler),
        App::new(layer(&place.process().await).in_flight(InFlight::Wait(Duration::from_secs(20))), handler),
    ];
    for round in 0..5 {
        let before: usize = processes.iter().map(App::calls).sum();
        let key = format!("k-8-{round}");
        let asked: Vec<_> = (0..100).map(|number| processes[number % 3].spawn(Ask::charge(&key))).collect();
        let mut answers: Vec<Got> = Vec::new();
        for asked in asked {
            answers.push(asked.await.unwrap());
        }
        let tally = tally(&answers);
        assert_eq!(tally.get(&(201, false)), Some(&1), "{tally:?}");
        assert!(tally.keys().all(|kind| matches!(kind, (201, _) | (409, false))), "{tally:?}");
        assert_eq!(processes.iter().map(App::calls).sum::<usize>() - before, 1);
    }
}

/// Two processes that carry requests out in transactions; the handlers of both wait at one gate.
async fn transactional(place: &Place) -> ([App; 2], Gate) {
    let gate = Gate::shut();
    let mut apps = Vec::new();
    for _ in 0..2 {
        let (process, at) = (place.process().await, gate.clone());
        let layer = process.store.in_transactions(layer(&process));
        apps.push(App::new(layer, move |call| {
            let gate = at.clone();
            async move {
                gate.pass().await;
                match call.body.as_ref() {
                    b"fail" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                    _ => created(&call).into_response(),
                }
            }
        }));
    }
    (apps.try_into().unwrap_or_else(|_| unreachable!()), gate)
}

async fn http_c10_in_a_transaction_a_second_request_is_in_flight(kind: Kind) {
    let place = Place::new(kind).await;
    let ([app, other], gate) = transactional(&place).await;
    let first = app.spawn(Ask::charge("k-10"));
    gate.come(1).await;
    // Here it is known. Elsewhere the row is waited for, and not had; on SQLite it is the one writer that is busy, with whatever.
    let elsewhere = if kind.is_postgres() { 409 } else { 503 };
    let began = Instant::now();
    let waiting: Vec<_> = (0..4).map(|_| other.spawn(Ask::charge("k-10"))).collect();
    assert_eq!(app.send(Ask::charge("k-10")).await.status, 409);
    for second in waiting {
        let second = second.await.unwrap();
        assert!(matches!(second.status, 409) || second.status == elsewhere, "{second:?}");
        assert!(second.retry_after().unwrap() >= 1);
    }
    assert!(began.elapsed() < Duration::from_secs(15), "they do not wait one after the other: {:?}", began.elapsed());
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 201);
    assert!(other.send(Ask::charge("k-10")).await.is_replayed());
    assert_eq!((app.calls(), other.calls()), (1, 0));
}

async fn http_c10_a_transaction_holds_up_no_replay_and_ends_with_its_longest_run(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let builder = process.store.in_transactions(layer(&process)).longest_run(Duration::from_millis(500));
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keeping = Arc::clone(&kept);
    let app = App::new(builder, move |call| {
        // Whoever keeps what it was lent does not keep the transaction.
        keeping.lock().unwrap().push(call.request.clone());
        async move {
            match call.body.as_ref() {
                b"stall" => {
                    let never = stream::pending::<Result<Bytes, io::Error>>();
                    Body::new(Sized(Body::from_stream(never))).into_response()
                }
                b"hang" => std::future::pending().await,
                b"headers" => ([("x-long", "x".repeat(300 << 10))], "done").into_response(),
                _ => created(&call).into_response(),
            }
        }
    });
    app.send(Ask::charge("finished")).await;
    let hanging = app.spawn(Ask::charge("hanging").body("hang"));
    // Though the writer is taken, what has its answer is answered.
    assert!(app.send(Ask::charge("finished")).await.is_replayed());
    assert_eq!(hanging.await.unwrap().status, 500);
    assert_eq!(app.send(Ask::charge("stalling").body("stall")).await.status, 500);
    // And everybody else goes on, also where an answer cannot be stored.
    assert_eq!(app.send(Ask::charge("after")).await.status, 201);
    assert_eq!(app.send(Ask::charge("headers").body("headers")).await.status, 200);
    assert_eq!(app.send(Ask::charge("headers").body("headers")).await.status, 410);
}

/// A body that says how long it is, and never comes.
struct Sized(Body);

impl http_body::Body for Sized {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(context)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(10)
    }
}

async fn http_c11_when_a_transaction_is_rolled_back_another_begins(kind: Kind) {
    let place = Place::new(kind).await;
    let ([app, other], gate) = transactional(&place).await;
    let ask = |body: &'static str| Ask::charge("k-11").body(body);
    let first = app.spawn(ask("fail"));
    gate.come(1).await;
    let second = other.spawn(ask("fail"));
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 500);
    // It has waited for the first one's end, and begins at once: of the first nothing is there.
    gate.come(1).await;
    gate.let_through(1);
    assert_eq!((second.await.unwrap().status, other.calls()), (500, 1));
    gate.let_through(1);
    let third = other.send(ask("another body")).await;
    assert_eq!((third.status, third.is_replayed()), (201, false), "the key is free, also for another request");
}

async fn http_c12_a_busy_database_is_never_a_reused_key(kind: Kind) {
    let place = Place::new(kind).await;
    let app = App::new(layer(&place.process().await), |call| async move { created(&call) });
    app.send(Ask::charge("before")).await;
    // Somebody has the database, or the row, for longer than anybody waits.
    let holder = super::holder::hold_responses(&place.url()).await;
    let refused = app.send(Ask::charge("k-12")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.retry_after().unwrap() >= 1);
    assert_eq!(app.calls(), 1);
    holder.let_go().await;
    let carried_out = app.send(Ask::charge("k-12")).await;
    assert_eq!((carried_out.status, carried_out.is_replayed()), (201, false));
}

/// There is no second store to look things up in: what claims is what answers.
async fn http_c13_one_store_claims_and_answers(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let app = App::new(layer(&process), |call| async move { created(&call) });
    for round in 0..20 {
        let key = format!("k-13-{round}");
        assert_eq!(app.send(Ask::charge(&key)).await.status, 201);
        // At once, with nothing between the commit and the look.
        assert!(app.send(Ask::charge(&key)).await.is_replayed());
    }
}
