//! The write side: commands in, events out, once.

mod attempt;
mod cache;
mod execute;
mod forestall;
mod in_lane;
mod outcome;
mod repository;
mod retry;
mod send;
mod snapshots;

pub use execute::Execute;
pub use outcome::{ExecuteError, Executed, Outcome};
pub use repository::{Loaded, Repository, Step};
pub use retry::Retry;
pub use send::append;
