//! What is asked of PostgreSQL alone.

mod horizon;
mod faults;
mod server;
