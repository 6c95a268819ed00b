//! How long an answer is in Redis, and which never come there.

use std::time::{Duration, Instant};

use annals::{Error, RedisOptions, RedisResponses, ResponseStore as _, store::ClaimedResponse};

use super::{HOUR, Memory, answer, behind_redis, claim, connection, finish, key, keys, replay, take, until};
use crate::redis_server;

/// Redis's clock, in milliseconds, rounded up.
async fn time_ms(url: &str) -> u64 {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut connection(url).await).await.unwrap();
    seconds * 1_000 + micros.div_ceil(1_000)
}

/// When the only entry of a prefix ends, in milliseconds of Redis's clock.
async fn end_ms(url: &str, prefix: &str) -> u64 {
    let names = keys(url, prefix).await;
    assert_eq!(names.len(), 1);
    redis::cmd("PEXPIRETIME").arg(&names[0]).query_async(&mut connection(url).await).await.unwrap()
}

#[tokio::test]
async fn http_i11_an_entry_never_outlives_its_row() {
    let (memory, store, prefix) = behind_redis().await;
    let url = redis_server::url();
    let (key, keep_for) = (key("one"), Duration::from_secs(600));
    let lease = take(&store, &key).await;
    // Committed, but the reply is lost. It counts from here, and not from when it is completed once more.
    memory.lose_a_reply();
    let before = time_ms(&url).await;
    store.complete_response(&lease, &answer("x"), keep_for).await.unwrap_err();
    let committed = time_ms(&url).await;
    until("some time has passed", async || time_ms(&url).await > committed + 50).await;
    assert!(store.complete_response(&lease, &answer("x"), keep_for).await.unwrap());
    store.drain().await;
    let end = end_ms(&url, &prefix).await;
    assert!(end <= committed + 600_000, "{end} is later than the row's, {committed} + 600,000");
    assert!(end + 1_000 > before + 600_000, "{end} is much too early for {before} + 600,000");

    // Filled by a look: for what is left there.
    redis::cmd("DEL").arg(&keys(&url, &prefix).await).exec_async(&mut connection(&url).await).await.unwrap();
    replay(&store, &key).await;
    store.drain().await;
    assert!(end_ms(&url, &prefix).await <= committed + 600_000);
}

#[tokio::test]
async fn http_i11_an_entry_that_was_held_up_does_not_live_longer_for_it() {
    let mut server = redis_server::Server::start();
    let memory = Memory::default();
    let store = RedisResponses::connect(&server.url(), memory.clone()).await.unwrap();
    let key = key("one");
    let lease = take(&store, &key).await;
    store.drain().await;
    server.freeze();
    assert!(store.complete_response(&lease, &answer("x"), Duration::from_millis(300)).await.unwrap());
    until("the row has expired", async || memory.is_expired(&key)).await;
    server.thaw();
    store.drain().await;
    assert_eq!(keys(&server.url(), "annals").await, [""; 0]);
    assert!(matches!(store.claim_response(&claim(&key)).await.unwrap(), ClaimedResponse::Mine(_)));
}

#[tokio::test]
async fn http_i11_a_bound_of_its_own_ends_an_entry_sooner() {
    let (url, prefix) = (redis_server::url(), super::prefix());
    let options = RedisOptions::new().prefix(&prefix).longest_kept(Duration::from_secs(10));
    let store = options.connect(&url, Memory::default()).await.unwrap();
    finish(&store, &key("one"), "x").await;
    assert!(end_ms(&url, &prefix).await <= time_ms(&url).await + 10_000);
}

#[tokio::test]
async fn http_h01_an_expired_answer_is_never_given_from_redis() {
    let (memory, store, _) = behind_redis().await;
    let key = key("one");
    let lease = take(&store, &key).await;
    assert!(store.complete_response(&lease, &answer("x"), Duration::from_millis(400)).await.unwrap());
    store.drain().await;
    memory.calls();
    assert_eq!(replay(&store, &key).await.response, answer("x"));
    assert_eq!(memory.calls(), 0, "it was in Redis");
    until("the answer has expired", async || {
        let was_expired = memory.is_expired(&key);
        match store.find_response(&key).await.unwrap() {
            Some(ClaimedResponse::Finished(found)) => {
                assert!(!was_expired, "given after its end");
                assert!(!found.left.is_zero());
                false
            }
            other => {
                assert!(other.is_none() && memory.is_expired(&key));
                true
            }
        }
    })
    .await;
    let new = take(&store, &key).await;
    assert!(new.fence > lease.fence);
}

#[tokio::test]
async fn answers_beyond_the_bound_stay_in_the_database() {
    let (url, prefix, memory) = (redis_server::url(), super::prefix(), Memory::default());
    let options = RedisOptions::new().prefix(&prefix).largest_body_bytes(1_000);
    let store = options.connect(&url, memory.clone()).await.unwrap();
    let large = "x".repeat(1_001);
    finish(&store, &key("large"), &large).await;
    assert_eq!(replay(&store, &key("large")).await.response, answer(&large));
    store.drain().await;
    assert_eq!(keys(&url, &prefix).await, [""; 0]);
    finish(&store, &key("small"), "x").await;
    assert_eq!(keys(&url, &prefix).await.len(), 1);
}

#[tokio::test]
async fn more_answers_than_may_wait_are_left_to_the_database_and_hold_nobody_up() {
    let mut server = redis_server::Server::start();
    let memory = Memory::default();
    let store = RedisResponses::connect(&server.url(), memory.clone()).await.unwrap();
    server.freeze();
    let body = "x".repeat(64 << 10);
    let start = Instant::now();
    // 64 MiB, where 16 MiB may wait.
    for number in 0..1_024 {
        let key = key(&format!("key-{number}"));
        let lease = take(&store, &key).await;
        assert!(store.complete_response(&lease, &answer(&body), HOUR).await.unwrap());
    }
    // The first looks take the budget of 50 ms each; then Redis is left alone but for a try a second.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    server.thaw();
    assert_eq!(replay(&store, &key("key-1023")).await.response, answer(&body));
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_and_show_no_password() {
    let url = redis_server::url();
    let none = Duration::ZERO;
    for options in [
        RedisOptions::new().prefix(""),
        RedisOptions::new().prefix("a b"),
        RedisOptions::new().prefix("x".repeat(101)),
        RedisOptions::new().budget(none),
        RedisOptions::new().breaker(0, Duration::from_secs(1)),
        RedisOptions::new().breaker(1, none),
        RedisOptions::new().largest_body_bytes((16 << 20) + 1),
        RedisOptions::new().longest_kept(none),
    ] {
        let shown = format!("{options:?}");
        let error = options.connect(&url, Memory::default()).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{shown}");
    }
    let error = RedisResponses::connect("redes://user:secret@host", Memory::default()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
    let password = url.replace("redis://", "redis://:secret@");
    let store = RedisResponses::connect(&password, Memory::default()).await.unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}
