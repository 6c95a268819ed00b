//! Log lines and counters of the client. Never a key, a URL or a body.

use std::time::Duration;

use super::{ClientError, Last};

/// An attempt that will be followed by another one.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "without tracing nobody listens"))]
pub(super) fn retry(attempt: u32, pause: Duration, last: &Last) {
    #[cfg(feature = "tracing")]
    tracing::info!(
        attempt,
        pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        "a call has no answer yet, {last}: trying again"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_client_retries_total").increment(1);
}

/// A call that has its answer.
#[cfg_attr(not(feature = "metrics"), allow(unused_variables, reason = "without metrics there is nothing to count"))]
pub(super) fn answered(is_replayed: bool) {
    count(if is_replayed { "replayed" } else { "answered" });
}

/// A call that has none.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "without tracing nobody listens"))]
pub(super) fn failed(error: &ClientError) {
    #[cfg(feature = "tracing")]
    tracing::warn!("a call was given up: {error}");
    count(match error {
        ClientError::OutcomeUnknown { .. } => "unknown",
        ClientError::InHand { .. } => "in_hand",
        ClientError::NoAnswer { .. } => "no_answer",
        ClientError::Unsent { .. } | ClientError::Tls { .. } | ClientError::Keys(_) => "unsent",
        ClientError::KeyReused { .. } | ClientError::Invalid { .. } => "refused",
    });
}

/// A call that stays in the store for want of a word with it: its lease lapses, and it is taken up again.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "without tracing nobody listens"))]
pub(super) fn not_told(what: &'static str, error: &crate::store::Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error = %error, "the store of keys could not be told that a call is {what}");
}

#[cfg_attr(not(feature = "metrics"), allow(unused_variables, reason = "without metrics there is nothing to count"))]
fn count(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_client_requests_total", "outcome" => outcome).increment(1);
}
