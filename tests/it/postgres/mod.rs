//! What is asked of PostgreSQL alone.

mod faults;
mod horizon;
mod pages;
mod server;
