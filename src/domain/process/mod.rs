//! Process managers: events in, commands out; pure, like an aggregate.

mod action;
mod cause;
mod command;
mod decide;
mod event;
mod fault;
mod inputs;
mod manager;
mod reaction;
mod replay;
mod signal;
mod state;

pub use action::Action;
pub use cause::Cause;
pub use command::ProcessCommand;
pub use event::{PlannedStep, ProcessEvent, ProcessNote, StepWork};
pub use fault::ProcessFault;
pub use inputs::Inputs;
pub use manager::ProcessManager;
pub use reaction::Reaction;
pub use signal::{Reply, Signal};
pub use state::{Process, ProcessStatus, ProcessStep, ProcessStepState};
