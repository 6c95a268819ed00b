//! Redis away, slow, empty, refusing and replaced: the answers stay the same.

use std::time::{Duration, Instant};

use annals::{RedisOptions, RedisResponses, ResponseStore as _, store::ClaimedResponse};

use super::{
    HOUR, Memory, answer, claim, connection, doubles::Parrot, doubles::Road, finish, key, keys, replay, take, until,
};
use crate::redis_server::Server;

/// Everything that can be asked, with the answers that the database alone would give.
async fn all_is_as_without_redis(store: &RedisResponses, name: &str) {
    let key = key(name);
    let lease = take(store, &key).await;
    assert!(matches!(store.claim_response(&claim(&key)).await.unwrap(), ClaimedResponse::Running(_)));
    assert!(store.renew_response(&lease, HOUR).await.unwrap());
    assert!(store.complete_response(&lease, &answer(name), HOUR).await.unwrap());
    assert_eq!(replay(store, &key).await.response, answer(name));
    assert!(matches!(store.find_response(&key).await.unwrap(), Some(ClaimedResponse::Finished(_))));
}

#[tokio::test]
async fn http_i02_redis_down_from_the_start_is_found_when_it_comes() {
    let mut server = Server::start();
    server.stop();
    let memory = Memory::default();
    let options = RedisOptions::new().breaker(5, Duration::from_millis(50));
    let store = options.connect(&server.url(), memory.clone()).await.unwrap();
    for number in 0..20 {
        all_is_as_without_redis(&store, &format!("down-{number}")).await;
    }
    server.start_again();
    until("Redis answers again", async || {
        memory.calls();
        replay(&store, &key("down-0")).await;
        store.drain().await;
        memory.calls() == 0
    })
    .await;
    all_is_as_without_redis(&store, "back").await;
}

#[tokio::test]
async fn http_i02_a_frozen_redis_costs_its_budget_a_few_times_and_then_nothing() {
    let mut server = Server::start();
    let memory = Memory::default();
    let budget = Duration::from_millis(50);
    let options = RedisOptions::new().budget(budget).breaker(5, Duration::from_secs(60));
    let store = options.connect(&server.url(), memory.clone()).await.unwrap();
    let done = key("done");
    finish(&store, &done, "x").await;
    server.freeze();
    let mut slow = 0;
    for _ in 0..200 {
        let start = Instant::now();
        assert_eq!(replay(&store, &done).await.response, answer("x"));
        slow += u32::from(start.elapsed() >= budget);
    }
    // As many as it takes to leave it alone. A machine that is busy may make others slow; not many of them.
    assert!((5..50).contains(&slow), "{slow} of 200 took the budget");
    all_is_as_without_redis(&store, "frozen").await;
}

#[tokio::test]
async fn http_i02_a_frozen_redis_is_asked_again_when_it_has_thawed() {
    let mut server = Server::start();
    let memory = Memory::default();
    let options = RedisOptions::new().breaker(2, Duration::from_millis(50));
    let store = options.connect(&server.url(), memory.clone()).await.unwrap();
    let done = key("done");
    finish(&store, &done, "x").await;
    server.freeze();
    for _ in 0..10 {
        replay(&store, &done).await;
    }
    server.thaw();
    until("Redis answers again", async || {
        memory.calls();
        assert_eq!(replay(&store, &done).await.response, answer("x"));
        memory.calls() == 0
    })
    .await;
}

#[tokio::test]
async fn http_i02_a_redis_that_refuses_or_raves_is_passed_over() {
    for words in [
        &b"-LOADING Redis is loading the dataset in memory\r\n"[..],
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"+OK\r\n",
        b":-1\r\n",
        b"*1\r\n$-1\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\xff\r\n",
    ] {
        let parrot = Parrot::start(words).await;
        let store = RedisResponses::connect(&parrot.url, Memory::default()).await.unwrap();
        for number in 0..10 {
            all_is_as_without_redis(&store, &format!("refused-{number}")).await;
        }
    }
}

