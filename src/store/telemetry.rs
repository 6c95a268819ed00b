//! Spans, log lines and metrics, in one place; nothing where the features are off.
//!
//! Never a payload, a key or an id in a label. Names follow OpenTelemetry's database conventions where they have one.

use std::time::Duration;

use uuid::Uuid;

use super::{Append, Appended, Error, Position};

/// Counts a batch that was sent to the database.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "without metrics there is nothing to count"))]
pub(crate) fn batch_written(batch: &[Append], answers: &[Result<Appended, Error>], took: Duration) {
    #[cfg(feature = "metrics")]
    {
        let mut events = 0_u64;
        for (append, answer) in batch.iter().zip(answers) {
            match answer {
                Ok(appended) if !appended.replayed => events += append.events.len() as u64,
                Err(Error::Conflict { .. }) => metrics::counter!("annals_append_conflicts_total").increment(1),
                _ => {}
            }
        }
        events_appended(events);
        if !batch.is_empty() {
            metrics::histogram!("annals_append_duration_seconds").record(took.as_secs_f64());
        }
    }
}

/// Runs one operation of a database under a span of its own.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing there is no span"))]
pub(crate) async fn operation<T>(
    system: &'static str,
    name: &'static str,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    #[cfg(feature = "tracing")]
    {
        use tracing::{Instrument as _, field::Empty};

        let span =
            tracing::info_span!("database", db.system.name = system, db.operation.name = name, error.type = Empty);
        async { work.await.inspect_err(operation_failed) }.instrument(span).await
    }
    #[cfg(not(feature = "tracing"))]
    work.await
}

/// Notes what the operation under way ended in.
#[cfg(any(feature = "sqlite", feature = "tracing"))]
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing there is no span"))]
pub(crate) fn operation_failed(error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("error.type", error_type(error));
}

/// Counts events that were committed.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "without metrics there is nothing to count"))]
pub(crate) fn events_appended(events: u64) {
    #[cfg(feature = "metrics")]
    if events > 0 {
        metrics::counter!("annals_events_appended_total").increment(events);
    }
}

/// A command has its id; in the cache, a new one with each decision.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn command_decided_as(command_id: Uuid) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("annals.command_id", tracing::field::display(command_id));
}

/// A command was accepted, now or earlier.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn command_executed(position: Option<Position>, replayed: bool) {
    #[cfg(feature = "tracing")]
    {
        let span = tracing::Span::current();
        span.record("annals.replayed", replayed);
        position.map(|position| span.record("annals.position", position.get()));
    }
    count_command(if replayed { "replayed" } else { "executed" });
}

/// The domain said no, now or earlier.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn command_rejected(replayed: bool) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("annals.replayed", replayed);
    count_command("rejected");
}

/// The store could not carry a command out.
pub(crate) fn command_failed(error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("error.type", error_type(error));
    count_command(if error.is_conflict() { "conflict" } else { "failed" });
}

#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "without metrics there is nothing to count"))]
fn count_command(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_commands_total", "outcome" => outcome).increment(1);
}

/// A step that will be taken again: after a conflict, a lost reply, a database that was busy.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn retry(what: &'static str, attempt: u32, delay: Duration, error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::info!(
        attempt,
        delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        error.type = error_type(error),
        error = %error,
        "{what}: trying again"
    );
}

/// A step that is given up.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn gave_up(what: &'static str, attempts: u32, error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(attempts, error.type = error_type(error), error = %error, "{what}: gave up");
}

/// A snapshot that does not fit or is damaged: the whole history is read instead.
pub(crate) fn snapshot_passed_over() {
    #[cfg(feature = "tracing")]
    tracing::info!("a snapshot cannot be used: reading the whole history");
}

/// A snapshot that could not be kept.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn snapshot_not_kept(error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error.type = error_type(error), error = %error, "a snapshot was not kept: going on without");
}

/// Readers of the log are held back by a transaction that has written events and does not end.
#[cfg(feature = "postgres")]
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn horizon_stalled(at: Position, time: Duration, pid: Option<i32>, holder: &dyn std::fmt::Display) {
    #[cfg(feature = "metrics")]
    {
        metrics::gauge!("annals_horizon_stalled_seconds").set(time.as_secs_f64());
        // Process ids begin at 1: 0 is a prepared transaction, or nobody.
        metrics::gauge!("annals_horizon_holder_pid").set(pid.unwrap_or(0));
    }
    #[cfg(feature = "tracing")]
    tracing::warn!(
        annals.position = at.get(),
        stalled_seconds = time.as_secs_f64(),
        pid,
        holder = %holder,
        "readers of the log are held back by a transaction that has written events and does not end"
    );
}

/// They still are, and nothing is to be said anew.
#[cfg(feature = "postgres")]
#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "without metrics there is nothing to set"))]
pub(crate) fn horizon_still_stalled(time: Duration) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("annals_horizon_stalled_seconds").set(time.as_secs_f64());
}

/// Readers of the log go on after it was said that they are held back.
#[cfg(feature = "postgres")]
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn horizon_goes_on(at: Position, time: Duration) {
    #[cfg(feature = "metrics")]
    {
        metrics::gauge!("annals_horizon_stalled_seconds").set(0.0);
        metrics::gauge!("annals_horizon_holder_pid").set(0.0);
    }
    #[cfg(feature = "tracing")]
    tracing::info!(annals.position = at.get(), stalled_seconds = time.as_secs_f64(), "readers of the log go on");
}

/// An operator has changed how a request under a key stands.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "without tracing nobody listens"))]
pub(crate) fn response_operated(action: &'static str, operator: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(action, operator, "an operator has changed a stored answer");
}

/// The kind of an error, as a label.
#[cfg(feature = "tracing")]
pub(crate) const fn error_type(error: &Error) -> &'static str {
    match error {
        Error::Conflict { .. } => "conflict",
        Error::KeyReused { .. } => "key_reused",
        Error::Contention { .. } => "contention",
        Error::Unavailable { .. } => "unavailable",
        Error::OutcomeUnknown { .. } => "outcome_unknown",
        Error::Codec { .. } => "codec",
        Error::Invalid { .. } => "invalid",
        Error::CheckpointDiverged { .. } => "checkpoint_diverged",
        Error::Handler { .. } => "handler",
        Error::Behind { .. } => "behind",
        Error::Schema { .. } => "schema",
        Error::Backend { .. } => "backend",
    }
}
