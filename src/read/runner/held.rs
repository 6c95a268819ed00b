//! A lease, kept alive.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::signal::{Signal, Task, signal};
use crate::{
    read::telemetry,
    store::{CheckpointStore, Lease, Position, Renewal},
};

/// Holds a lease: a task gives signs of life until this is dropped.
///
/// A task of its own, so that a handler that computes for long does not lose the lease by it.
#[derive(Debug)]
pub(in crate::read) struct Held {
    pub(in crate::read) lease: Lease,
    /// The lease is lost.
    pub(in crate::read) lost: Signal,
    /// Somebody has asked for parked events to be told again.
    pub(in crate::read) requests: Requests,
    heartbeat: Option<Task>,
    _report: Task,
    _look: Task,
}

/// Says whether somebody has asked for parked events to be told again. Clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::read) struct Requests(watch::Sender<bool>);

impl Requests {
    pub(in crate::read) fn set(&self, is_up: bool) {
        self.0.send_replace(is_up);
    }

    pub(in crate::read) fn is_up(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until somebody has asked.
    pub(in crate::read) async fn up(&self) {
        // This is a sender itself, so there always is one.
        drop(self.0.subscribe().wait_for(|is_up| *is_up).await);
    }

    /// A look that fails tells nothing; the next one does.
    async fn look<S: CheckpointStore>(&self, store: &S, lease: &Lease) {
        let requested = store.requested_replays(lease.consumer.name(), Position::START, 1).await;
        if requested.is_ok_and(|requested| !requested.is_empty()) {
            self.set(true);
        }
    }
}

/// How many signs of life there are in the time of a lease.
const HEARTBEATS: u32 = 3;

/// How often it looks whether the lease is still its own, which is no write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Held {
    pub(in crate::read) fn keep<S: CheckpointStore + Clone + 'static>(store: &S, lease: Lease) -> Self {
        let (raise, lost) = signal();
        let requests = Requests::default();
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
        // Apart, for the same reason: it waits for a connection where readers are busy.
        let look = Task::spawn({
            let (store, lease, requests) = (store.clone(), lease.clone(), requests.clone());
            async move {
                loop {
                    sleep(LOOK_EVERY.min(lease.length / HEARTBEATS)).await;
                    requests.look(&store, &lease).await;
                }
            }
        });
        Self { lease, lost, requests, heartbeat: Some(heartbeat), _report: report, _look: look }
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
