//! Every conformance case, on every backend and in every setting.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
