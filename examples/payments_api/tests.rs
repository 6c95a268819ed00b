//! Runs the tests that stand at the end of this example's files, and those of its endpoints.
//!
//! `cargo test --all-features --test payments_api`
#![allow(missing_docs, unreachable_pub, dead_code, reason = "of the program only what has tests is used here")]

mod account;
mod amount;
#[path = "../order/answer.rs"]
mod answer;
mod api_error;
mod args;
mod asked;
mod cases;
mod charge;
#[path = "../order/database.rs"]
mod database;
mod magic;
mod object;
mod openapi;
mod parameters;
mod past;
mod payment_intent;
mod routes;
mod server;
