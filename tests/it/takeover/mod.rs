//! Consumers that are killed, stopped, ended and cut off: nothing is lost, orders are kept, effects are had once.
//!
//! Several processes run one subscription or one projector, each the same test binary once more.

mod deliveries;
mod kills;
mod late;
#[cfg(feature = "postgres")]
mod outages;
mod place;
mod runner;
mod shutdown;
mod tallies;
mod task;
mod writer;

use std::time::Duration;

use annals::{CheckpointStore, Consumer};

/// How long a dead holder keeps the lease in a campaign.
const LEASE: Duration = Duration::from_millis(500);

/// The longest that anything in here is waited for: whoever waits longer has stalled, and fails.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Events that are moved over at once: a kill has as many told again at the most.
const BATCH_EVENTS: usize = 50;

/// The fence of a consumer: it is raised by one each time the lease is taken.
async fn fence<S: CheckpointStore>(store: &S, kind: task::Kind) -> Option<u64> {
    let consumer = Consumer::new(kind.consumer()).unwrap();
    store.checkpoint(&consumer).await.unwrap().map(|checkpoint| checkpoint.fence)
}
