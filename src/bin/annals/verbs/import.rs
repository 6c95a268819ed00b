//! `annals import`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Reads what `export` wrote into this database
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals import shop.jsonl.gz")]
pub struct ImportArgs {}

pub async fn run(session: &Session, _args: &ImportArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
