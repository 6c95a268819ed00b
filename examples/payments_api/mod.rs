//! The payments service as a part of another example: the same files, without the command line.

pub mod account;
pub mod amount;
use super::{answer, database};
pub mod api_error;
pub mod args;
pub mod asked;
pub mod charge;
pub mod magic;
pub mod object;
pub mod openapi;
pub mod parameters;
pub mod past;
pub mod payment_intent;
pub mod routes;
pub mod server;
