//! Which key a request has, and what is kept beside it.

use annals::{
    IdempotencyKey, SqliteStore,
    http::client::{ClientError, KeyForm, MemoryKeys},
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    client, in_memory, pending,
    server::{Server, Step},
};

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

#[tokio::test]
async fn http_m03_a_new_operation_has_a_new_key_also_with_the_same_content() {
    let server = Server::start([]).await;
    let client = client(in_memory().await);
    for _ in 0..20 {
        client.post(server.url()).form([("amount", "4200")]).send().await.unwrap();
    }
    let keys: std::collections::BTreeSet<_> = server.seen().iter().map(|seen| seen.key().unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 20);
    assert!(server.seen().iter().all(|seen| seen.body == b"amount=4200"));
}

#[tokio::test]
async fn http_m04_a_callers_key_is_sent_as_it_is_on_every_attempt() {
    let server = Server::start([]).await;
    let client = client(MemoryKeys::new());
    let quoted = client.clone().key_form(KeyForm::Quoted).key_header(HeaderName::from_static("x-request-key"));
    for name in ["order-1", "a\"b\\c", "\"whole\""] {
        server.then([Step::Close, Step::status(500)]);
        let answer = client.post(server.url()).idempotency_key(key(name)).send().await.unwrap();
        assert_eq!((answer.attempts, answer.key), (3, Some(key(name))));
        let before = server.seen().len();
        assert!(server.seen()[before - 3..].iter().all(|seen| seen.key() == Some(name)));

        // In the header it is the same.
        client.post(server.url()).header("idempotency-key", name).send().await.unwrap();
        assert_eq!(server.seen()[before].key(), Some(name));
    }
    let answer = quoted.post(server.url()).idempotency_key(key("a\"b")).send().await.unwrap();
    assert_eq!(answer.key, Some(key("a\"b")));
    assert_eq!(server.seen().last().unwrap().header("x-request-key"), Some("\"a\\\"b\""));
    let answer = quoted.post(server.url()).header("x-request-key", "\"a\\\"b\"").send().await.unwrap();
    assert_eq!(answer.key, Some(key("a\"b")));
}

#[tokio::test]
async fn http_m04_keys_that_contradict_each_other_are_refused_before_anything_is_sent() {
    let server = Server::start([]).await;
    let client = client(MemoryKeys::new());
    let post = || client.post(server.url());
    for wrong in [
        post().header("idempotency-key", "one").idempotency_key(key("two")),
        post().header("idempotency-key", "one").header("idempotency-key", "one"),
        post().header("idempotency-key", ""),
        post().header("idempotency-key", "a b"),
        post().header("idempotency-key", HeaderValue::from_bytes(b"\xe9").unwrap()),
        post().header("no name", "value"),
        post().header("name", "a\nb"),
        client.post("not a url"),
        client.post("ftp://127.0.0.1/"),
        client.post("http://user:hush@127.0.0.1/"),
        client.clone().attempts(0).post(server.url()),
        client.clone().deadline(std::time::Duration::from_secs(3_601)).post(server.url()),
        client.clone().named("").post(server.url()),
    ] {
        let error = wrong.send().await.unwrap_err();
        assert!(matches!(error, ClientError::Invalid { .. }), "{error:?}");
        assert!(!error.to_string().contains("hush"));
    }
    assert!(server.seen().is_empty() && pending(&client).await.is_empty());
}

#[tokio::test]
async fn a_key_that_stands_for_another_request_is_refused_until_that_one_is_resolved() {
    let server = Server::start([Step::Close]).await;
    let client = client(in_memory().await).attempts(1);
    let post = |body: &'static str| client.post(server.url()).idempotency_key(key("k")).body(body);
    assert!(post("one").send().await.unwrap_err().is_outcome_unknown());
    let error = post("two").send().await.unwrap_err();
    assert!(matches!(error, ClientError::KeyReused { .. }) && !error.is_retryable(), "{error:?}");
    // Not so for another service.
    let other = client.clone().named("another service");
    assert_eq!(other.post(server.url()).idempotency_key(key("k")).body("two").send().await.unwrap().attempts, 1);
    assert_eq!(server.seen().len(), 2);
    assert_eq!(pending(&client).await, ["k"]);
    assert_eq!(post("one").send().await.unwrap().attempts, 1);
    assert_eq!(post("two").send().await.unwrap().attempts, 1);
}

#[tokio::test]
async fn http_m14_a_confirmed_answer_lets_the_call_go() {
    let server = Server::start([]).await;
    let client = client(in_memory().await);
    client.post(server.url()).send().await.unwrap();
    assert!(pending(&client).await.is_empty());

    // Or only when the application has said so.
    let answer = client.post(server.url()).idempotency_key(key("k")).until_confirmed().send().await.unwrap();
    assert_eq!(pending(&client).await, ["k"]);
    // It has died meanwhile, and asks again.
    server.then([Step::with(200, "idempotent-replayed", "true")]);
    assert!(client.post(server.url()).idempotency_key(key("k")).until_confirmed().send().await.unwrap().replayed);
    assert!(client.forget(answer.key.as_ref().unwrap()).await.unwrap());
    assert!(!client.forget(&key("k")).await.unwrap());
    assert!(pending(&client).await.is_empty());
}

#[tokio::test]
async fn secrets_are_not_kept_and_are_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let server = Server::start([Step::Close]).await;
    let client = client(store.clone()).attempts(1).secret_headers([HeaderName::from_static("x-tenant")]);
    let mut sensitive = HeaderValue::from_static("hush-4");
    sensitive.set_sensitive(true);
    let unknown = client
        .post(server.url())
        .bearer_auth("hush-1")
        .header("cookie", "session=hush-2")
        .header("x-api-key", "hush-3")
        .header("x-other", sensitive)
        .header("x-tenant", "hush-5")
        .header("stripe-version", "2020-08-27")
        .body("amount=1")
        .send()
        .await
        .unwrap_err();
    assert!(!format!("{unknown:?}").contains("hush"));
    let secrets = HeaderMap::from_iter([
        (http::header::AUTHORIZATION, HeaderValue::from_static("Bearer hush-6")),
        (HeaderName::from_static("x-tenant"), HeaderValue::from_static("one")),
        (HeaderName::from_static("x-tenant"), HeaderValue::from_static("two")),
    ]);
    let key = unknown.key().unwrap();
    assert_eq!(client.resume(key, secrets).await.unwrap().unwrap().status, 200);
    store.close().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(4).any(|window| window == b"hush"));
    }
    let seen = server.seen();
    assert_eq!(
        (seen[0].header("authorization"), seen[1].header("authorization")),
        (Some("Bearer hush-1"), Some("Bearer hush-6"))
    );
    assert_eq!((seen[1].header("x-api-key"), seen[1].header("stripe-version")), (None, Some("2020-08-27")));
    assert_eq!(seen[1].headers.iter().filter(|(name, _)| name == "x-tenant").count(), 2);
    assert_eq!((seen[0].key(), &seen[0].body), (seen[1].key(), &seen[1].body));
}
