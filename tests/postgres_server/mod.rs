//! PostgreSQL for tests and measurements: a server of the run with a database for each test, and servers of one's own.
//!
//! Not a crate: who needs it names this file with `#[path]`, and has `sqlx` (`postgres`), `tempfile` and `tokio`.
//!
//! - [`Database::create`]: an empty database on the server of this run, dropped with the value. That server is the one
//!   `DATABASE_URL` names, as `scripts/test.sh` does; else one is started for this process.
//!   That one keeps its data in memory, where there is room.
//! - [`Server::start`]: a server of one's own, to be stopped and started again, on disk.
//!
//! Servers are started from `ANNALS_TEST_PG_BIN`, the newest of `/usr/lib/postgresql/*/bin`, or `PATH`; they listen on
//! a unix socket in a temporary directory. A shell (`supervise.sh`) holds each by a pipe from this process: when the
//! process ends in any way, the server is stopped and the directory removed. Where no server can be had, tests fail.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "who includes this uses a part of it")]

pub mod account;
pub mod binaries;
mod database;
pub mod keeper;
mod server;
pub mod supervisor;
pub mod url;

pub use database::Database;
pub use server::{Server, ServerOptions};
