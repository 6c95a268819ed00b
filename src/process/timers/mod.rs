//! What is done at a time: timers that fire at least once, at or after they are due.

mod fired;
mod runner;
mod service;

pub use self::{fired::FiredTimer, runner::TimerRunner, service::Timers};
