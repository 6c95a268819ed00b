//! The read side.

mod verify;

pub use verify::{Counts, Finding, FindingKind, Progress, Report, Stage, Verify};
