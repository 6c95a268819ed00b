//! Several processes with the same messages, killed at random points.

use std::{path::Path, sync::atomic::AtomicU32};

use annals::{Handled, Inbox, SqliteStore};

use super::{Place, effects, handle, message};
use crate::{
    campaign,
    faults::{child, victim::Victim},
};

/// How many processes are killed, on each database.
const KILLS: u32 = 10;

/// How many run at once.
const PROCESSES: usize = 2;

/// How many messages there are.
const MESSAGES: u32 = 3_000;

fn is_url(target: &Path) -> bool {
    target.to_str().is_some_and(|target| target.starts_with("postgres"))
}

#[test]
fn child_handles_messages_until_it_is_killed() {
    let Some(target) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        #[cfg(feature = "postgres")]
        if is_url(&target) {
            return handle_all(annals::PostgresStore::connect(target.to_str().unwrap()).await.unwrap()).await;
        }
        handle_all(SqliteStore::open(target).await.unwrap()).await;
    });
}

/// Handles what every other process handles as well, from the beginning, some at once.
async fn handle_all(store: impl Place) {
    let next = std::sync::Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, next) = (store.clone(), std::sync::Arc::clone(&next));
        tasks.spawn(async move {
            let (inbox, begun) = (Inbox::new(&store, "billing").unwrap(), AtomicU32::new(0));
            loop {
                let id = format!("m-{}", next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % MESSAGES);
                // One that is still in another's hands is delivered again.
                while let Err(error) = handle(&inbox, &message(&id, "paid"), &begun).await {
                    assert!(error.store_error().is_some_and(annals::Error::is_retryable), "{error:?}");
                }
                child::say(&format!("{id}:accepted 0 0 0"));
            }
        });
    }
    if let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

fn kill_processes(target: &Path) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
    println!("seed {}", random.get_seed());
    let start = |number: u32| {
        Victim::start("inbox::kill::child_handles_messages_until_it_is_killed", target, &format!("p{number}"))
    };
    let mut running: Vec<_> = (0..PROCESSES).map(|number| start(u32::try_from(number).unwrap())).collect();
    let mut acknowledged = Vec::new();
    for number in 0..campaign::sized(KILLS) {
        let victim = running.swap_remove(random.usize(..running.len()));
        running.push(start(100 + number));
        acknowledged.extend(victim.kill_after(random.usize(1..120), &mut random).into_keys());
    }
    for victim in running {
        acknowledged.extend(victim.kill_after(1, &mut random).into_keys());
    }
    acknowledged
}

/// What was acknowledged has its effect, and nothing has it twice, also when all is delivered once more.
async fn check(store: &impl Place, acknowledged: &[String]) {
    let (inbox, begun) = (Inbox::new(store, "billing").unwrap(), AtomicU32::new(0));
    assert!(acknowledged.len() > 20, "only {} messages were acknowledged", acknowledged.len());
    for id in acknowledged {
        assert_eq!(effects(store, "billing", id).await, 1, "{id} was acknowledged");
        assert!(matches!(handle(&inbox, &message(id, "paid"), &begun).await.unwrap(), Handled::Duplicate { .. }));
    }
    for number in 0..500 {
        let id = format!("m-{number}");
        assert!(handle(&inbox, &message(&id, "paid"), &begun).await.unwrap().is_over());
        assert_eq!(effects(store, "billing", &id).await, 1, "{id}");
    }
}

#[test]
fn http_k05_processes_that_are_killed_have_each_effect_once_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { SqliteStore::open(&path).await.unwrap().close().await });
    let acknowledged = kill_processes(&path);
    runtime.block_on(async { check(&SqliteStore::open(&path).await.unwrap(), &acknowledged).await });
}

#[cfg(feature = "postgres")]
#[test]
fn http_k05_processes_that_are_killed_have_each_effect_once_on_postgres() {
    use annals::PostgresStore;

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(crate::postgres_server::Database::create());
    runtime.block_on(async { PostgresStore::connect(database.url()).await.unwrap().close().await });
    let acknowledged = kill_processes(Path::new(database.url()));
    runtime.block_on(async { check(&PostgresStore::connect(database.url()).await.unwrap(), &acknowledged).await });
}
