//! Orders that are paid at one service, packed from another and shipped in time, or undone: the tutorial of processes.
//!
//! ```sh
//! cargo run --example fulfilment --features http,client                                  # five orders, in memory
//! cargo run --example fulfilment --features http,client -- --orders 200 --chaos --kills 10
//! cargo run --example fulfilment --features http,client -- --help
//! ```
//!
//! Read [`fulfilment`] first: it is the process, and all of it. [`order`], [`stock`] and [`shipment`] are the aggregates it
//! sends commands to, and [`payments`] is the other service as it is seen from here: the payments example, over HTTP.
//! [`story`] plays five orders, and [`timeline`] reads back what happened to them. [`many`] is for when everything goes wrong
//! at once, and [`books`] looks whether anything was lost.
#![allow(missing_docs, unreachable_pub, reason = "a program is no library: nobody calls in from outside")]

#[allow(dead_code, reason = "the order example needs more of it")]
#[path = "../order/answer.rs"]
mod answer;
mod args;
mod books;
mod child;
mod customers;
#[allow(dead_code, reason = "the order example needs more of it")]
#[path = "../order/database.rs"]
mod database;
mod fulfilment;
mod many;
mod network;
mod order;
mod payments;
#[allow(dead_code, reason = "as a program of its own it does more")]
#[path = "../payments_api/mod.rs"]
mod payments_api;
mod plan;
mod runner;
mod shipment;
mod shop;
mod shop_clock;
mod stock;
mod story;
mod timeline;
mod warehouse;

use std::{io, process::ExitCode};

use clap::Parser as _;

use crate::args::{Args, Part};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match (args.part, args.orders) {
        (Some(Part::Payments { database_url }), _) => child::be_payments(&database_url).await,
        (Some(Part::Runner { database_url, payments }), _) => child::be_runner(&database_url, payments).await,
        (None, Some(orders)) => {
            let urls = (args.database_url, args.payments_database_url);
            many::run(orders, urls, &args.chaos, &mut io::stdout()).await
        }
        (None, None) => story::tell(args.database_url.as_deref(), &mut io::stdout()).await,
    };
    answer::exit_code(done)
}
