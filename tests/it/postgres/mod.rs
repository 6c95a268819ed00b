//! What is asked of PostgreSQL alone.

mod horizon;
mod server;
