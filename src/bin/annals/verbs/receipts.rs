//! `annals receipts`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Shows how the requests to one aggregate ended
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals receipts order natural:537434")]
pub struct ReceiptsArgs {}

pub async fn run(session: &Session, _args: &ReceiptsArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
