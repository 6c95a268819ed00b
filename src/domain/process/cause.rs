//! What led to a step.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names the input that a reaction was one to.
///
/// With the process and a place in the reaction it makes a step's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// An event of the log.
    Event {
        /// Its aggregate.
        aggregate_id: Uuid,
        /// Its place within it.
        sequence: u64,
    },
    /// The end of a step, by its name.
    Step(String),
    /// A timer, by its name, at the so manieth time it fired in this process.
    Timer {
        /// The timer.
        name: String,
        /// From 1.
        times: u64,
    },
    /// The end of the compensation.
    Undone,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { aggregate_id, sequence } => write!(f, "event {aggregate_id}-{sequence}"),
            Self::Step(name) => write!(f, "step {name}"),
            Self::Timer { name, times } => write!(f, "timer {times} {name}"),
            Self::Undone => f.write_str("undone"),
        }
    }
}
