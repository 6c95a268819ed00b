//! What the layer tells of itself: log lines and metrics; nothing where the features are off. Never a key or a body.
#![cfg_attr(
    not(all(feature = "tracing", feature = "metrics")),
    expect(unused_variables, reason = "without both features some of what is told has no listener")
)]

use std::time::Duration;

use super::Refusal;
use crate::store::Error;
#[cfg(feature = "tracing")]
use crate::store::with_sources;

/// What a task tells belongs to the request that it was begun for.
#[cfg(feature = "tracing")]
pub(super) fn in_the_same_span<F: Future>(task: F) -> impl Future<Output = F::Output> + use<F> {
    tracing::Instrument::in_current_span(task)
}

#[cfg(not(feature = "tracing"))]
pub(super) const fn in_the_same_span<F: Future>(task: F) -> F {
    task
}

fn count(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_idempotency_requests_total", "outcome" => outcome).increment(1);
}

/// A layer was set up in a way that will hurt.
pub(super) fn built(warnings: &[String]) {
    #[cfg(feature = "tracing")]
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// A claim was answered.
pub(super) fn claimed(took: Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!("annals_idempotency_claim_duration_seconds").record(took.as_secs_f64());
}

/// A request has waited for its turn, or for another's answer.
pub(super) fn waited(time: Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!("annals_idempotency_wait_duration_seconds").record(time.as_secs_f64());
}

/// The store of answers could not be asked: nothing is carried out without it.
pub(super) fn store_failed(error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::error!(error = %with_sources(error), "a key could not be claimed");
}

/// A request is carried out.
pub(super) fn begun(attempt: u32) {
    if attempt == 1 {
        return count("executed");
    }
    count("takeover");
    #[cfg(feature = "tracing")]
    tracing::warn!(attempt, "a request was taken over from an attempt that did not come to its end");
}

/// An answer was given again.
pub(super) fn replayed(is_dead: bool) {
    count(if is_dead { "dead" } else { "replayed" });
}

/// A request was refused before anybody carried it out.
pub(super) fn refused(refusal: &Refusal) {
    count(match refusal {
        Refusal::InFlight { .. } => "in_flight",
        Refusal::KeyReused => "mismatch",
        Refusal::StoreUnavailable { .. } | Refusal::OutcomeUnknown { .. } => "unavailable",
        _ => "refused",
    });
}

/// Whoever carried a request out has lost the right to it.
pub(super) fn fenced() {
    count("fenced");
    #[cfg(feature = "tracing")]
    tracing::warn!("the lease of a request was lost, its answer is not given");
}

/// A request was begun too often, and is given up.
pub(super) fn gave_up(attempts: u32) {
    count("gave_up");
    #[cfg(feature = "tracing")]
    tracing::error!(attempts, "a request is given up: no attempt at it came to its end");
}

/// A claim that has come to no answer could not be let go of: it lapses by itself.
pub(super) fn not_let_go_of(error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error = %with_sources(error), "the claim on a request could not be let go of");
}

/// An answer that was given could not be stored in all that time: a retry takes over.
pub(super) fn never_stored() {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_idempotency_answers_not_stored_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!("an answer that was given was never stored");
}

/// A handler has panicked.
pub(super) fn panicked() {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_idempotency_panics_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!("the handler of a request has panicked");
}

/// An answer was given, but could not be stored yet.
pub(super) fn completion_delayed(error: &Error) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_idempotency_completions_delayed_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(error = %with_sources(error), "an answer could not be stored");
}
