//! `annals trace`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Shows what led to what: the events of one correlation as a tree
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals trace 018f-7a")]
pub struct TraceArgs {}

pub async fn run(session: &Session, _args: &TraceArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
