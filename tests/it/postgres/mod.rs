//! What is asked of PostgreSQL alone.

mod server;
