//! `annals event`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Shows one event by its position in the log
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals event 5381")]
pub struct EventArgs {}

pub async fn run(session: &Session, _args: &EventArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
