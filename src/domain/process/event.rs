//! What a process's history is made of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Cause, replay};

/// An event of a process: its own, or what the runner notes.
#[derive(Debug, Clone, PartialEq)]
pub enum ProcessEvent<E> {
    /// An event of the process manager's.
    Own(E),
    /// What was decided, and what became of it.
    Note(ProcessNote),
}

/// What is noted of a process beside its own events.
///
/// Stored under names that begin with `process-`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProcessNote {
    /// It has begun, or a newer definition has taken it over.
    ProcessDefined {
        /// The version of the definition.
        version: u32,
    },
    /// A step is to be taken.
    ProcessStepPlanned(PlannedStep),
    /// A step is done.
    ProcessStepDone {
        /// Its name.
        step: String,
        /// What it was answered.
        result: Box<RawValue>,
    },
    /// A step was refused for good.
    ProcessStepRefused {
        /// Its name.
        step: String,
        /// Why.
        reason: Box<RawValue>,
    },
    /// A timer was set or moved.
    ProcessTimerSet {
        /// Its name.
        timer: String,
        /// When it is due.
        due_at: DateTime<Utc>,
    },
    /// A timer was cancelled.
    ProcessTimerCancelled {
        /// Its name.
        timer: String,
    },
    /// A timer has fired.
    ProcessTimerFired {
        /// Its name.
        timer: String,
    },
    /// It completes as soon as no step is left.
    ProcessCompleting,
    /// It has ended as it was meant to.
    ProcessCompleted,
    /// What was done is to be undone.
    ProcessCompensationBegun {
        /// Why.
        reason: String,
    },
    /// What was done is undone.
    ProcessUndone,
    /// It has ended, and nothing is left of it.
    ProcessCompensated,
}

/// A step that is to be taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlannedStep {
    /// Its name, within its process.
    pub name: String,
    /// What led to it.
    pub cause: Cause,
    /// Its place among what that led to, from 1.
    pub ordinal: u32,
    /// When what led to it happened.
    pub planned_at: DateTime<Utc>,
    /// What it does.
    pub work: StepWork,
}

/// What a step does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepWork {
    /// It sends a command to an aggregate.
    #[serde(rename_all = "kebab-case")]
    Command {
        /// The kind of aggregate.
        aggregate_type: String,
        /// Which one.
        aggregate_id: Uuid,
        /// The command as JSON.
        command: Box<RawValue>,
        /// The command that undoes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<Box<RawValue>>,
    },
    /// It calls a service.
    #[serde(rename_all = "kebab-case")]
    Call {
        /// The handler.
        handler: String,
        /// What it is asked, as JSON.
        request: Box<RawValue>,
        /// The handler that undoes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo_handler: Option<String>,
    },
}

impl StepWork {
    /// Whether it can be undone.
    #[must_use]
    pub const fn is_undoable(&self) -> bool {
        matches!(self, Self::Command { undo: Some(_), .. } | Self::Call { undo_handler: Some(_), .. })
    }
}

/// By what is stored.
impl PartialEq for ProcessNote {
    fn eq(&self, other: &Self) -> bool {
        matches!((serde_json::to_string(self), serde_json::to_string(other)), (Ok(one), Ok(two)) if one == two)
    }
}

impl<E: Serialize> Serialize for ProcessEvent<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own(event) => event.serialize(serializer),
            Self::Note(note) => note.serialize(serializer),
        }
    }
}

impl<'de, E: DeserializeOwned> Deserialize<'de> for ProcessEvent<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        replay::deserialize(deserializer)
    }
}
