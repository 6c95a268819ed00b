//! What the layer costs: how often it asks the database about answers.

use std::sync::Arc;

use annals::{ResponseStore, http::Verdict};
use axum::{Extension, response::IntoResponse as _};
use http::StatusCode;

use super::{
    app::{App, Ask, created, layer},
    faults::Faults,
    place::{Kind, Place, Process, on_every_database},
};

on_every_database! {
    a_first_request_asks_the_database_once_before_its_handler_and_once_after
    a_replay_asks_the_database_once
    a_failure_that_frees_its_key_asks_the_database_once_before_and_once_after
}

/// The database of a place, which counts what it is asked.
async fn counted(place: &Place) -> (Process, Arc<Faults>) {
    let mut process = place.process().await;
    let counted = Faults::new(Arc::clone(&process.responses));
    process.responses = Arc::clone(&counted) as Arc<dyn ResponseStore>;
    (process, counted)
}

async fn a_first_request_asks_the_database_once_before_its_handler_and_once_after(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, counted) = counted(&place).await;
    let in_handler = Arc::clone(&counted);
    let app = App::new(layer(&process), move |call| {
        assert_eq!((in_handler.asked("claim"), in_handler.calls()), (call.number, 2 * call.number - 1));
        async move { created(&call) }
    });
    for requests in 1..=3 {
        let got = app.send(Ask::charge(&format!("key-{requests}"))).await;
        assert_eq!((got.status, got.is_replayed()), (201, false));
        let asked = (counted.asked("claim"), counted.asked("complete"), counted.calls());
        assert_eq!(asked, (requests, requests, 2 * requests), "claim and complete, and nothing else");
    }
}

async fn a_replay_asks_the_database_once(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, counted) = counted(&place).await;
    let app = || App::new(layer(&process), |call| async move { created(&call) });
    app().send(Ask::charge("key")).await;
    let before = counted.calls();
    for replays in 1..=3 {
        // Each by a layer of its own, as in another process: requests that meet in one layer share what one has found.
        assert!(app().send(Ask::charge("key")).await.is_replayed());
        assert_eq!((counted.asked("claim"), counted.calls()), (1 + replays, before + replays));
    }
}

async fn a_failure_that_frees_its_key_asks_the_database_once_before_and_once_after(kind: Kind) {
    let place = Place::new(kind).await;
    let (process, counted) = counted(&place).await;
    let app = App::new(layer(&process), |_| async {
        (StatusCode::SERVICE_UNAVAILABLE, Extension(Verdict::Retryable)).into_response()
    });
    assert_eq!(app.send(Ask::charge("key")).await.status, 503);
    assert_eq!((counted.asked("claim"), counted.asked("let go"), counted.calls()), (1, 1, 2));
}

#[cfg(feature = "redis")]
mod behind_redis {
    use annals::{ResponseStore, redis::RedisOptions};

    use super::{App, Arc, Ask, Kind, Place, counted, created, layer, on_every_database};

    on_every_database! {
        a_replay_from_redis_asks_the_database_nothing
    }

    async fn a_replay_from_redis_asks_the_database_nothing(kind: Kind) {
        let place = Place::new(kind).await;
        let (mut process, counted) = counted(&place).await;
        let options = RedisOptions::new().prefix(format!("cost-{}", uuid::Uuid::now_v7()));
        // However busy the machine is: Redis is waited for.
        let options = options.budget(std::time::Duration::from_secs(10));
        let redis = options.connect(&crate::redis_server::url(), Arc::clone(&process.responses)).await.unwrap();
        process.responses = Arc::new(redis.clone()) as Arc<dyn ResponseStore>;
        let app = || App::new(layer(&process), |call| async move { created(&call) });
        app().send(Ask::charge("key")).await;
        redis.drain().await;
        assert_eq!((counted.asked("claim"), counted.asked("complete"), counted.calls()), (1, 1, 2));
        // Also where there is no database any more.
        process.store.close().await;
        for _ in 0..3 {
            assert!(app().send(Ask::charge("key")).await.is_replayed());
        }
        assert_eq!(counted.calls(), 2, "no SQL");
    }
}
