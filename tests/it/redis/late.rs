//! Writes that come to Redis after what they say has ended.

use annals::{
    RedisOptions, RedisResponses, ResponseStore as _,
    store::{ClaimedResponse, ResponseAction, ResponseLease},
};
use tokio::task::JoinHandle;

use super::{HOUR, answer, claim, finish, key, memory::Gates, prefix, replay, take};
use crate::redis_server;

/// Completes in a task, which has committed and not yet told Redis.
async fn committed(store: &RedisResponses, lease: &ResponseLease, gates: &Gates, body: &str) -> JoinHandle<bool> {
    let (store, lease, answer) = (store.clone(), lease.clone(), answer(body));
    let mut committed = gates.committed.subscribe();
    committed.mark_unchanged();
    gates.before.add_permits(1);
    let task = tokio::spawn(async move { store.complete_response(&lease, &answer, HOUR).await.unwrap() });
    committed.changed().await.unwrap();
    task
}

#[tokio::test]
async fn an_operators_removal_holds_also_against_a_write_that_comes_later() {
    let (url, prefix, memory) = (redis_server::url(), prefix(), super::Memory::default());
    let (held, gates) = memory.gated();
    let options = RedisOptions::new().prefix(&prefix);
    let slow = options.clone().connect(&url, held).await.unwrap();
    let operator = options.connect(&url, memory.clone()).await.unwrap();
    let key = key("one");
    let lease = take(&slow, &key).await;
    let task = committed(&slow, &lease, &gates, "first").await;
    assert!(operator.operate_response(&key, ResponseAction::Expire, "ops").await.unwrap());
    gates.after.add_permits(1);
    assert!(task.await.unwrap());
    slow.drain().await;
    // Neither process gives the answer that was expired.
    let again = take(&slow, &key).await;
    assert!(again.fence > lease.fence);
    assert!(matches!(operator.claim_response(&claim(&key)).await.unwrap(), ClaimedResponse::Running(_)));
    // What is answered after it is taken.
    assert!(memory.complete_response(&again, &answer("second"), HOUR).await.unwrap());
    // An answer read within the millisecond of the removal may be what was removed: refused, it is read once more.
    super::until("Redis has the second answer", async || {
        memory.calls();
        assert_eq!(replay(&operator, &key).await.response, answer("second"));
        operator.drain().await;
        memory.calls() == 0
    })
    .await;
}

#[tokio::test]
async fn an_older_fence_never_replaces_a_newer_one() {
    let (url, prefix, memory) = (redis_server::url(), prefix(), super::Memory::default());
    let (held, gates) = memory.gated();
    let options = RedisOptions::new().prefix(&prefix);
    let slow = options.clone().connect(&url, held).await.unwrap();
    let quick = options.connect(&url, memory.clone()).await.unwrap();
    let key = key("one");
    let lease = take(&slow, &key).await;
    let task = committed(&slow, &lease, &gates, "first").await;
    // Expired past Redis, which has no mark of it; then carried out anew.
    assert!(memory.operate_response(&key, ResponseAction::Expire, "ops").await.unwrap());
    let newer = finish(&quick, &key, "second").await;
    assert!(newer.fence > lease.fence);
    gates.after.add_permits(1);
    assert!(task.await.unwrap());
    slow.drain().await;
    for store in [&slow, &quick] {
        memory.calls();
        let found = replay(store, &key).await;
        assert_eq!((&found.response, found.fence), (&answer("second"), newer.fence));
        assert_eq!(memory.calls(), 0);
    }
}

#[tokio::test]
async fn a_removal_that_redis_cannot_hear_holds_in_its_process_and_reaches_redis_later() {
    let mut server = redis_server::Server::start();
    let memory = super::Memory::default();
    let store = RedisResponses::connect(&server.url(), memory.clone()).await.unwrap();
    let key = key("one");
    finish(&store, &key, "first").await;
    server.freeze();
    assert!(store.operate_response(&key, ResponseAction::Expire, "ops").await.unwrap());
    server.thaw();
    // At once: the entry may be there still, and is not given.
    take(&store, &key).await;
    let mut connection = super::connection(&server.url()).await;
    super::until("Redis has forgotten", async || {
        let names = super::keys(&server.url(), "annals").await;
        let Some(name) = names.first() else { return true };
        let found: Option<Vec<u8>> = redis::cmd("GET").arg(name).query_async(&mut connection).await.unwrap();
        found.is_none_or(|found| found.starts_with(b"M1"))
    })
    .await;
}
