//! What steps and the completer tell of themselves: log lines and metrics; nothing where the features are off.
#![cfg_attr(
    not(all(feature = "tracing", feature = "metrics")),
    allow(unused_variables, reason = "without both features some of what is told has no listener")
)]

use std::error::Error as StdError;

use crate::store::Error;

/// A step has come to an end, or was found at one.
pub(super) fn step(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_steps_total", "outcome" => outcome).increment(1);
}

/// A call, or what undoes one, has failed.
pub(super) fn try_failed(name: &str, undoing: bool, attempt: u32, error: &(dyn StdError + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::info!(step = name, undoing, attempt, error = %error, "a call of a step has failed");
}

/// Whether a step has happened is not known, and this attempt tries no more.
pub(super) fn step_unknown(name: &str, error: &(dyn StdError + 'static)) {
    step("unknown");
    #[cfg(feature = "tracing")]
    tracing::warn!(step = name, error = %error, "whether a step has happened is not known");
}

/// A step could not be undone.
pub(super) fn step_not_undone(name: &str, error: &(dyn StdError + 'static)) {
    step("not_undone");
    #[cfg(feature = "tracing")]
    tracing::error!(step = name, error = %error, "a step could not be undone");
}

/// Another attempt has taken the run over.
pub(super) fn fenced(name: &str) {
    step("fenced");
    #[cfg(feature = "tracing")]
    tracing::warn!(step = name, "another attempt has taken over");
}

/// A message was received, and this became of it.
pub(super) fn message(consumer: &str, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_inbox_messages_total", "outcome" => outcome).increment(1);
    #[cfg(feature = "tracing")]
    match outcome {
        "changed" => tracing::warn!(consumer, "a message has come with the id of another: one of the two is lost"),
        "early" => tracing::info!(consumer, "a message has come before its turn"),
        _ => {}
    }
}

/// A message could not be handled.
pub(super) fn message_failed(consumer: &str, error: &(dyn StdError + 'static)) {
    message(consumer, "failed");
    #[cfg(feature = "tracing")]
    tracing::warn!(consumer, error = %error, "a message could not be handled");
}

/// The completer has had a go at an abandoned request.
pub(super) fn abandoned(outcome: &'static str, error: Option<&(dyn StdError + 'static)>) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_abandoned_requests_total", "outcome" => outcome).increment(1);
    #[cfg(feature = "tracing")]
    match error {
        Some(error) => tracing::warn!(outcome, error = %error, "an abandoned request could not be finished"),
        None => tracing::info!(outcome, "an abandoned request was taken up"),
    }
}

/// The completer could not look for abandoned requests.
pub(super) fn completer_interrupted(error: &Error) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_completer_interruptions_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(error = %error, "abandoned requests cannot be looked for; trying again");
}

/// The completer has ended with an error.
pub(super) fn completer_stopped(error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::error!(error = %error, "abandoned requests are no longer looked for");
}

/// A batch of expired rows is gone.
pub(super) fn rows_swept(kind: &'static str, rows: u64) {
    #[cfg(feature = "metrics")]
    if rows > 0 {
        metrics::counter!("annals_swept_rows_total", "kind" => kind).increment(rows);
    }
}

/// A sweeper has made a pass.
pub(super) fn pass_swept(rows: u64, took: std::time::Duration, ended_early: bool) {
    #[cfg(feature = "metrics")]
    metrics::histogram!("annals_sweep_duration_seconds").record(took.as_secs_f64());
    #[cfg(feature = "tracing")]
    if rows > 0 {
        tracing::info!(rows, seconds = took.as_secs_f64(), ended_early, "expired rows were swept away");
    }
}

/// A sweeper could not sweep.
pub(super) fn sweeper_interrupted(error: &Error) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_sweeper_interruptions_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(error = %error, "expired rows cannot be swept away; trying again");
}

/// A sweeper has ended with an error.
pub(super) fn sweeper_stopped(error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::error!(error = %error, "expired rows are no longer swept away");
}

/// A process has taken an event in, or had before.
pub(super) fn process_input(process: &'static str, replayed: bool, reacted: bool) {
    #[cfg(feature = "metrics")]
    {
        let outcome = match (replayed, reacted) {
            (true, _) => "replayed",
            (false, true) => "reacted",
            (false, false) => "passed",
        };
        metrics::counter!("annals_process_inputs_total", "process" => process, "outcome" => outcome).increment(1);
    }
}

