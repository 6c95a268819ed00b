//! Running process managers: events in, commands out, each once.

mod call;
mod handlers;
mod performer;
mod processes;
mod router;
mod runner;
mod settings;

pub use call::{Call, UndoCall};
pub use processes::{ProcessProgress, ProcessView, Processes};
pub use runner::ProcessRunner;
