//! The payments example, from outside: a process that is begun, asked, killed and ended.

mod process;
pub mod program;
mod readme;
mod stripe;
