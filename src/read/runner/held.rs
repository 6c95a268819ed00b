//! A lease, kept alive.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::signal::{Signal, Task, signal};
use crate::{
    read::telemetry,
    store::{CheckpointStore, Lease, Renewal},
};

/// Holds a lease: a task gives signs of life until this is dropped.
///
/// A task of its own, so that a handler that computes for long does not lose the lease by it.
#[derive(Debug)]
pub(in crate::read) struct Held {
    pub(in crate::read) lease: Lease,
    /// The lease is lost.
    pub(in crate::read) lost: Signal,
    heartbeat: Option<Task>,
    _report: Task,
}

/// How many signs of life there are in the time of a lease.
const HEARTBEATS: u32 = 3;

/// How often it looks whether the lease is still its own, which is no write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Held {
    pub(in crate::read) fn keep<S: CheckpointStore + Clone + 'static>(store: &S, lease: Lease) -> Self {
        let (raise, lost) = signal();
        let heartbeat = Task::spawn({
            let (store, lease) = (store.clone(), lease.clone());
            async move {
                beat(&store, &lease).await;
                telemetry::lease_lost(&lease.consumer);
                raise.raise();
            }
        });
        // Apart: to count what is behind takes its time, and a lease does not wait.
        let report = Task::spawn({
            let (store, consumer) = (store.clone(), lease.consumer.clone());
            async move { telemetry::report(&store, &consumer).await }
        });
        Self { lease, lost, heartbeat: Some(heartbeat), _report: report }
    }

    /// Lets go of the lease. One that cannot be let go lapses by itself.
    pub(in crate::read) async fn release<S: CheckpointStore>(&mut self, store: &S) {
        self.heartbeat = None;
        drop(store.release(&self.lease).await);
    }
}

/// Gives signs of life until the lease is lost, or none has arrived for its whole length.
async fn beat<S: CheckpointStore>(store: &S, lease: &Lease) {
    let every = lease.length / HEARTBEATS;
    let (mut last, mut pause) = (Instant::now(), every.min(LOOK_EVERY));
    loop {
        sleep(pause).await;
        let began = Instant::now();
        pause = every.min(LOOK_EVERY);
        if began < last + every {
            // A look that fails tells nothing; what it would have told, the next sign of life does.
            match store.checkpoint(&lease.consumer).await {
                Ok(Some(found)) if found.fence != lease.fence => return,
                Ok(None) => return,
                Ok(Some(_)) | Err(_) => continue,
            }
        }
        match store.renew(lease).await {
            Ok(Renewal::Lost) => return,
            Ok(Renewal::Renewed | Renewal::Busy) => last = began,
            Err(_) if last.elapsed() >= lease.length => return,
            Err(_) => pause = (every / HEARTBEATS).clamp(Duration::from_millis(10), LOOK_EVERY),
        }
    }
}
