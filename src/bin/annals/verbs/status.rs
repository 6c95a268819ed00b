//! `annals status`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Tells what is there, and what is behind
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals status")]
pub struct StatusArgs {}

pub async fn run(session: &Session, _args: &StatusArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
