//! A process that dies between sending and the answer.

use std::{sync::Arc, time::Duration};

use annals::{ManualClock, SqliteStore};
use chrono::{TimeDelta, Utc};
use http::HeaderMap;

use super::{
    client,
    server::{Server, Step},
};
use crate::faults::child;

#[test]
fn child_sends_and_waits_for_an_answer() {
    let Some(path) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = client(SqliteStore::open(path).await.unwrap());
        let body: Vec<u8> = (0..=255).collect();
        client.post(child::name()).header("content-type", "application/octet-stream").body(body).send().await.unwrap();
    });
}

#[test]
fn child_resumes_what_was_left_behind() {
    let Some(path) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        // The lease of the one that has died has lapsed by then.
        let clock: Arc<ManualClock> = Arc::new(ManualClock::new(Utc::now() + TimeDelta::hours(1)));
        let store = SqliteStore::options().shared_clock(clock).open(path).await.unwrap();
        let each = |resumed: annals::http::client::Resumed| {
            child::say(&format!("{} {}", resumed.call.takes, resumed.outcome.unwrap().status.as_u16()));
        };
        let resumed = client(store).resume_all(|_| Some(HeaderMap::new()), each).await.unwrap();
        assert_eq!(resumed.answered, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn http_m02_a_process_that_dies_after_sending_is_followed_by_one_that_sends_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    let server = Server::start([Step::Hold]).await;
    let run = |test: &str| child::command(&format!("http_client::crash::{test}"), &path, &server.url(), &[]).spawn();

    let mut victim = run("child_sends_and_waits_for_an_answer").unwrap();
    tokio::time::timeout(Duration::from_secs(60), server.arrival()).await.expect("the child has sent");
    victim.kill().unwrap();
    assert!(victim.wait().unwrap().code().is_none(), "it was to be killed");

    let second = run("child_resumes_what_was_left_behind").unwrap();
    let ended = tokio::task::spawn_blocking(move || second.wait_with_output()).await.unwrap().unwrap();
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{out}");
    assert_eq!(out.lines().find_map(child::said), Some("1 200"));
    let seen = server.seen();
    assert_eq!((seen.len(), &seen[0]), (2, &seen[1]));
    assert!(seen[0].key().is_some());
    assert_eq!(seen[0].body, (0..=255).collect::<Vec<u8>>());
    let left = client(SqliteStore::open(&path).await.unwrap());
    assert!(left.pending(None, 10).await.unwrap().is_empty());
}
