//! What runners tell of themselves: log lines and metrics; nothing where the features are off.
#![cfg_attr(
    not(all(feature = "tracing", feature = "metrics")),
    expect(unused_variables, reason = "without both features some of what is told has no listener")
)]

use std::error::Error as StdError;

use crate::store::{CheckpointStore, Consumer, Error, LeaseHolder, ParkedEvent, RecordedEvent};

/// A runner has begun to run a consumer.
pub(super) fn lease_taken(consumer: &Consumer, fence: u64, earlier: Option<&LeaseHolder>) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_leases_taken_total", "consumer" => consumer.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    match earlier {
        Some(earlier) => tracing::warn!(
            annals.consumer = %consumer, fence, earlier_owner = earlier.owner, earlier_expired_at = %earlier.expires_at,
            "a consumer was taken over from a runner whose lease had lapsed"
        ),
        None => tracing::info!(annals.consumer = %consumer, fence, "a consumer is run"),
    }
}

/// A runner has lost its lease.
pub(super) fn lease_lost(consumer: &Consumer) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_leases_lost_total", "consumer" => consumer.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(annals.consumer = %consumer, "the lease of a consumer was lost");
}

/// A handler or a projection has failed on an event.
pub(super) fn attempt_failed(
    consumer: &Consumer,
    event: &RecordedEvent,
    attempt: u32,
    error: &(dyn StdError + Send + Sync + 'static),
) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_projection_errors_total", "consumer" => consumer.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(
        annals.consumer = %consumer,
        annals.position = event.position().get(),
        annals.aggregate_type = event.aggregate_type(),
        event_type = event.event_type(),
        attempt,
        error = %error,
        "an event was not handled"
    );
}

/// An event was set aside.
pub(super) fn event_parked(consumer: &Consumer, event: &RecordedEvent, is_behind: bool) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_events_parked_total", "consumer" => consumer.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!(
        annals.consumer = %consumer,
        annals.position = event.position().get(),
        annals.aggregate_type = event.aggregate_type(),
        event_type = event.event_type(),
        is_behind,
        "an event was parked"
    );
}

/// A parked event was told again: handled, or left where it is with what went wrong.
pub(super) fn replayed(consumer: &Consumer, parked: &ParkedEvent, error: Option<&str>) {
    #[cfg(feature = "metrics")]
    {
        let outcome = if error.is_none() { "handled" } else { "failed" };
        metrics::counter!("annals_parked_replays_total", "consumer" => consumer.to_string(), "outcome" => outcome)
            .increment(1);
    }
    #[cfg(feature = "tracing")]
    match error {
        None => tracing::info!(
            annals.consumer = %consumer, annals.position = parked.position.get(), "a parked event was handled"
        ),
        Some(error) => tracing::warn!(
            annals.consumer = %consumer, annals.position = parked.position.get(), error,
            "a parked event has failed again"
        ),
    }
}

/// A runner goes on after a failure that passes.
pub(super) fn interrupted(consumer: &Consumer, error: &Error) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_consumer_interruptions_total", "consumer" => consumer.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(annals.consumer = %consumer, error = %error, "a consumer was interrupted, and tries again");
}

/// A runner has ended with an error.
pub(super) fn stopped(consumer: &Consumer, error: &Error) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_consumers_stopped_total", "consumer" => consumer.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!(annals.consumer = %consumer, error = %error, "a consumer has stopped");
}

/// Somebody has changed what stands of a consumer, by hand: paused, forgotten, split, replayed, swapped …
pub(super) fn changed(consumer: &str, change: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_consumer_changes_total", "consumer" => consumer.to_owned(), "change" => change)
        .increment(1);
    #[cfg(feature = "tracing")]
    tracing::info!(annals.consumer = consumer, change, "a consumer was changed");
}

/// A parked event will never be handled.
pub(super) fn event_discarded(consumer: &str, aggregate_id: uuid::Uuid, sequence: u64) {
    changed(consumer, "discard");
    #[cfg(feature = "tracing")]
    tracing::warn!(annals.consumer = consumer, %aggregate_id, sequence, "a parked event was discarded");
}

/// Tells again and again how far a consumer is behind; where nobody listens nothing is asked.
#[cfg_attr(not(feature = "metrics"), expect(clippy::unused_async, reason = "without metrics there is nothing to ask"))]
pub(super) async fn report<S: CheckpointStore>(store: &S, consumer: &Consumer) {
    #[cfg(feature = "metrics")]
    loop {
        progress(store, consumer).await;
        tokio::time::sleep(REPORT_EVERY).await;
    }
}

/// How often the gauges of a consumer are set.
#[cfg(feature = "metrics")]
const REPORT_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(feature = "metrics")]
async fn progress<S: CheckpointStore>(store: &S, consumer: &Consumer) {
    if let Ok(Some(progress)) = super::progress::of(store, consumer).await {
        let name = || consumer.to_string();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("annals_subscription_lag_events", "consumer" => name()).set(progress.lag_events as f64);
        metrics::gauge!("annals_subscription_lag_seconds", "consumer" => name()).set(progress.lag.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("annals_parked_events", "consumer" => name()).set(progress.parked as f64);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("annals_consumer_alive_timestamp_seconds", "consumer" => name())
            .set(store.now().timestamp_micros() as f64 / 1e6);
    }
}
