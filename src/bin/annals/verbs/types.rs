//! `annals types`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Counts aggregates and events by type
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals types")]
pub struct TypesArgs {}

pub async fn run(session: &Session, _args: &TypesArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
