//! The queues between callers and a database: appends share commits, loads share round trips.
//!
//! A database that writes one batch at a time has one queue and no choices: what waits while a batch is being written
//! goes as the next. One that writes several at once has a [rule](pace) for how many, which follows from how long
//! batches take and how large they are.

mod commits;
mod line;
mod loads;
mod pace;
mod tuning;
mod under_way;

pub(super) use commits::CommitQueue;
pub(super) use loads::{Alone, Asked, LoadQueue};
pub(super) use under_way::LoadUnderWay;
