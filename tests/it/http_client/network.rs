//! What the network does to a request.

use std::time::Duration;

use annals::http::client::{ClientError, GaveUp};

use super::{
    client, in_memory, pending,
    server::{Server, Step},
};

#[tokio::test]
async fn http_m01_every_attempt_has_the_same_key_and_bytes() {
    let server = Server::start([Step::Close, Step::status(503), Step::Truncate, Step::Reset]).await;
    let client = client(in_memory().await);
    let body: Vec<u8> = (0..=255).collect();
    let answer = client
        .post(server.url())
        .header("content-type", "application/octet-stream")
        .header("stripe-version", "2020-08-27")
        .body(body.clone())
        .send()
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!((answer.attempts, seen.len()), (5, 5));
    assert!(seen.iter().all(|seen| *seen == seen.clone() && *seen == server.seen()[0]), "{seen:?}");
    assert_eq!(seen[0].body, body);
    assert_eq!(seen[0].key(), answer.key.as_ref().map(annals::IdempotencyKey::as_str));
    assert_eq!(seen[0].header("stripe-version"), Some("2020-08-27"));
}

#[tokio::test]
async fn http_m06_what_the_network_breaks_is_sent_again() {
    for step in [Step::Close, Step::Reset, Step::Truncate, Step::Hang] {
        let server = Server::start([step.clone()]).await;
        let client = client(in_memory().await).attempt_timeout(Duration::from_millis(700));
        let answer = client.post(server.url()).json(&["one"]).send().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.attempts), (200, 2), "{step:?}");
        let seen = server.seen();
        assert_eq!(seen.len(), 2, "{step:?}");
        assert_eq!(seen[0], seen[1], "{step:?}");
        assert_eq!(seen[0].header("content-type"), Some("application/json"));
        assert!(pending(&client).await.is_empty());
    }
}

#[tokio::test]
async fn http_m06_a_server_that_is_not_there_is_tried_again_and_nothing_was_sent() {
    // A port that was free a moment ago, and that nobody listens on.
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let client = client(in_memory().await).attempts(3);
    let error = client.post(format!("http://{gone}/")).send().await.unwrap_err();
    assert!(matches!(error, ClientError::Unsent { attempts: 3, why: GaveUp::Attempts, .. }), "{error:?}");
    assert!(error.is_retryable() && !error.is_outcome_unknown());
    assert!(pending(&client).await.is_empty(), "what was never sent is not kept");
}

#[tokio::test]
async fn http_m15_reads_are_sent_again_without_a_key_and_are_not_kept() {
    let server = Server::start([Step::Close, Step::status(503)]).await;
    let client = client(in_memory().await).attempts(3);
    assert_eq!(client.get(server.url()).send().await.unwrap().attempts, 3);
    assert_eq!(client.request(http::Method::HEAD, server.url()).send().await.unwrap().key, None);
    assert!(server.seen().iter().all(|seen| seen.key().is_none()));

    server.then([Step::Close, Step::Close, Step::Hold]);
    let read = tokio::spawn({
        let (client, url) = (client.clone(), server.url());
        async move { client.get(url).send().await }
    });
    for _ in 0..7 {
        server.arrival().await;
    }
    assert!(pending(&client).await.is_empty(), "a read is not kept, also while it is under way");
    server.then([Step::status(500)]);
    server.go_on();
    let error = read.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::NoAnswer { attempts: 3, .. }), "{error:?}");
    assert!(error.is_retryable() && error.key().is_none());
    let keyed = client.get(server.url()).idempotency_key("k".parse().unwrap()).send().await.unwrap_err();
    assert!(matches!(keyed, ClientError::Invalid { .. }));
}

#[tokio::test]
async fn http_m17_bodies_that_cannot_be_sent_twice_are_refused_before_anything_is() {
    let server = Server::start([]).await;
    let client = client(in_memory().await);
    // An answer that is piped on is a stream.
    let stream = super::plain().get(server.url()).send().await.unwrap().into();
    let mut request = reqwest::Request::new(http::Method::POST, server.url().parse().unwrap());
    *request.body_mut() = Some(stream);
    let error = client.request_of(request).send().await.unwrap_err();
    assert!(matches!(error, ClientError::Invalid { .. }), "{error:?}");
    let error = client.post(server.url()).body(vec![0; (16 << 20) + 1]).send().await.unwrap_err();
    assert!(matches!(error, ClientError::Invalid { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 1, "only the one that was piped on");
    assert!(pending(&client).await.is_empty());

    // One that reqwest has made of bytes is as good as any.
    let request = plain_request(&server);
    server.then([Step::Close]);
    assert_eq!(client.request_of(request).send().await.unwrap().attempts, 2);
    let seen = server.seen();
    assert_eq!((seen[1].body.as_slice(), &seen[1]), (&b"again"[..], &seen[2]));
}

fn plain_request(server: &Server) -> reqwest::Request {
    let mut request = reqwest::Request::new(http::Method::POST, server.url().parse().unwrap());
    *request.body_mut() = Some("again".into());
    request
}
