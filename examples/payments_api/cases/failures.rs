//! Handlers that fail after the charge was made: it exists once, and its answer is found.

use std::time::Duration;

use axum::http::StatusCode;

use super::service::{Post, Service};

fn failing(how: &str) -> Post {
    Post::charge("one", format!("amount=2000&currency=eur&metadata[fail]={how}"))
}

#[tokio::test]
async fn after_a_failure_the_next_attempt_finds_the_charge() {
    for how in ["500", "panic"] {
        let service = Service::with(&["--lease", "30"]).await;
        let failed = service.post(failing(how)).await;
        assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{how}: {}", failed.body);
        assert_eq!(service.events().await, ["charge-created"], "{how}: it has happened");

        // Whether it has happened is not known to the layer: nobody begins before the lease has lapsed.
        let early = service.post(failing(how)).await;
        assert_eq!(early.status, StatusCode::CONFLICT, "{how}: {}", early.body);
        service.move_on(Duration::from_secs(31));
        let charge = service.made(failing(how)).await;
        let shown = service.get(&format!("/v1/charges/{}", charge["id"].as_str().unwrap())).await;
        assert_eq!(shown.json(), charge, "{how}");
        assert!(service.post(failing(how)).await.is_replay(), "{how}");
        assert_eq!(service.events().await, ["charge-created"], "{how}");
    }
}

#[tokio::test]
async fn in_stripes_way_a_failure_is_an_answer_too() {
    for how in ["500", "panic"] {
        let service = Service::with(&["--errors", "stripe"]).await;
        let failed = service.post(failing(how)).await;
        assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{how}: {}", failed.body);
        assert_eq!(failed.json()["error"]["type"], "api_error", "{how}: {}", failed.body);
        let again = service.post(failing(how)).await;
        assert_eq!((again.status, again.is_replay(), &again.body), (failed.status, true, &failed.body), "{how}");
        // Once it is forgotten the charge is still there, and is found.
        service.forget_answers();
        service.made(failing(how)).await;
        assert_eq!(service.events().await, ["charge-created"], "{how}");
    }
}
