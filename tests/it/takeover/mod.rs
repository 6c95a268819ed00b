//! Consumers that are killed, stopped, ended and cut off: nothing is lost, orders are kept, effects are had once.
//!
//! Several processes run one subscription or one projector, each the same test binary once more.

mod deliveries;
mod kills;
mod late;
mod place;
mod runner;
mod shutdown;
mod tallies;
mod task;
mod writer;

use std::time::Duration;

/// How long a dead holder keeps the lease in a campaign.
const LEASE: Duration = Duration::from_millis(500);

/// The longest that anything in here is waited for: whoever waits longer has stalled, and fails.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Events that are moved over at once: a kill has as many told again at the most.
const BATCH_EVENTS: usize = 50;

/// The name of the consumer, of either kind.
const CONSUMER: &str = "take-over";