/// Work on a process has failed, and is tried again.
pub(super) fn process_failed(process: &'static str, id: uuid::Uuid, attempts: u32, failure: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_process_failures_total", "process" => process).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(process, %id, attempts, failure, "a process cannot go on; it is tried again");
}

/// A process is left to newer code.
pub(super) fn process_newer(process: &'static str, id: uuid::Uuid, version: u32) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_processes_left_to_newer_code_total", "process" => process).increment(1);
    #[cfg(feature = "tracing")]
    tracing::info!(process, %id, version, "a process was touched by a newer version of its definition, and is left to it");
}

/// A process is set aside.
pub(super) fn process_parked(process: &'static str, id: uuid::Uuid, failure: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_processes_parked_total", "process" => process).increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!(process, %id, failure, "a process cannot go on, and is parked");
}

/// A process has ended.
pub(super) fn process_ended(process: &'static str, status: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_processes_ended_total", "process" => process, "status" => status).increment(1);
}

/// A step is called with a key that the service may have forgotten.
pub(super) fn process_key_old(process: &'static str, id: uuid::Uuid, step: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_process_old_keys_total", "process" => process).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(process, %id, step, "the service may have forgotten the key of a step by now");
}

/// What is due in a queue cannot be looked for, or what became of it not be noted.
pub(super) fn due_interrupted(queue: &str, error: &Error) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_due_interruptions_total", "queue" => queue.to_owned()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(queue, error = %error, "what is due cannot be seen to; trying again");
}

/// Somebody else has taken over what was under way.
pub(super) fn due_lost(queue: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_due_lost_total", "queue" => queue.to_owned()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(queue, "the lease on something under way is lost");
}

/// A receiver has acknowledged messages.
pub(super) fn published(relay: &str, messages: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_relay_published_total", "consumer" => relay.to_owned()).increment(messages);
}

/// A receiver has answered for messages that were sent side by side.
pub(super) fn publish_took(relay: &str, took: std::time::Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!("annals_relay_publish_seconds", "consumer" => relay.to_owned()).record(took.as_secs_f64());
}

/// A message was refused, or has failed.
pub(super) fn not_published(relay: &str, is_refused: bool) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        "annals_relay_not_published_total",
        "consumer" => relay.to_owned(), "outcome" => if is_refused { "refused" } else { "failed" }
    )
    .increment(1);
}

/// A receiver is away: messages wait.
pub(super) fn outage_begun(relay: &str, error: &(dyn StdError + 'static)) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_relay_outages_total", "consumer" => relay.to_owned()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(annals.consumer = relay, error = %error, "the receiver of messages is away; waiting for it");
}

/// A receiver is back.
pub(super) fn outage_over(relay: &str, lasted: std::time::Duration) {
    #[cfg(feature = "tracing")]
    tracing::info!(annals.consumer = relay, seconds = lasted.as_secs_f64(), "the receiver of messages is back");
}

/// A timer is handed to its handler.
pub(super) fn timer_begun(held: &crate::store::HeldTimer) {
    #[cfg(feature = "metrics")]
    if let Some(lease) = held.timer.lease.as_ref().filter(|_| held.timer.attempts == 1) {
        let late = (lease.renewed_at - held.timer.due_at).to_std().unwrap_or_default();
        metrics::histogram!("annals_timers_lag_seconds", "queue" => held.timer.queue.to_string())
            .record(late.as_secs_f64());
    }
}

/// A timer has fired.
pub(super) fn timer_fired(queue: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_timers_fired_total", "queue" => queue.to_owned()).increment(1);
}

/// A timer's handler has failed; it is tried again.
pub(super) fn timer_failed(held: &crate::store::HeldTimer, failure: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_timers_failed_total", "queue" => held.timer.queue.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(
        queue = &*held.timer.queue, id = %held.timer.id, attempt = held.timer.attempts, failure,
        "a timer could not be fired; it is tried again"
    );
}

/// A timer is set aside.
pub(super) fn timer_parked(held: &crate::store::HeldTimer, failure: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("annals_timers_parked_total", "queue" => held.timer.queue.to_string()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!(
        queue = &*held.timer.queue, id = %held.timer.id, attempts = held.timer.attempts, failure,
        "a timer could not be fired, and is parked"
    );
}
