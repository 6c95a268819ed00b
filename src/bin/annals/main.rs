//! The program `annals`: what an operator, and a developer on the first day, does to a store. One file for each verb.
//!
//! Data goes to standard output, words to standard error. 0: done; 1: failed; 2: called wrongly; 3: not found, or a check
//! that failed.

#![allow(unreachable_pub, reason = "a program is no interface")]

mod args;
mod ask;
mod database;
mod ending;
mod interrupt;
mod look;
mod printer;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

use args::Args;
use ending::usage;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    args.global.listen();
    let session = args.global.session();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return ending::code(&session.printer, Err(error.into())),
    };
    let ended = runtime.block_on(verbs::run(&session, &args.verb));
    ending::code(&session.printer, ended)
}
