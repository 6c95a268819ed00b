//! `annals verify`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Checks that everything that was written is there, and fits together
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals verify")]
pub struct VerifyArgs {}

pub async fn run(session: &Session, _args: &VerifyArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
