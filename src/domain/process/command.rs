//! What a runner tells a process.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Cause;

/// What a runner tells a [`Process`](super::Process).
#[derive(Debug)]
#[non_exhaustive]
pub enum ProcessCommand<I> {
    /// An event of the log belongs to it.
    Take {
        /// The event: [`Cause::Event`].
        cause: Cause,
        /// What the process makes of it.
        input: I,
        /// When the event was recorded.
        at: DateTime<Utc>,
    },
    /// A step has come to its end.
    Settle {
        /// The step.
        step: String,
        /// Its result, or why it was refused.
        outcome: Result<Box<RawValue>, Box<RawValue>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// It is this time: timers that are due by now fire.
    Fire {
        /// The time.
        at: DateTime<Utc>,
    },
    /// Everything was undone that had to be.
    Undone {
        /// When.
        at: DateTime<Utc>,
    },
}

/// What makes the request the same one: an input is told by its name, a step by its own.
impl<I> Serialize for ProcessCommand<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Take { cause, .. } => ("take", cause.to_string()).serialize(serializer),
            Self::Settle { step, .. } => ("settle", step).serialize(serializer),
            Self::Fire { at } => ("fire", at).serialize(serializer),
            Self::Undone { .. } => ("undone", "").serialize(serializer),
        }
    }
}
