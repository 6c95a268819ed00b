//! Opening databases: new, old, newer, foreign, damaged, and several openers at once.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
