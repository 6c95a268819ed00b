//! A store of keys that fails.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use annals::{
    Error, KeyStore,
    http::client::{ClientError, GaveUp, MemoryKeys},
    store::{BegunCall, CallLease, CallName, CallQuery, NewCall, PendingCall, TakenCall},
};
use async_trait::async_trait;

use super::{
    client, pending,
    server::{Server, Step},
};

/// Fails as it is told, and else keeps calls.
#[derive(Debug, Default)]
struct Failing {
    keys: MemoryKeys,
    /// What becomes of the next beginnings, before or after they are kept.
    begin: Mutex<Vec<(Error, bool)>>,
    renew: Mutex<Option<Error>>,
    resolve_fails: AtomicU32,
}

fn unavailable() -> Error {
    Error::Unavailable { source: None }
}

fn unknown() -> Error {
    Error::OutcomeUnknown { source: None }
}

#[async_trait]
impl KeyStore for Failing {
    async fn begin_call(&self, call: &NewCall, lease: &CallLease, length: Duration) -> Result<BegunCall, Error> {
        let fails = self.begin.lock().unwrap().pop();
        match fails {
            Some((error, false)) => Err(error),
            Some((error, true)) => self.keys.begin_call(call, lease, length).await.and(Err(error)),
            None => self.keys.begin_call(call, lease, length).await,
        }
    }

    async fn take_call(&self, lease: &CallLease, length: Duration) -> Result<Option<TakenCall>, Error> {
        self.keys.take_call(lease, length).await
    }

    async fn renew_call(&self, lease: &CallLease, length: Duration) -> Result<bool, Error> {
        let fails = self.renew.lock().unwrap().take();
        match fails {
            Some(error) => Err(error),
            None => self.keys.renew_call(lease, length).await,
        }
    }

    async fn let_go_of_call(&self, lease: &CallLease) -> Result<bool, Error> {
        self.keys.let_go_of_call(lease).await
    }

    async fn resolve_call(&self, lease: &CallLease) -> Result<bool, Error> {
        let left = self.resolve_fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { Err(unknown()) } else { self.keys.resolve_call(lease).await }
    }

    async fn forget_call(&self, name: &CallName) -> Result<bool, Error> {
        self.keys.forget_call(name).await
    }

    async fn pending_calls(&self, query: &CallQuery) -> Result<Vec<PendingCall>, Error> {
        self.keys.pending_calls(query).await
    }
}

#[tokio::test]
async fn http_m01_nothing_is_sent_before_its_key_is_kept() {
    let server = Server::start([Step::Hold]).await;
    let keys = Arc::new(Failing::default());
    let client = client(Arc::clone(&keys));
    keys.begin.lock().unwrap().push((unavailable(), false));
    let error = client.post(server.url()).send().await.unwrap_err();
    assert!(matches!(error, ClientError::Keys(_)) && error.is_retryable(), "{error:?}");
    // It may be kept, so it may be resumed: nobody knows what will become of it.
    *keys.begin.lock().unwrap() = vec![(unknown(), true), (unknown(), false), (unknown(), false)];
    let error = client.post(server.url()).send().await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { attempts: 0, why: GaveUp::Keys, .. }), "{error:?}");
    assert!(client.forget(error.key().unwrap()).await.unwrap());
    assert!(server.seen().is_empty());

    // A lost reply is found out about.
    keys.begin.lock().unwrap().push((unknown(), true));
    let sending = tokio::spawn(client.post(server.url()).send());
    server.arrival().await;
    assert_eq!(pending(&client).await, [server.seen()[0].key().unwrap()], "it is kept while it is sent");
    server.go_on();
    assert_eq!(sending.await.unwrap().unwrap().attempts, 1);
    assert!(pending(&client).await.is_empty());
}

#[tokio::test]
async fn an_answer_is_handed_over_also_where_the_store_cannot_be_told() {
    let server = Server::start([]).await;
    let keys = Arc::new(Failing::default());
    let client = client(Arc::clone(&keys));
    for (fails, left) in [(2, 0), (3, 1)] {
        keys.resolve_fails.store(fails, Ordering::SeqCst);
        assert_eq!(client.post(server.url()).send().await.unwrap().status, 200);
        assert_eq!(pending(&client).await.len(), left, "{fails}");
    }
}

#[tokio::test]
async fn what_cannot_be_removed_is_not_said_to_be_unsent() {
    let keys = Arc::new(Failing::default());
    let client = client(Arc::clone(&keys)).attempts(1);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    keys.resolve_fails.store(1, Ordering::SeqCst);
    let error = client.post(format!("http://{gone}/")).send().await.unwrap_err();
    assert!(error.is_outcome_unknown(), "it would be resumed: {error:?}");
    assert_eq!(pending(&client).await.len(), 1);
}

#[tokio::test]
async fn a_call_that_cannot_be_held_is_not_sent_again() {
    let server = Server::start([Step::Close]).await;
    let keys = Arc::new(Failing::default());
    let client = client(Arc::clone(&keys));
    *keys.renew.lock().unwrap() = Some(unavailable());
    let error = client.post(server.url()).send().await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { why: GaveUp::Keys, attempts: 1, .. }), "{error:?}");
    assert_eq!((server.seen().len(), pending(&client).await.len()), (1, 1));
}
