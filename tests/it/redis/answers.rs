//! What Redis answers, and what it never does.

use std::{collections::BTreeMap, time::Duration};

use annals::{
    Error, Fingerprint, IdempotencyKey, RedisOptions, ResponseStore as _, Scope, ScopedKey,
    store::{ClaimedResponse, LetGo, ResponseAction},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::{HOUR, Memory, answer, behind_redis, claim, connection, finish, key, keys, prefix, replay, take, until};
use crate::redis_server;

#[tokio::test]
async fn http_i01_a_finished_answer_is_given_again_without_the_database() {
    let (memory, store, _) = behind_redis().await;
    let key = key("one");
    let lease = finish(&store, &key, "charged").await;
    memory.calls();
    for _ in 0..10 {
        let found = replay(&store, &key).await;
        assert_eq!((&found.response, found.fence, found.recipe), (&answer("charged"), lease.fence, 1));
        // What was asked for comes with it: whoever asks for something else under this key is found out.
        assert_eq!(found.fingerprint, Fingerprint::of_parts(&[b"request"]));
        assert!(found.left <= HOUR && found.left > HOUR - Duration::from_secs(60));
    }
    let Some(ClaimedResponse::Finished(_)) = store.find_response(&key).await.unwrap() else { panic!("it is there") };
    assert_eq!(memory.calls(), 0, "calls of the database");
}

#[tokio::test]
async fn http_i05_a_process_killed_between_commit_and_redis_costs_one_look() {
    let (memory, store, _) = behind_redis().await;
    let key = key("one");
    // Committed by a process that never came to tell Redis.
    let lease = take(&memory, &key).await;
    assert!(memory.complete_response(&lease, &answer("charged"), HOUR).await.unwrap());
    memory.calls();
    assert_eq!(replay(&store, &key).await.response, answer("charged"));
    assert_eq!(memory.calls(), 1);
    store.drain().await;
    assert_eq!(replay(&store, &key).await.response, answer("charged"));
    assert_eq!(memory.calls(), 0);
}

#[tokio::test]
async fn http_i06_nothing_is_in_redis_before_the_commit() {
    let (memory, gates) = Memory::default().gated();
    let (url, prefix) = (redis_server::url(), prefix());
    let store = RedisOptions::new().prefix(&prefix).connect(&url, memory.clone()).await.unwrap();
    let key = key("one");
    let lease = take(&store, &key).await;
    let (store_of_task, lease_of_task) = (store.clone(), lease.clone());
    let task =
        tokio::spawn(async move { store_of_task.complete_response(&lease_of_task, &answer("charged"), HOUR).await });
    tokio::task::yield_now().await;
    store.drain().await;
    assert_eq!(keys(&url, &prefix).await, [""; 0], "before the commit");
    gates.before.add_permits(1);
    gates.after.add_permits(1);
    assert!(task.await.unwrap().unwrap());
    store.drain().await;
    assert_eq!(keys(&url, &prefix).await.len(), 1);

    // One that was not committed, or is not known to be, never comes there.
    let other = super::key("two");
    let lost = take(&store, &other).await;
    memory.let_go_of_response(&lost, LetGo::Free).await.unwrap();
    gates.before.add_permits(2);
    gates.after.add_permits(2);
    assert!(!store.complete_response(&lost, &answer("late"), HOUR).await.unwrap());
    let unknown = take(&store, &other).await;
    memory.lose_a_reply();
    let error = store.complete_response(&unknown, &answer("unknown"), HOUR).await.unwrap_err();
    assert!(error.is_outcome_unknown());
    store.drain().await;
    assert_eq!(keys(&url, &prefix).await.len(), 1);
}

#[tokio::test]
async fn http_i07_redis_never_says_who_is_at_work() {
    let (memory, store, prefix) = behind_redis().await;
    let key = key("one");
    let lease = take(&store, &key).await;
    store.drain().await;
    let url = redis_server::url();
    assert_eq!(keys(&url, &prefix).await, [""; 0], "a request at work is not in Redis");
    assert!(store.renew_response(&lease, HOUR).await.unwrap());
    // Whatever somebody writes there, the database is asked.
    finish(&store, &super::key("two"), "x").await;
    let name = keys(&url, &prefix).await.remove(0);
    for planted in ["", "running", "A1", "A10000", "A2ffff", "R1", "M10000000000000000"] {
        let mut planting = redis::cmd("SET");
        planting.arg(&name).arg(planted).exec_async(&mut connection(&url).await).await.unwrap();
        memory.calls();
        assert_eq!(replay(&store, &super::key("two")).await.response, answer("x"));
        assert_eq!(memory.calls(), 1, "after {planted:?}");
        store.drain().await;
    }
    let mut wrong_type = redis::pipe();
    wrong_type.cmd("DEL").arg(&name).cmd("LPUSH").arg(&name).arg("x");
    wrong_type.exec_async(&mut connection(&url).await).await.unwrap();
    assert_eq!(replay(&store, &super::key("two")).await.response, answer("x"));
}

#[tokio::test]
async fn http_i12_tenants_and_deployments_are_kept_apart() {
    let (memory, store, prefix) = behind_redis().await;
    let of = |scope: &str, key: &str| ScopedKey::new(Scope::new(scope).unwrap(), IdempotencyKey::new(key).unwrap());
    finish(&store, &of("ab", "c"), "of ab").await;
    for other in [of("a", "bc"), of("b", "c"), of("ab", "C")] {
        assert!(matches!(store.claim_response(&claim(&other)).await.unwrap(), ClaimedResponse::Mine(_)));
    }
    let url = redis_server::url();
    let names = keys(&url, &prefix).await;
    assert_eq!(names.len(), 1);
    let digits = names[0].strip_prefix(&format!("{prefix}:")).unwrap();
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
    // Another deployment, with a database of its own.
    let (elsewhere, other_prefix) = (Memory::default(), super::prefix());
    let other = RedisOptions::new().prefix(&other_prefix).connect(&url, elsewhere).await.unwrap();
    assert!(matches!(other.claim_response(&claim(&of("ab", "c"))).await.unwrap(), ClaimedResponse::Mine(_)));
    // Moved to another's name, an entry is not taken for its answer.
    let stolen = of("thief", "c");
    finish(&store, &stolen, "of thief").await;
    let name = keys(&url, &prefix).await.into_iter().find(|name| *name != names[0]).unwrap();
    let mut moving = redis::cmd("COPY");
    moving.arg(&names[0]).arg(&name).arg("REPLACE").exec_async(&mut connection(&url).await).await.unwrap();
    memory.calls();
    assert_eq!(replay(&store, &stolen).await.response, answer("of thief"));
    assert_eq!(memory.calls(), 1);
}

#[tokio::test]
async fn http_i13_a_hot_key_is_looked_at_once_at_a_time() {
    let server = redis_server::Server::start();
    let memory = Memory::default();
    let budget = Duration::from_secs(5);
    let store = RedisOptions::new().budget(budget).connect(&server.url(), memory.clone()).await.unwrap();
    let key = key("hot");
    finish(&store, &key, "hot").await;
    memory.calls();
    let mut connection = connection(&server.url()).await;
    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut connection).await.unwrap();
    let storm = async || {
        let all = futures_util::future::join_all((0..1_000).map(|_| replay(&store, &key))).await;
        assert!(all.iter().all(|found| found.response == answer("hot")));
    };
    storm().await;
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    let gets = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls=")?.split(',').next()?.parse().ok());
    assert_eq!((gets, memory.calls()), (Some(1_u32), 0), "{stats}");
    // Nor does a herd come upon the database when Redis has nothing.
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    storm().await;
    assert_eq!(memory.calls(), 1);
}

