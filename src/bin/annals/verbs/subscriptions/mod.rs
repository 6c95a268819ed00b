//! `annals subscriptions`: who lags and why, and what can be done about it.

mod change;
mod choice;
mod list;
mod parked;
mod reason;
mod replay;
mod reset;

use std::time::Duration;

use annals::{CheckpointStore, Consumers, Error, Progress};
use clap::{Args as ClapArgs, Subcommand};

pub use self::reason::{brief, word};
use self::{
    change::{ForgetArgs, NameArgs},
    choice::ChoiceArgs,
    list::ListArgs,
    parked::ParkedArgs,
    replay::ReplayArgs,
    reset::ResetArgs,
};
use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
};

/// Shows who lags and why, and mends it: pause, replay, discard, move
///
/// A subscription tells its program every event; a projection keeps rows that are made of them. Both have a name, a position in
/// the log up to which everything is done, and one runner at a time. Begin with `list`: it says in a few words why one is
/// behind, and `list NAME` what can be done about it.
#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct SubscriptionsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(ListArgs),
    Parked(ParkedArgs),
    Replay(ReplayArgs),
    Discard(DiscardArgs),
    Pause(PauseArgs),
    Resume(ResumeArgs),
    Reset(ResetArgs),
    Forget(ForgetArgs),
}

/// Discards parked events: they are never handled
///
/// For events that nobody can or need handle any more. Events that were parked behind a discarded one stay parked until they
/// are replayed: it says how many. Whoever runs the consumer loses its lease for a moment, and goes on within a second. A paused one has to be
/// resumed first. Asks before it does anything.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals subscriptions discard mail --event 0197f6e8-8a54-7c00-8000-3d1f2a9b4c5d/3
  annals subscriptions discard mail --all --yes")]
struct DiscardArgs {
    /// Whose parked events
    name: String,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Pauses a subscription or projection: nobody runs it until it is resumed
///
/// Whoever runs it loses the lease at once, in whatever process; its runner stays there and waits. What it had under way is told
/// again later. Pausing what is paused changes nothing. Nothing is lost: it goes on where it stood.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals subscriptions pause mail")]
struct PauseArgs {
    #[command(flatten)]
    name: NameArgs,
}

/// Lets a paused subscription or projection run again
///
/// A program that has waited goes on within a second; it looks so long, and says whether one did. Where none runs it, start that
/// program: this does not.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals subscriptions resume mail")]
struct ResumeArgs {
    #[command(flatten)]
    name: NameArgs,
}

pub async fn run(session: &Session, args: &SubscriptionsArgs) -> Result<Ended, Failure> {
    on!(session.open().await?, store => match &args.verb {
        Verb::List(args) => list::run(session, &store, args).await,
        Verb::Parked(args) => parked::run(session, &store, args).await,
        Verb::Replay(args) => replay::run(session, &store, args).await,
        Verb::Discard(args) => {
            replay::discard(session, &store, (&args.name, args.choice.choice()), args.yes).await
        }
        Verb::Pause(args) => change::pause(session, &store, &args.name.name).await,
        Verb::Resume(args) => change::resume(session, &store, &args.name.name).await,
        Verb::Reset(args) => reset::run(session, &store, args).await,
        Verb::Forget(args) => change::forget(session, &store, args).await,
    })
}

/// How far a consumer is, each of its partitions; empty where there is none of that name, or can be none.
async fn find<S: CheckpointStore + Clone>(store: &S, name: &str) -> Result<Vec<Progress>, Failure> {
    match Consumers::new(store).progress(name).await {
        // What can be no name is nobody's.
        Err(Error::Invalid { .. }) => Ok(Vec::new()),
        found => Ok(found?),
    }
}

/// How often something was done, as people say it.
pub fn times(number: u32) -> String {
    match number {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        many => format!("{many} times"),
    }
}

/// There is none of that name.
fn nobody(name: &str) -> Ended {
    Ended::No(format!(
        "there is no subscription or projection {name:?}: `annals subscriptions list` shows those that there are"
    ))
}

/// How often something is tried while others hold what it needs, and the pause between.
const TRIES: (u32, Duration) = (20, Duration::from_millis(250));

/// Does what may be in the way of a runner at work, for a moment: tries again until that has let go.
async fn patiently<T>(mut work: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let (mut left, pause) = TRIES;
    loop {
        match work().await {
            Err(error) if error.is_retryable() && left > 1 => left -= 1,
            done => return done,
        }
        tokio::time::sleep(pause).await;
    }
}
