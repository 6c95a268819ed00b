//! Why one lags, in a few plain words.

use annals::{Progress, RunState, store::Readable};
use chrono::{DateTime, TimeDelta, Utc};

use crate::printer::{grouped, span};

/// The most characters of an error in a line.
const ERROR_CHARACTERS: usize = 200;

/// For so long a runner may be at one event without that being worth a word.
const AT_ONE_PLACE: TimeDelta = TimeDelta::seconds(10);

/// Who runs it, in a word.
pub const fn word(state: &RunState) -> &'static str {
    match state {
        RunState::Running { .. } => "running",
        RunState::Dead { .. } => "dead",
        RunState::Stopped => "stopped",
        RunState::Paused { .. } => "paused",
        _ => "unknown",
    }
}

/// The one reason why it is behind, or what else is worth a look.
///
/// Nothing where all is well.
pub fn of(progress: &Progress, readable: &Readable, now: DateTime<Utc>) -> Option<String> {
    let ago = |since: DateTime<Utc>| span((now - since).to_std().unwrap_or_default());
    let error = progress.failure.as_ref().map(|failure| brief(&failure.message));
    let is_behind = progress.lag_events > 0;
    match (&progress.state, error) {
        (RunState::Paused { since }, _) => Some(format!("it was paused {} ago", ago(*since))),
        (RunState::Stopped, Some(error)) => Some(format!("its runner has ended with an error: {error}")),
        (RunState::Stopped, None) if is_behind => Some("nobody runs it".to_owned()),
        (RunState::Dead { since, .. }, None) => {
            Some(format!("its runner fell silent {} ago, and nobody has taken over", ago(*since)))
        }
        (RunState::Dead { since, .. }, Some(error)) => {
            Some(format!("its runner fell silent {} ago; the last error: {error}", ago(*since)))
        }
        (_, Some(error)) if is_behind => Some(format!("it fails and tries again: {error}")),
        _ if is_behind && progress.crashes > 0 => {
            Some(format!("{} runners in a row have died here", grouped(progress.crashes.into())))
        }
        _ if is_behind && now - progress.moved_at > AT_ONE_PLACE => Some(format!(
            "its runner has been at one place for {}: the handler hangs, is slow, or fails and is tried again",
            ago(progress.moved_at)
        )),
        _ if is_behind => Some("it is catching up".to_owned()),
        _ if progress.parked > 0 => Some(format!(
            "{} parked {} for somebody to replay or discard them",
            grouped(progress.parked),
            if progress.parked == 1 { "event waits" } else { "events wait" }
        )),
        _ => held(readable),
    }
}

/// Nobody can be told of events that may still get an earlier neighbour.
fn held(readable: &Readable) -> Option<String> {
    let holder = readable.kept_by()?;
    Some(format!("newer events cannot be read yet: all readers wait for {holder}"))
}

/// The beginning of an error's first line.
pub fn brief(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(ERROR_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
