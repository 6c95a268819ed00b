//! `annals export`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Writes everything that was recorded to a file, as JSON Lines
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals export --output shop.jsonl.gz")]
pub struct ExportArgs {}

pub async fn run(session: &Session, _args: &ExportArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
