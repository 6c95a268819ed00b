//! The store for production: PostgreSQL, written by several processes at once.
//!
//! ```no_run
//! # async fn example() -> Result<(), annals::Error> {
//! use annals::PostgresStore;
//!
//! // What the URL leaves out comes from PGUSER, PGPASSWORD and the like, and ~/.pgpass.
//! let store = PostgresStore::connect("postgres://app@db.internal/shop").await?;
//! # Ok(())
//! # }
//! ```
//!
//! What its role needs, how it lives behind pgbouncer and what makes it durable is said under "PostgreSQL" on the
//! [front page](crate).

mod append;
mod audit;
mod backend;
mod batch;
mod checkpoint;
mod checkpoints;
mod classify;
mod client_keys;
mod consumer;
mod group;
mod inbox;
mod inspect;
mod log;
mod migrate;
mod notify;
mod options;
mod page;
mod parked;
mod plain;
mod pool;
mod read;
mod read_model;
mod response;
mod responses;
mod retention;
mod row;
mod search;
mod snapshot;
mod stall;
mod statement;
mod steps;
mod store;
mod timer;
mod timers;
mod transfer;
mod turn;
mod work;

pub use log::{Holder, Horizon};
pub use migrate::{SCHEMA_VERSION, schema_script};
pub use options::PostgresOptions;
pub use store::PostgresStore;
pub use work::PostgresWork;

/// Lists every statement by its file's name.
///
/// So that tests can prepare each on a migrated database.
#[doc(hidden)]
#[must_use]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    statement::ALL.to_vec()
}

/// Lists the settings of connections that append, or that read, for their plans.
///
/// So that tests can look at the plans that the store gets.
#[doc(hidden)]
#[must_use]
pub fn connection_settings(is_writer: bool) -> Vec<(&'static str, &'static str)> {
    options::plan_settings(if is_writer { options::Role::Writer } else { options::Role::Reader })
}
