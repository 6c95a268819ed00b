//! Runs the tests that stand at the end of this example's files, and those of the process and the books.
//!
//! `cargo test --all-features --test fulfilment`
#![allow(missing_docs, unreachable_pub, dead_code, reason = "of the program only what has tests is used here")]

#[path = "../order/answer.rs"]
mod answer;
mod args;
mod books;
mod cases;
#[path = "../order/database.rs"]
mod database;
mod fulfilment;
mod order;
mod payments;
#[path = "../payments_api/mod.rs"]
mod payments_api;
mod plan;
mod shipment;
mod shop;
mod stock;
