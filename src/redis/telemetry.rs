//! What the layer in front of the database tells of itself; nothing where the features are off.
#![cfg_attr(
    not(all(feature = "tracing", feature = "metrics")),
    expect(unused_variables, reason = "without both features some of what is told has no listener")
)]

/// What became of a look, also for those who shared it, or of an answer that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered without the database.
    Hit,
    /// Redis has no such answer.
    Miss,
    /// Redis could not be asked, or what it holds cannot be read.
    Fallback,
    /// An answer was stored.
    Filled,
    /// An answer was not stored: too large, too late, or Redis is away.
    Refused,
}

impl Outcome {
    #[cfg(feature = "metrics")]
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Fallback => "fallback",
            Self::Filled => "filled",
            Self::Refused => "refused",
        }
    }
}

/// Counts an outcome.
pub(super) fn count(outcome: Outcome, times: u64) {
    #[cfg(feature = "metrics")]
    if times > 0 {
        metrics::counter!("annals_response_cache_total", "outcome" => outcome.as_str()).increment(times);
    }
}

/// Redis has failed so often that it is left alone for a while.
pub(super) fn left_alone(what: &'static str, reason: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(reason, "{what}: Redis has failed repeatedly and is left alone for a while; the database answers");
}

/// Redis answers again.
pub(super) fn back(what: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::info!("{what}: Redis answers again");
}

/// An entry cannot be read.
pub(super) fn unreadable() {
    #[cfg(feature = "tracing")]
    tracing::warn!("an entry in Redis cannot be read; the database answers");
}

/// An answer should go from Redis, and cannot be remembered until it does.
pub(super) fn removal_forgotten() {
    #[cfg(feature = "tracing")]
    tracing::error!("too many answers wait to be removed from Redis: one may be given until its time there ends");
}
