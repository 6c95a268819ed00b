//! NATS with JetStream for tests: the run's server, and servers of one's own to be killed, started again and frozen.
//!
//! Not a crate: who needs it names this file with `#[path]`, and has `tempfile` and `tokio`.
//!
//! - [`url`]: the server of this run, for tests that have a stream of their own and leave the server alone. It is the one
//!   `NATS_URL` names, as `scripts/test.sh` does; else one is started for this process.
//! - [`Server::start`]: a server of one's own, on a port of its own.
//!
//! Servers are started from `ANNALS_TEST_NATS_BIN`, `PATH`, `/usr/bin` or `/usr/sbin`, on 127.0.0.1, with streams in a temporary
//! directory. A shell (`supervise.sh`) holds each by a pipe from this process: when the process ends in any way, the server is
//! ended and its directory removed. Where no server can be had, tests fail.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "who includes this uses a part of it")]

pub mod program;
mod server;

pub use server::{Server, url};
