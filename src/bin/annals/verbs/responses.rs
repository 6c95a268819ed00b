//! `annals responses`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Lists and tends the stored answers of HTTP requests
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals responses list")]
pub struct ResponsesArgs {}

pub async fn run(session: &Session, _args: &ResponsesArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
