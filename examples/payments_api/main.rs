//! A payments service over HTTP whose requests are safe to retry: the tutorial of the idempotency layer.
//!
//! ```sh
//! cargo run --example payments_api --features http                                    # on payments.db
//! cargo run --example payments_api --features http -- --errors stripe                 # for Stripe's own clients
//! cargo run --example payments_api --features http,postgres -- --database-url postgres://ann@localhost/shop
//! cargo run --example payments_api --features http -- --help
//! ```
//!
//! Its README.md is a session with curl. Read [`charge`] first: it is the model. Then [`routes`], where a request becomes
//! a command under the request's own key, and [`server`], which puts the layer around it.
#![allow(missing_docs, unreachable_pub, reason = "a program is no library: nobody calls in from outside")]

mod account;
mod amount;
#[allow(dead_code, reason = "the order example needs more of it")]
#[path = "../order/answer.rs"]
mod answer;
mod api_error;
mod args;
mod asked;
mod charge;
#[allow(dead_code, reason = "the order example needs more of it")]
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

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    answer::exit_code(server::run(args::Args::parse()).await)
}
