//! `annals subscriptions`.

use clap::Args as ClapArgs;

use crate::{
    args::Session,
    ending::{Ended, Failure},
};

/// Lists and tends subscriptions and projections
///
/// More.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals subscriptions list")]
pub struct SubscriptionsArgs {}

pub async fn run(session: &Session, _args: &SubscriptionsArgs) -> Result<Ended, Failure> {
    session.open().await?;
    Err(Failure::failed("not built yet"))
}
