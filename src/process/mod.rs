//! Work that spans several places: steps that are never taken twice, and what finishes work that was abandoned.
//!
//! [`Steps`] are for whoever calls other services: each call has a name, a key that stays the same for every attempt, and
//! a result that is recorded. A [`ProcessManager`] reacts to events with such steps, and a [`ProcessRunner`] sees to it that
//! they are taken. [`Completer`] finishes requests whose clients have not come back. [`Sweeper`] deletes what has
//! expired. A [`Relay`] takes recorded events to other systems, as CloudEvents. [`Timers`] fire at
//! their time. [`Inbox`] handles once what comes more than once.

pub use crate::domain::{
    Action, Cause, Inputs, PlannedStep, Process, ProcessCommand, ProcessEvent, ProcessFault, ProcessManager,
    ProcessNote, ProcessStatus, ProcessStep, ProcessStepState, Reaction, Reply, Signal, StepWork,
};

mod completer;
mod due;
mod inbox;
mod manager;
mod patience;
mod relay;
mod steps;
mod sweeper;
mod telemetry;
mod timers;

pub use completer::{Completer, Finished, Resume, Resumed};
pub use inbox::{Effects, Handled, Handling, Inbox, InboxError, IncomingMessage};
pub use manager::{Call, ProcessProgress, ProcessRunner, ProcessView, Processes, UndoCall};
pub use relay::{CloudEvent, Envelope, Message, PublishError, Publisher, Relay};
pub use steps::{RunStep, StepError, StepFailure, StepRefusal, Steps, Undo, Undoable};
pub use sweeper::{Sweeper, Swept};
pub use timers::{FiredTimer, TimerRunner, Timers};
