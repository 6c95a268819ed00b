//! Batches that wait, for a moment, for appends whose loads are under way.

use std::{sync::Arc, time::Duration};

use annals::{EventStore as _, EventStoreExt as _, StreamQuery};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Fixture, SEVERAL, append, append_to, fixture, settle};

/// Loads an aggregate and appends to it, as a command does.
fn spawn_command(at: &Fixture) -> JoinHandle<()> {
    let (front, id) = (Arc::clone(&at.front), Uuid::now_v7());
    tokio::spawn(async move {
        front.read_stream(&StreamQuery::of(id), &mut |_| Ok(())).await.unwrap();
        front.append_one(append_to(id, "made", "")).await.unwrap();
    })
}

/// A queue that has seen loads followed by appends, on a database whose batches are slow.
async fn used_to_commands() -> Fixture {
    let mut at = fixture(SEVERAL);
    *at.front.backend().takes.lock().unwrap() = Duration::from_millis(20);
    for _ in 0..16 {
        let command = spawn_command(&at);
        at.arrival().await.let_through();
        at.arrival().await.let_through();
        command.await.unwrap();
    }
    at
}

/// A machine that is held up may let the wait run out, so the queue has several tries; without a wait none succeeds.
#[tokio::test]
async fn a_batch_waits_for_the_append_of_a_load_under_way() {
    let mut at = used_to_commands().await;
    for _ in 0..20 {
        let command = spawn_command(&at);
        let load = at.arrival().await;
        let written = at.spawn(append("made", ""));
        settle().await;
        load.let_through();
        let batch = at.arrival().await;
        let shared = batch.aggregates.len();
        batch.let_through();
        if shared == 2 {
            command.await.unwrap();
            written.await.unwrap().unwrap();
            return;
        }
        at.arrival().await.let_through();
        command.await.unwrap();
        written.await.unwrap().unwrap();
    }
    panic!("no batch waited for the append of a load under way");
}

#[tokio::test]
async fn a_load_that_never_ends_holds_up_no_batch_for_long() {
    let mut at = used_to_commands().await;
    let _load = at.spawn_load(Uuid::now_v7());
    let _held = at.arrival().await;
    let written = at.spawn(append("made", ""));
    at.arrival().await.let_through();
    written.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_load_that_is_dropped_is_no_longer_waited_for() {
    let mut at = used_to_commands().await;
    let load = at.spawn_load(Uuid::now_v7());
    let _held = at.arrival().await;
    load.abort();
    assert!(load.await.unwrap_err().is_cancelled());
    let written = at.spawn(append("made", ""));
    at.arrival().await.let_through();
    written.await.unwrap().unwrap();
}
