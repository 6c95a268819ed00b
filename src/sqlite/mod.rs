//! The embedded store: one file, one writer, many readers.

mod append;
mod audit;
mod backend;
mod checkpoint;
mod checkpoints;
mod classify;
mod client_keys;
mod commits;
mod consumer;
mod event_rows;
mod groups;
mod inbox;
mod inspect;
mod migrate;
mod options;
mod parked;
mod read;
mod read_model;
mod response;
mod responses;
mod retention;
mod row;
mod search;
mod snapshot;
mod standing;
mod statement;
mod steps;
mod store;
mod timer;
mod timers;
mod transaction;
mod transfer;
mod work;

pub use migrate::{SCHEMA_VERSION, schema_script};
pub use options::{SqliteOptions, Synchronous};
pub use store::SqliteStore;
pub use work::SqliteWork;

/// Lists every statement by its file's name.
///
/// So that tests can prepare each on a migrated database.
#[doc(hidden)]
pub fn statements() -> Vec<(&'static str, String)> {
    statement::all()
}
