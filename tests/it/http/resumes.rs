//! Handlers that call other services, and requests whose clients do not come back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use annals::{
    IdempotencyKey,
    http::{IdempotencyLayerBuilder, IdempotentRequest, InFlight, Verdict},
    process::{Completer, Resume, StepError, StepFailure, Undo},
    store::ResponseAction,
};
use axum::{Router, body::Body, response::IntoResponse as _, routing::post};
use http::{Response, StatusCode};

use super::{
    app::{App, Ask, Call, Got, layer, tenant},
    place::{Kind, Place, Process, on_every_place},
};

on_every_place! {
    http_d02_the_next_attempt_goes_on_at_the_last_recovery_point
    http_d12_the_service_called_sees_one_key
    http_e05_a_key_with_recorded_steps_is_not_given_to_another_request
    http_e05_a_key_with_recorded_steps_stays_its_requests_whatever_comes_before_the_handler
    http_n04_a_request_that_is_revived_goes_on_with_its_compensation
    http_d02_an_abandoned_request_is_finished_without_its_client
}

/// A service that keeps its books by the key it is called with.
#[derive(Debug, Clone, Default)]
struct Bank(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    /// How often each key was seen, by what it was for.
    calls: BTreeMap<(&'static str, String), usize>,
    /// What the next calls come to.
    mishaps: Vec<&'static str>,
}

impl Bank {
    fn call(&self, what: &'static str, key: &IdempotencyKey) -> Result<String, StepFailure> {
        let mut books = self.0.lock().unwrap();
        *books.calls.entry((what, key.as_str().to_owned())).or_default() += 1;
        match books.mishaps.pop() {
            Some("unknown") => Err(StepFailure::unknown("the bank did not answer")),
            Some("busy") => Err(StepFailure::retryable("the bank is closed")),
            Some("no") => Err(StepFailure::refused("declined")),
            _ => Ok(format!("{what} done")),
        }
    }

    /// How many different effects there were, and how many calls.
    fn effects(&self, what: &'static str) -> (usize, usize) {
        let books = self.0.lock().unwrap();
        let of = books.calls.iter().filter(|((which, _), _)| *which == what);
        (of.clone().count(), of.map(|(_, calls)| calls).sum())
    }
}

/// Reserves, charges, and undoes the reservation where the charge is declined.
async fn order(bank: Bank, request: IdempotentRequest) -> Response<Body> {
    let answer = async {
        let steps = request.steps().unwrap();
        let undoing = bank.clone();
        steps
            .step("reserve")
            .undo(move |undo: Undo<String>| {
                let bank = undoing.clone();
                async move {
                    bank.call("cancel", &undo.key)?;
                    Ok(())
                }
            })
            .run(|key| {
                let bank = bank.clone();
                async move { bank.call("reserve", &key) }
            })
            .await?;
        let charged: Result<String, StepError> = steps
            .step("charge")
            .run(|key| {
                let bank = bank.clone();
                async move { bank.call("charge", &key) }
            })
            .await;
        match charged {
            Ok(charged) => Ok((StatusCode::CREATED, charged).into_response()),
            Err(error) if error.is_final() => {
                steps.compensate().await?;
                Ok((StatusCode::PAYMENT_REQUIRED, "declined").into_response())
            }
            Err(error) => Err(error),
        }
    };
    answer.await.unwrap_or_else(|error: StepError| {
        let mut response = StatusCode::BAD_GATEWAY.into_response();
        response.extensions_mut().insert(Verdict::from(&error));
        response
    })
}

fn ordering(process: &Process, bank: &Bank, settings: fn(IdempotencyLayerBuilder) -> IdempotencyLayerBuilder) -> App {
    let bank = bank.clone();
    App::new(settings(layer(process)).steps(process.store.steps()), move |call: Call| {
        order(bank.clone(), call.request.unwrap())
    })
}

/// A lease that a test can wait for, and that an attempt keeps to on a machine with much else to do.
fn short(layer: IdempotencyLayerBuilder) -> IdempotencyLayerBuilder {
    layer.lease(Duration::from_millis(500)).in_flight(InFlight::Wait(Duration::from_secs(30)))
}

async fn http_d02_the_next_attempt_goes_on_at_the_last_recovery_point(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, bank) = (place.process().await, Bank::default());
    // The reservation is made; then the charge gets no answer.
    bank.0.lock().unwrap().mishaps = vec!["unknown", ""];
    let app = ordering(&process, &bank, short);
    let first = app.send(Ask::charge("d-2")).await;
    assert_eq!(first.status, 502);
    assert_eq!((bank.effects("reserve"), bank.effects("charge")), ((1, 1), (1, 1)));
    // Another process goes on: what is recorded is not called again.
    let other = ordering(&place.process().await, &bank, short);
    let second = other.send(Ask::charge("d-2")).await;
    assert_eq!((second.status, second.text(), second.is_replayed()), (201, "charge done", false));
    assert_eq!((bank.effects("reserve"), bank.effects("charge")), ((1, 1), (1, 2)), "with the same key");
    assert!(app.send(Ask::charge("d-2")).await.is_replayed());
}

