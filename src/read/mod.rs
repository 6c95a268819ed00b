//! The read side: consumers of the log, and the check of everything that is stored.
//!
//! A [`Subscription`] tells a handler every event; a [`Projector`] keeps the rows of a [`Projection`]; [`Consumers`] looks
//! after them by name. [`Verify`] checks a whole database.

mod consumers;
mod parked;
mod progress;
mod projection;
mod projector;
mod reset;
mod runner;
mod settings;
mod start;
mod subscription;
mod telemetry;
mod verify;

pub use consumers::Consumers;
pub use parked::ParkedRun;
pub use progress::{Progress, RunState};
pub use projection::{Projection, Table, Target};
pub use projector::Projector;
pub use reset::Reset;
pub(crate) use runner::{Signal, is_outage, signal};
pub use settings::{Attempts, BoxError, OnFailure};
pub(crate) use settings::{process_owner, run_of};
pub use start::Start;
pub use subscription::Subscription;
pub(crate) use subscription::{TellBatch, ToldBatch};
pub use verify::{Counts, Finding, FindingKind, KnownType, Report, Stage, Verify, VerifyProgress};
