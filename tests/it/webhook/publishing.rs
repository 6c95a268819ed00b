//! What an endpoint is sent, and what its answers mean.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use annals::{
    Append, EventStoreExt as _, LogQuery, NewEvent, SqliteStore,
    http::webhook::{WebhookPublisher, WebhookVerifier},
    process::{Envelope, Message, PublishError, Publisher as _},
};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::any,
};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{plain, publisher, secret};

/// Messages of as many aggregates.
async fn messages(count: u128) -> Vec<Message> {
    let store = SqliteStore::open_in_memory().await.unwrap();
    for number in 1..=count {
        let event = NewEvent::new("noted", &"K\u{e4}se").unwrap();
        store.append_one(Append::new("notebook", Uuid::from_u128(number)).events([event])).await.unwrap();
    }
    let envelope = Envelope::new("/notes").unwrap();
    store.collect_log(&LogQuery::all()).await.unwrap().iter().map(|event| envelope.wrap(event).unwrap()).collect()
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks?token=hidden", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

#[tokio::test]
async fn http_k10_each_message_is_one_signed_request() {
    let seen: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
    let noting = Arc::clone(&seen);
    let app = Router::new().route(
        "/hooks",
        any(async move |headers: HeaderMap, body: Bytes| noting.lock().unwrap().push((headers, body))),
    );
    let publisher = publisher(&serve(app).await).also(secret(2));
    let messages = messages(1).await;
    for _ in 0..2 {
        publisher.publish(&messages).await.pop().unwrap().unwrap();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for (headers, body) in &*seen {
        for by in [1, 2] {
            let webhook = WebhookVerifier::new(secret(by)).verify(headers, body).unwrap();
            assert_eq!(webhook.message.id(), messages[0].id());
        }
        assert_eq!(headers["idempotency-key"], messages[0].id());
        assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
        assert_eq!(body, messages[0].cloud_event());
    }
}

/// What an answer comes to, in a word.
fn word(answer: &Result<(), PublishError>) -> &'static str {
    match answer {
        Ok(()) => "has it",
        Err(PublishError::Unavailable { retry_after: None, .. }) => "is away",
        Err(PublishError::Unavailable { retry_after: Some(_), .. }) => "asks for patience",
        Err(PublishError::Failed { .. }) => "has failed",
        Err(PublishError::Refused { .. }) => "refuses",
        Err(PublishError::Gone { .. }) => "is gone",
        Err(_) => "says something else",
    }
}

#[tokio::test]
async fn http_k10_what_an_answer_means_is_told_by_its_status() {
    let messages = messages(1).await;
    for (status, plain, with_retry_after) in [
        (200, "has it", "has it"),
        (202, "has it", "has it"),
        (299, "has it", "has it"),
        (301, "refuses", "refuses"),
        (307, "refuses", "refuses"),
        (400, "refuses", "refuses"),
        (401, "refuses", "refuses"),
        (404, "refuses", "refuses"),
        (408, "is away", "asks for patience"),
        (409, "refuses", "refuses"),
        (410, "is gone", "is gone"),
        (413, "refuses", "refuses"),
        (422, "refuses", "refuses"),
        (425, "is away", "asks for patience"),
        (429, "is away", "asks for patience"),
        (500, "has failed", "asks for patience"),
        (501, "has failed", "asks for patience"),
        (502, "is away", "asks for patience"),
        (503, "is away", "asks for patience"),
        (504, "is away", "asks for patience"),
        (599, "has failed", "asks for patience"),
    ] {
        for (headers, expected) in [(vec![], plain), (vec![("retry-after", "7")], with_retry_after)] {
            let app = Router::new().route(
                "/hooks",
                any(async move || {
                    let headers = HeaderMap::from_iter(
                        headers
                            .iter()
                            .map(|(name, value): &(&str, &str)| (name.parse().unwrap(), value.parse().unwrap())),
                    );
                    (StatusCode::from_u16(status).unwrap(), headers)
                }),
            );
            let answer = publisher(&serve(app).await).publish(&messages).await.pop().unwrap();
            assert_eq!(word(&answer), expected, "{status}");
            if let Err(PublishError::Unavailable { retry_after: Some(asked), .. }) = answer {
                assert_eq!(asked, Duration::from_secs(7));
            }
        }
    }
}

#[tokio::test]
async fn http_k10_a_redirect_that_a_client_follows_is_no_acknowledgement() {
    drop(plain());
    let following = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    for status in [302, 307] {
        let app = Router::new()
            .route("/hooks", any(async move || (StatusCode::from_u16(status).unwrap(), [("location", "/elsewhere")])))
            .route("/elsewhere", any(async || "a page for people"));
        let publisher = WebhookPublisher::new(following.clone(), serve(app).await, secret(1)).unwrap();
        assert_eq!(word(&publisher.publish(&messages(1).await).await[0]), "refuses", "{status}");
    }
}

#[tokio::test]
async fn http_k10_an_endpoint_that_says_nothing_or_is_not_there_is_away() {
    let messages = messages(1).await;
    let app = Router::new().route("/hooks", any(async || std::future::pending::<()>().await));
    let silent = publisher(&serve(app).await).attempt_timeout(Duration::from_millis(50));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = publisher(&format!("http://{}/hooks?token=hidden", listener.local_addr().unwrap()));
    drop(listener);
    for publisher in [silent, nobody] {
        let answer = publisher.publish(&messages).await.pop().unwrap();
        assert_eq!(word(&answer), "is away");
        let shown = format!("{answer:?} {publisher:?}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
    for wrong in ["", "hooks", "ftp://example.com/", "https://"] {
        assert!(WebhookPublisher::new(plain(), wrong, secret(1)).is_err(), "{wrong:?}");
    }
}

/// An acknowledgement is one from its first line on.
#[tokio::test]
async fn http_k10_an_answer_that_does_not_end_is_an_answer() {
    let app = Router::new().route(
        "/hooks",
        any(async || axum::body::Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())),
    );
    let publisher = publisher(&serve(app).await);
    assert_eq!(word(&publisher.publish(&messages(1).await).await[0]), "has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_k10_so_many_are_under_way_at_once_and_none_once_it_is_away() {
    let messages = messages(20).await;
    let (now, most, all) =
        (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let barrier = Arc::new(tokio::sync::Barrier::new(4));
    let app = Router::new().route(
        "/hooks",
        any({
            let (now, most, all) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&all));
            async move || {
                let number = all.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // The first four wait for each other: so many are there at once.
                if number < 4 {
                    barrier.wait().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
            }
        }),
    );
    let answers = publisher(&serve(app).await).at_once(4).publish(&messages).await;
    assert!(answers.iter().all(Result::is_ok) && answers.len() == 20, "{answers:?}");
    assert_eq!((most.load(Ordering::SeqCst), all.load(Ordering::SeqCst)), (4, 20));

    let all = Arc::<AtomicUsize>::default();
    let counting = Arc::clone(&all);
    let app = Router::new().route(
        "/hooks",
        any(async move || {
            counting.fetch_add(1, Ordering::SeqCst);
            StatusCode::SERVICE_UNAVAILABLE
        }),
    );
    let answers = publisher(&serve(app).await).at_once(4).publish(&messages).await;
    assert!(answers.len() == 20 && answers.iter().all(|answer| word(answer) == "is away"), "{answers:?}");
    assert!(all.load(Ordering::SeqCst) <= 4, "{all:?} requests were sent");
}
