//! `annals bench`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Measures what this database gives: commands a second, and how long one takes
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals bench --seconds 5")]
pub struct BenchArgs {}

pub async fn run(session: &Session, _args: &BenchArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
