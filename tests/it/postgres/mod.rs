//! What is asked of PostgreSQL alone.

pub mod faults;
mod histories;
mod horizon;
mod pages;
mod server;
