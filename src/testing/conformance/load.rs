//! Many tasks at once.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    fixture::{Factory, fresh},
    sample::{at_once, key, log, note},
    tally::{Command, Tally},
};
use crate::{
    command::{Repository, Retry},
    domain::Id,
    store::{EventStore as _, EventStoreExt as _, LogQuery, StreamQuery},
};

/// Longer than any of these tasks may take, short enough to call a stall a stall.
const PATIENCE: Duration = Duration::from_secs(60);

/// Far more tasks than connections, reading and writing in every way at once, all come to an end.
pub async fn store_103_many_tasks_never_stall(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let shared = Id::<Tally>::new();
    let tasks = at_once(60, |task| {
        let store = Arc::clone(&store);
        async move {
            // As patient as the test: what is asked is that none stalls, not that a busy machine is quick.
            let patient = Retry { max_attempts: u32::MAX, max_time: PATIENCE, ..Retry::default() };
            let tallies = Repository::<Tally>::new(&store).retry(patient);
            for round in 0..5 {
                let own = Id::<Tally>::new();
                let name = key(&format!("{task}-{round}"));
                tallies.execute(own, &Command::add_each(0..10)).idempotency_key(name.clone()).await.unwrap();
                tallies.execute(shared, &Command::add(1)).idempotency_key(name.clone()).await.unwrap();
                assert!(tallies.outcome(shared, &name).await.unwrap().is_some());
                assert_eq!(tallies.load(own).await.unwrap().version, 10);
                store.append_one(note(Uuid::now_v7(), 0..3)).await.unwrap();
                store.read_log(&LogQuery::all().limit(100), &mut |_| Ok(())).await.unwrap();
                store.collect_stream(&StreamQuery::of(shared).backward().limit(5)).await.unwrap();
                store.head().await.unwrap();
            }
        }
    });
    tokio::time::timeout(PATIENCE, tasks).await.expect("sixty tasks come to an end");
    assert_eq!(Repository::<Tally>::new(&store).load(shared).await.unwrap().state.sum, 300, "none was lost or doubled");
    assert_eq!(log(&*store).await.len(), 300 * (10 + 1 + 3));
}