async fn http_d12_the_service_called_sees_one_key(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, bank) = (place.process().await, Bank::default());
    bank.0.lock().unwrap().mishaps = vec!["no", "unknown", "unknown", "unknown", ""];
    let app = ordering(&process, &bank, short);
    for status in [502, 502, 502, 402] {
        assert_eq!(app.send(Ask::charge("d-12")).await.status, status);
    }
    // Declined in the end: what was reserved is given back, once.
    assert_eq!((bank.effects("reserve"), bank.effects("charge"), bank.effects("cancel")), ((1, 1), (1, 4), (1, 1)));
    let again = app.send(Ask::charge("d-12")).await;
    assert_eq!((again.status, again.is_replayed()), (402, true));
    assert_eq!(bank.effects("cancel"), (1, 1));
}

async fn http_e05_a_key_with_recorded_steps_is_not_given_to_another_request(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, bank) = (place.process().await, Bank::default());
    bank.0.lock().unwrap().mishaps = vec!["busy", ""];
    let app = ordering(&process, &bank, |layer| layer);
    assert_eq!(app.send(Ask::charge("e-5")).await.status, 502);
    // Something is reserved under it: the key stays this request's, but nobody has to wait for the lease.
    assert_eq!(app.send(Ask::charge("e-5").json("{}")).await.status, 422);
    let second = app.send(Ask::charge("e-5")).await;
    assert_eq!((second.status, bank.effects("reserve"), bank.effects("charge")), (201, (1, 1), (1, 2)));
}

async fn http_e05_a_key_with_recorded_steps_stays_its_requests_whatever_comes_before_the_handler(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, bank) = (place.process().await, Bank::default());
    bank.0.lock().unwrap().mishaps = vec!["busy", ""];
    let at = bank.clone();
    let app = App::new(layer(&process).steps(process.store.steps()), move |call: Call| {
        let bank = at.clone();
        async move {
            // A limiter, before the second attempt has come to a step.
            match call.number {
                2 => StatusCode::TOO_MANY_REQUESTS.into_response(),
                _ => order(bank, call.request.unwrap()).await,
            }
        }
    });
    assert_eq!(app.send(Ask::charge("e-5")).await.status, 502);
    assert_eq!(app.send(Ask::charge("e-5")).await.status, 429);
    assert_eq!(app.send(Ask::charge("e-5").json("{}")).await.status, 422, "something is reserved under it");
    assert_eq!(app.send(Ask::charge("e-5")).await.status, 201);
    assert_eq!((bank.effects("reserve"), bank.effects("charge")), ((1, 1), (1, 2)));
}

async fn http_n04_a_request_that_is_revived_goes_on_with_its_compensation(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, bank) = (place.process().await, Bank::default());
    // Declined; and what is to be undone cannot be, for as long as there are attempts.
    let mut mishaps = vec!["unknown"; 100];
    mishaps.extend(["no", ""]);
    bank.0.lock().unwrap().mishaps = mishaps;
    let app = ordering(&process, &bank, |layer| short(layer).attempts(2));
    for _ in 0..2 {
        assert_eq!(app.send(Ask::charge("n-4")).await.status, 502);
    }
    let dead = app.send(Ask::charge("n-4")).await;
    assert_eq!((dead.status, bank.effects("charge")), (500, (1, 1)));
    let key = annals::ScopedKey::new(annals::Scope::new("tenant").unwrap(), IdempotencyKey::new("n-4").unwrap());
    assert!(process.responses.operate_response(&key, ResponseAction::Revive, "day shift").await.unwrap());
    bank.0.lock().unwrap().mishaps.clear();
    // The first attempt that counts is not the first: nothing is reserved or charged anew, only undone.
    assert_eq!(app.send(Ask::charge("n-4")).await.status, 402);
    assert_eq!((bank.effects("reserve"), bank.effects("charge"), bank.effects("cancel").0), ((1, 1), (1, 1), 1));
}

async fn http_d02_an_abandoned_request_is_finished_without_its_client(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, bank) = (place.process().await, Bank::default());
    super::doomed::die_while_processing(&place, Ask::charge("d-2"), |layer| short(layer).keep_requests()).await;
    let builder = short(layer(&process)).steps(process.store.steps()).keep_requests();
    let at = bank.clone();
    let handlers: Router = Router::new().route(
        "/v1/charges",
        post(move |request: IdempotentRequest, body: String| {
            let bank = at.clone();
            async move {
                assert_eq!((request.key().scope.principal(), body.as_str()), ("tenant", "{\"amount\":100}"));
                order(bank, request).await
            }
        }),
    );
    let idempotency = builder.build().unwrap();
    let resumer: Arc<dyn Resume> = Arc::new(idempotency.resumer(handlers.clone(), |scope, parts| {
        parts.headers.insert("x-tenant", scope.principal().parse().unwrap());
        assert_eq!(tenant(parts).as_ref(), Some(scope));
    }));
    let completers = [(); 2]
        .map(|()| Completer::new(Arc::clone(&process.responses), Arc::clone(&resumer)).lapsed_for(Duration::ZERO));
    // Two at once: it is finished once.
    let began = Instant::now();
    while bank.effects("charge").0 == 0 {
        let (one, other) = tokio::join!(completers[0].finish(), completers[1].finish());
        one.unwrap();
        other.unwrap();
        assert!(began.elapsed() < Duration::from_secs(30), "nobody has finished it");
    }
    assert_eq!((bank.effects("reserve"), bank.effects("charge")), ((1, 1), (1, 1)));
    let app = App::new(layer(&place.process().await), |_| async { StatusCode::IM_A_TEAPOT });
    let late: Got = app.send(Ask::charge("d-2")).await;
    assert_eq!(
        (late.status, late.text(), late.is_replayed()),
        (201, "charge done", true),
        "the client comes back after all"
    );
}
