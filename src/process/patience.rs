//! How long is waited before something is tried again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// The pauses between tries: they double, and each is lengthened by a random part of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pauses {
    /// The pause before the second try.
    pub(super) first: Duration,
    /// What pauses grow to.
    pub(super) longest: Duration,
}

/// What "without end" comes to, a day: no clock overflows.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Pauses {
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    pub(super) fn begin(self) -> ExponentialBackoff {
        let first = self.first.min(LONGEST);
        ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(first)
            .with_max_delay(self.longest.clamp(first, LONGEST))
            .without_max_times()
            .build()
    }
}
