//! The store for production: PostgreSQL, written by several processes at once.

mod append;
mod audit;
mod backend;
mod batch;
mod classify;
mod log;
mod migrate;
mod options;
mod page;
mod pool;
mod read;
mod row;
mod snapshot;
mod statement;
mod store;
mod work;

pub use log::Horizon;
pub use migrate::SCHEMA_VERSION;
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
