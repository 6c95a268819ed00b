//! The program `annals`: what an operator does to a store. One file for each verb.
//!
//! Data goes to standard output, words to standard error. 0: done; 1: failed; 2: called wrongly.

#![allow(unreachable_pub, reason = "a program is no interface")]

mod args;
mod database;
mod report;
mod sweep;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Verb};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return report::usage(&error),
    };
    // Driven by one thread: it waits for a database, and has nothing else to do.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report::failure(&error),
    };
    let done = runtime.block_on(async {
        match &args.verb {
            Verb::Sweep(sweep) => sweep::run(sweep).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&*error),
    }
}
