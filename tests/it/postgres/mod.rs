//! What is asked of PostgreSQL alone.

pub mod faults;
mod histories;
mod horizon;
mod keys;
mod pages;
mod server;
