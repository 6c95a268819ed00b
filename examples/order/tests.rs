//! Runs the tests that stand at the end of this example's files: `cargo test --test order`.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "of the program only what has tests is used here")]

mod answer;
mod args;
mod database;
mod domain;
mod file;
mod import;
mod money;
mod progress;
mod row;
mod summary;
