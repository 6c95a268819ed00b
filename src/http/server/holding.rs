//! The right to a request, kept alive while it is carried out.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::store::{ResponseLease, ResponseStore};

/// Keeps a lease until whoever has it is done, or it is lost.
#[derive(Debug)]
pub(super) struct Holding {
    store: Arc<dyn ResponseStore>,
    pub(super) lease: ResponseLease,
    keep_for: Duration,
    /// When the lease lapses, unless it is renewed; counted from before it was asked for.
    lapses_at: Instant,
    renewed_at: Instant,
    /// From then on it is not renewed.
    ceiling: Instant,
}

impl Holding {
    /// Takes a lease that was asked for at `asked_at`.
    pub(super) fn new(
        store: Arc<dyn ResponseStore>,
        lease: ResponseLease,
        keep_for: Duration,
        (asked_at, longest_run): (Instant, Duration),
    ) -> Self {
        let lapses_at = asked_at + lease.length;
        Self { store, lease, keep_for, lapses_at, renewed_at: asked_at, ceiling: asked_at + longest_run }
    }

    /// How long the lease lasts still.
    pub(super) fn left(&self) -> Duration {
        self.lapses_at.saturating_duration_since(Instant::now())
    }

    /// Renews the lease for as long as it is polled; ends when it is lost, shortly before it would lapse, or after the longest run.
    ///
    /// Whoever works under it has ended by then, before another can begin: a tenth of the lease is left for that.
    pub(super) async fn until_lost(&mut self) {
        let length = self.lease.length;
        loop {
            let last_moment = self.ceiling.min(self.lapses_at - length / 10);
            let next = self.renewed_at + length / 3;
            if next >= last_moment {
                return sleep_until(last_moment).await;
            }
            sleep_until(next).await;
            let asked_at = Instant::now();
            match timeout_at(last_moment, self.store.renew_response(&self.lease, self.keep_for)).await {
                Ok(Ok(true)) => (self.lapses_at, self.renewed_at) = (asked_at + length, asked_at),
                Ok(Ok(false)) | Err(_) => return,
                // It may be there again in a moment.
                Ok(Err(_)) => sleep((length / 30).min(Duration::from_secs(1))).await,
            }
        }
    }
}
