//! `annals show`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Shows the history of one aggregate
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals show order natural:537434")]
pub struct ShowArgs {}

pub async fn run(session: &Session, _args: &ShowArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
