//! `annals log`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Shows events of the log, newest last
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals log --follow")]
pub struct LogArgs {}

pub async fn run(session: &Session, _args: &LogArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
