//! `annals migrate`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Brings the schema of the database up to this version
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals migrate --print")]
pub struct MigrateArgs {}

pub async fn run(session: &Session, _args: &MigrateArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
