//! Every statement of the stores, prepared on a migrated database, and the way it goes through the tables.

#[cfg(feature = "postgres")]
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
