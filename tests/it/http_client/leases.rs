//! One sends a call at a time.

use std::{sync::Arc, time::Duration};

use annals::{
    IdempotencyKey, ManualClock, SqliteStore,
    http::client::{ClientError, GaveUp, RetryingClient},
};
use chrono::Utc;
use http::HeaderMap;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{
    client, pending,
    server::{Server, Step},
};

/// Two stores on one file, as two processes have them, by one clock.
async fn two(folder: &TempDir) -> (RetryingClient, RetryingClient, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Utc::now()));
    let options = SqliteStore::options().shared_clock(Arc::clone(&clock) as _);
    let path = folder.path().join("keys.db");
    let (one, two) = (options.clone().open(&path).await.unwrap(), options.open(&path).await.unwrap());
    (client(one), client(two), clock)
}

fn key() -> IdempotencyKey {
    "order-1".parse().unwrap()
}

fn begin(client: &RetryingClient, server: &Server) -> JoinHandle<Result<annals::http::client::Answer, ClientError>> {
    let post = client.post(server.url()).idempotency_key(key()).body("once");
    tokio::spawn(post.send())
}

#[tokio::test]
async fn http_m18_of_two_processes_one_sends_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other, _) = two(&folder).await;
    let server = Server::start([Step::Hold]).await;
    let first = begin(&one, &server);
    server.arrival().await;
    let error = begin(&other, &server).await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::InHand { lease_left, .. } if !lease_left.is_zero()), "{error:?}");
    assert!(error.is_outcome_unknown() && !error.is_retryable());
    assert!(other.resume(&key(), HeaderMap::new()).await.unwrap().is_none());
    let resumed = other.resume_all(|_| Some(HeaderMap::new()), |resumed| panic!("{resumed:?}")).await.unwrap();
    assert_eq!((resumed.in_hand, resumed.answered), (1, 0));
    server.go_on();
    assert_eq!(first.await.unwrap().unwrap().attempts, 1);
    assert_eq!(server.seen().len(), 1);
    assert!(pending(&other).await.is_empty());
}

#[tokio::test]
async fn http_m18_who_has_lost_a_call_sends_it_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other, clock) = two(&folder).await;
    // The first one's attempt is still to end in nothing, the other's has its answer.
    let server = Server::start([Step::Hold]).await;
    let first = begin(&one, &server);
    server.arrival().await;
    clock.advance(Duration::from_secs(41));
    server.then([Step::Hold]);
    let second = begin(&other, &server);
    server.arrival().await;
    // The first of those that wait goes on first; both find what comes next in the script.
    server.then([Step::Close]);
    server.go_on();
    let error = first.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { why: GaveUp::TakenOver, .. }), "{error:?}");
    assert_eq!(pending(&one).await, ["order-1"], "who has lost it does not remove it");
    server.go_on();
    assert_eq!(second.await.unwrap().unwrap().status, 200);
    assert_eq!(server.seen().len(), 2);
    assert_eq!(server.seen()[0], server.seen()[1]);
    assert!(pending(&one).await.is_empty());
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_is_free_when_its_lease_has_lapsed() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other, clock) = two(&folder).await;
    let server = Server::start([Step::Hold]).await;
    let first = begin(&one, &server);
    server.arrival().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert!(other.resume(&key(), HeaderMap::new()).await.unwrap().is_none());
    clock.advance(Duration::from_secs(41));
    assert_eq!(other.resume(&key(), HeaderMap::new()).await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_call_older_than_the_services_memory_is_never_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other, clock) = two(&folder).await;
    let server = Server::start([Step::Close]).await;
    assert!(begin(&one.attempts(1), &server).await.unwrap().unwrap_err().is_outcome_unknown());
    clock.advance(Duration::from_secs(23 * 60 * 60 + 1));
    let is_too_old = |error: &ClientError| matches!(error, ClientError::OutcomeUnknown { why: GaveUp::TooOld, .. });
    assert!(is_too_old(&begin(&other, &server).await.unwrap().unwrap_err()));
    assert!(is_too_old(&other.resume(&key(), HeaderMap::new()).await.unwrap_err()));
    let mut told = 0;
    let each = |resumed: annals::http::client::Resumed| told += u32::from(is_too_old(&resumed.outcome.unwrap_err()));
    let resumed = other.resume_all(|_| Some(HeaderMap::new()), each).await.unwrap();
    assert_eq!((resumed.unresolved, told), (1, 1));
    assert_eq!((server.seen().len(), pending(&other).await.len()), (1, 1));
    // Unless the service remembers longer.
    let patient = other.keys_last(Duration::from_secs(30 * 24 * 60 * 60));
    assert_eq!(patient.resume(&key(), HeaderMap::new()).await.unwrap().unwrap().status, 200);
}
