//! What is asked of PostgreSQL alone.

pub mod faults;
mod horizon;
mod pages;
mod server;