#[tokio::test]
async fn http_i14_with_the_database_down_what_is_finished_is_answered_and_nothing_is_begun() {
    let (memory, store, _) = behind_redis().await;
    let done = key("done");
    finish(&store, &done, "charged").await;
    memory.take_away(true);
    assert_eq!(replay(&store, &done).await.response, answer("charged"));
    let error = store.claim_response(&claim(&key("new"))).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn what_was_given_up_or_let_go_of_is_not_in_redis() {
    let (memory, store, prefix) = behind_redis().await;
    let url = redis_server::url();
    let dead = key("dead");
    let lease = take(&store, &dead).await;
    assert!(store.bury_response(&dead, lease.fence, &answer("gave up"), HOUR).await.unwrap());
    for _ in 0..2 {
        assert!(replay(&store, &dead).await.is_dead);
        store.drain().await;
    }
    assert!(store.operate_response(&dead, ResponseAction::Revive, "ops").await.unwrap());
    let again = take(&store, &dead).await;
    assert!(store.let_go_of_response(&again, LetGo::Free).await.unwrap());
    finish(&store, &dead, "at last").await;
    memory.calls();
    // It was marked as removed a moment ago; what came after that is taken.
    until("the answer is in Redis", async || {
        replay(&store, &dead).await;
        store.drain().await;
        memory.calls() == 0
    })
    .await;
    assert_eq!(keys(&url, &prefix).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_in_redis_is_not_removed_from_it() {
    let (memory, store, prefix) = behind_redis().await;
    let (url, key, dead) = (redis_server::url(), key("again"), key("dead"));
    let lease = take(&store, &dead).await;
    assert!(store.bury_response(&dead, lease.fence, &answer("gave up"), HOUR).await.unwrap());
    let lease = take(&store, &key).await;
    assert!(store.let_go_of_response(&lease, LetGo::Free).await.unwrap());
    store.drain().await;
    assert_eq!(keys(&url, &prefix).await, [""; 0], "they were running: nothing of them was ever stored");
    // And nothing stands in the way of the answer that comes next.
    finish(&store, &key, "charged").await;
    memory.calls();
    assert_eq!(replay(&store, &key).await.response, answer("charged"));
    assert_eq!(memory.calls(), 0);
}

#[tokio::test]
async fn http_n01_who_shares_a_look_is_counted_as_what_it_found() {
    let (_, store, prefix) = behind_redis().await;
    let url = redis_server::url();
    let key = key("hot");
    finish(&store, &key, "hot").await;
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _listening = metrics::set_default_local_recorder(&recorder);
    let storm = async || {
        futures_util::future::join_all((0..50).map(|_| replay(&store, &key))).await;
        store.drain().await;
        store.find_response(&key).await.unwrap().unwrap();
        let counted = snapshotter.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
            let DebugValue::Counter(count) = value else { panic!("{key:?} is no counter") };
            let outcome = key.key().labels().map(|label| label.value().to_owned()).collect::<String>();
            (outcome, count)
        });
        counted.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(storm().await, [("hit".to_owned(), 51)].into());
    // From the database, whoever it was that asked there.
    let names = keys(&url, &prefix).await;
    redis::cmd("DEL").arg(&names).exec_async(&mut connection(&url).await).await.unwrap();
    let counted = storm().await;
    assert_eq!((counted["miss"], counted["hit"], counted.get("fallback")), (50, 1, None), "{counted:?}");
}
