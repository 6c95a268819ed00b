//! A read model that keeps up with the orders, however often it is killed.
//!
//! ```sh
//! cargo run --example projection                                 # a story, with nothing to set up
//! cargo run --release --example order -- orders.csv.gz           # real orders, into orders.db
//! cargo run --release --example projection -- run                # what was sold, by country and day; until Ctrl-C
//! cargo run --release --example projection -- rebuild            # the same, made anew, while others read it
//! cargo run --features postgres --example projection -- run --database-url postgres://ann@localhost/shop
//! ```
//!
//! Read [`sales`] first: it is the projection, and all of it. Then [`story`], which shows what it does, and [`run`], which
//! is how a service runs it. [`read_model`] is what its readers see.
#![allow(missing_docs, unreachable_pub, reason = "a program is no library: nobody calls in from outside")]

#[path = "../order/answer.rs"]
mod answer;
mod args;
#[allow(dead_code, reason = "the order example needs more of it")]
#[path = "../order/database.rs"]
mod database;
#[allow(dead_code, reason = "the order example needs more of it")]
#[path = "../order/domain.rs"]
mod domain;
#[path = "../order/money.rs"]
mod money;
mod read_model;
mod report;
mod run;
mod sales;
mod story;
mod till;

use std::{io, process::ExitCode};

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    answer::exit_code(match args::Args::parse().task {
        Some(task) => run::run(task).await,
        None => story::tell(&mut io::stdout()).await,
    })
}
