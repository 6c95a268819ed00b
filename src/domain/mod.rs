//! The pure part: aggregates, process managers, ids, events and their old shapes.
//!
//! Nothing here waits, reads a database or asks for the time (save that [`Id::new`] makes a version 7 UUID, which begins
//! with the moment it was made). A domain model built on this room alone compiles and is tested without a runtime.

mod aggregate;
mod event;
mod id;
mod json_error;
mod process;
mod upcast;

pub use aggregate::{Aggregate, is_valid_type_name};
pub use event::{EncodedEvent, EventError, decode_event, encode_event, event_types};
pub use id::{Id, InvalidTypeName, natural_id};
pub(crate) use json_error::without_data;
pub use process::{
    Action, Cause, Inputs, PlannedStep, Process, ProcessCommand, ProcessEvent, ProcessFault, ProcessManager,
    ProcessNote, ProcessStatus, ProcessStep, ProcessStepState, Reaction, Reply, Signal, StepWork,
};
pub use upcast::{UpcastFn, Upcasters};
