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
    _heartbeat: Task,
}

/// How many signs of life there are in the time of a lease.
const HEARTBEATS: u32 = 3;

impl Held {
    pub(in crate::read) fn keep<S: CheckpointStore + Clone + 'static>(store: &S, lease: Lease) -> Self {
        let (raise, lost) = signal();
        let (store, beating) = (store.clone(), lease.clone());
        let heartbeat = Task::spawn(async move {
            beat(&store, &beating).await;
            telemetry::lease_lost(&beating.consumer);
            raise.raise();
        });
        Self { lease, lost, _heartbeat: heartbeat }
    }
}

/// Gives signs of life until the lease is lost, or none has arrived for its whole length.
async fn beat<S: CheckpointStore>(store: &S, lease: &Lease) {
    let every = lease.length / HEARTBEATS;
    let (mut last, mut pause) = (Instant::now(), every);
    loop {
        sleep(pause).await;
        let began = Instant::now();
        pause = match store.renew(lease).await {
            Ok(Renewal::Lost) => return,
            Ok(Renewal::Renewed | Renewal::Busy) => {
                last = began;
                every
            }
            Err(_) if last.elapsed() >= lease.length => return,
            Err(_) => (every / HEARTBEATS).max(Duration::from_millis(10)),
        };
        telemetry::progress(store, &lease.consumer).await;
    }
}
