//! What the layer tells of itself: the metrics of case N1, and that no key or body is among them.

use std::{sync::Arc, time::Duration};

use annals::{
    ManualClock, ResponseStore, SqliteStore,
    http::{IdempotencyLayer, InFlight},
    process::Sweeper,
};
use axum::response::IntoResponse as _;
use chrono::DateTime;
use http::StatusCode;

use super::app::{App, Ask, Gate, created, tenant};
use crate::telemetry::{alone, listen};

/// Redis is told of, and nobody is there.
#[cfg(feature = "redis")]
async fn behind_nothing(store: &SqliteStore) -> Arc<dyn ResponseStore> {
    Arc::new(annals::redis::RedisResponses::connect("redis://127.0.0.1:1", store.clone()).await.unwrap())
}

#[cfg(not(feature = "redis"))]
async fn behind_nothing(store: &SqliteStore) -> Arc<dyn ResponseStore> {
    Arc::new(store.clone())
}

/// Everything that can become of a request, once.
async fn each_outcome(clock: &Arc<ManualClock>) {
    let store = SqliteStore::options().shared_clock(Arc::<ManualClock>::clone(clock)).open_in_memory().await.unwrap();
    let gate = Gate::shut();
    let at = gate.clone();
    let layer = IdempotencyLayer::builder(behind_nothing(&store).await, tenant);
    let app = App::new(layer.in_flight(InFlight::Wait(Duration::from_millis(1))), move |call| {
        let gate = at.clone();
        async move {
            gate.pass().await;
            match call.number {
                3 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                _ => created(&call).into_response(),
            }
        }
    });
    // Executed; in flight; replayed; mismatch.
    let first = app.spawn(Ask::charge("secret-key-1"));
    gate.come(1).await;
    assert_eq!(app.send(Ask::charge("secret-key-1")).await.status, 409);
    gate.let_through(1);
    assert_eq!(first.await.unwrap().status, 201);
    assert!(app.send(Ask::charge("secret-key-1")).await.is_replayed());
    assert_eq!(app.send(Ask::charge("secret-key-1").json("{\"secret\":1}")).await.status, 422);
    // Fenced: an operator takes the right away.
    let zombie = app.spawn(Ask::charge("secret-key-2"));
    gate.come(1).await;
    let key = annals::ScopedKey::new(
        annals::Scope::new("tenant").unwrap(),
        annals::IdempotencyKey::new("secret-key-2").unwrap(),
    );
    let released = annals::store::ResponseAction::Release;
    assert!(store.operate_response(&key, released, "an operator").await.unwrap());
    gate.let_through(1);
    assert_eq!(zombie.await.unwrap().status, 409);
    // Taken over, once its lease has lapsed.
    gate.let_through(2);
    assert_eq!(app.send(Ask::charge("secret-key-3")).await.status, 500);
    clock.advance(Duration::from_secs(60));
    assert_eq!(app.send(Ask::charge("secret-key-3")).await.status, 201);
    // Cleaned.
    clock.advance(Duration::from_secs(3 * 24 * 3600));
    Sweeper::new(&store).sweep().await.unwrap();
    // Refused, as nobody is known; and the store is gone.
    assert_eq!(app.send(Ask::charge("secret-key-4").without("x-tenant")).await.status, 401);
    store.close().await;
    assert_eq!(app.send(Ask::charge("secret-key-5")).await.status, 503);
}

#[test]
fn http_n01_every_outcome_is_counted_and_the_times_are_measured() {
    alone("http::telemetry::http_n01_every_outcome_is_counted_and_the_times_are_measured", || {
        let clock = Arc::new(ManualClock::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()));
        let told = listen(|| each_outcome(&clock));
        for (outcome, count) in [
            ("executed", 3),
            ("replayed", 1),
            ("in_flight", 1),
            ("mismatch", 1),
            ("takeover", 1),
            ("fenced", 1),
            ("refused", 2),
            ("unavailable", 1),
        ] {
            let metric = format!("annals_idempotency_requests_total{{outcome={outcome}}}");
            assert_eq!(told.metrics.get(&metric), Some(&count), "{metric} of {:?}", told.metrics);
        }
        assert_eq!(told.metrics["annals_swept_rows_total{kind=responses}"], 3);
        assert!(told.metrics["annals_idempotency_claim_duration_seconds{}"] >= 6);
        assert!(told.metrics["annals_idempotency_wait_duration_seconds{}"] >= 5);
        #[cfg(feature = "redis")]
        assert!(told.metrics["annals_response_cache_total{outcome=fallback}"] >= 1, "{:?}", told.metrics);
        assert_eq!(told.lines("taken over").len(), 1);
    });
}

#[test]
fn http_g08_neither_keys_nor_scopes_nor_bodies_are_told() {
    alone("http::telemetry::http_g08_neither_keys_nor_scopes_nor_bodies_are_told", || {
        let clock = Arc::new(ManualClock::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()));
        let told = listen(|| each_outcome(&clock)).everything();
        for secret in ["secret", "tenant", "amount", "charge 1"] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
        // Labels are of a fixed few.
        assert!(told.len() < 200_000, "{} bytes", told.len());
    });
}