#[tokio::test]
async fn http_i02_a_redis_that_can_only_be_read_answers_what_it_has() {
    let (server, mut other) = (Server::start(), Server::start());
    let memory = Memory::default();
    let store = RedisResponses::connect(&server.url(), memory.clone()).await.unwrap();
    finish(&store, &key("before"), "x").await;
    other.stop();
    // It keeps what it has for as long as it does not reach the other.
    let mut following = redis::cmd("REPLICAOF");
    following.arg("127.0.0.1").arg(other.url().rsplit_once(':').unwrap().1);
    following.exec_async(&mut connection(&server.url()).await).await.unwrap();
    memory.calls();
    replay(&store, &key("before")).await;
    assert_eq!(memory.calls(), 0);
    for number in 0..10 {
        all_is_as_without_redis(&store, &format!("readonly-{number}")).await;
    }
    store.drain().await;
    assert_eq!(keys(&server.url(), "annals").await.len(), 1);
}

#[tokio::test]
async fn http_i03_an_emptied_redis_is_filled_again_from_the_database() {
    let mut server = Server::start();
    let memory = Memory::default();
    let options = RedisOptions::new().breaker(5, Duration::from_millis(50));
    let store = options.connect(&server.url(), memory.clone()).await.unwrap();
    let done = key("done");
    finish(&store, &done, "x").await;
    let flush = redis::cmd("FLUSHALL");
    flush.exec_async(&mut connection(&server.url()).await).await.unwrap();
    memory.calls();
    assert_eq!(replay(&store, &done).await.response, answer("x"));
    assert_eq!(memory.calls(), 1);
    store.drain().await;
    assert_eq!(replay(&store, &done).await.response, answer("x"));
    assert_eq!(memory.calls(), 0, "it was filled again");
    server.stop();
    server.start_again();
    until("it is filled again", async || {
        memory.calls();
        assert_eq!(replay(&store, &done).await.response, answer("x"));
        store.drain().await;
        memory.calls() == 0
    })
    .await;
    // One is put out by another: as good as flushed.
    let mut small = redis::cmd("CONFIG");
    small.arg(&["SET", "maxmemory", "1", "maxmemory-policy", "allkeys-lru"]);
    small.exec_async(&mut connection(&server.url()).await).await.unwrap();
    for number in 0..10 {
        all_is_as_without_redis(&store, &format!("evicted-{number}")).await;
    }
}

#[tokio::test]
async fn http_i09_a_failover_costs_a_look_at_worst() {
    let (mut primary, replica) = (Server::start(), Server::start());
    let road = Road::to(&primary.url()).await;
    let memory = Memory::default();
    let options = RedisOptions::new().breaker(5, Duration::from_millis(50));
    let store = options.connect(&road.url, memory.clone()).await.unwrap();
    let mut at_replica = connection(&replica.url()).await;
    let mut follow = redis::cmd("REPLICAOF");
    follow.arg("127.0.0.1").arg(primary.url().rsplit_once(':').unwrap().1);
    follow.exec_async(&mut at_replica).await.unwrap();
    let (known, lost) = (key("known"), key("lost"));
    finish(&store, &known, "known").await;
    until("the replica has it", async || keys(&replica.url(), "annals").await.len() == 1).await;
    // It hears no more from here on.
    let mut alone = redis::cmd("REPLICAOF");
    alone.arg("NO").arg("ONE").exec_async(&mut at_replica).await.unwrap();
    finish(&store, &lost, "lost").await;
    road.lead_to(&replica.url());
    primary.stop();
    for (key, body) in [(&known, "known"), (&lost, "lost")] {
        until("the new primary answers", async || {
            memory.calls();
            assert_eq!(replay(&store, key).await.response, answer(body));
            store.drain().await;
            memory.calls() == 0
        })
        .await;
    }
}
