//! Far more tasks than connections.

use std::{sync::Arc, time::Duration};

use annals::{EventStore as _, EventStoreExt as _, StreamQuery};
use futures_util::future::join_all;
use uuid::Uuid;

use super::{SEVERAL, append_to, fixture};

/// Longer than any of these tasks may take, short enough to call a stall a stall.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pool_of_three_under_thirty_tasks_never_stalls() {
    let at = fixture(SEVERAL);
    at.open();
    let connections = &at.front.backend().connections;
    connections.forget_permits(connections.available_permits() - 3);
    let tasks = (0..30).map(|task| {
        let front = Arc::clone(&at.front);
        tokio::spawn(async move {
            for round in 0..100 {
                let id = Uuid::now_v7();
                front.read_stream(&StreamQuery::of(id), &mut |_| Ok(())).await.unwrap();
                front.append_one(append_to(id, "made", "")).await.unwrap();
                if round % 7 == task % 7 {
                    front.read_stream(&StreamQuery::of(id).limit(1), &mut |_| Ok(())).await.unwrap();
                    front.append(vec![append_to(id, "made", ""), append_to(id, "made", "")]).await;
                }
            }
        })
    });
    for task in tokio::time::timeout(PATIENCE, join_all(tasks)).await.expect("thirty tasks come to an end") {
        task.unwrap();
    }
    assert!(at.front.backend().written() >= 30 * 100);
}
