//! `annals timers`: what is due at a time, processes among it, and what was given up.

use annals::{
    Error, TimerStore,
    store::{TimerQuery, TimerState},
};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
};

mod list;
mod resume;

pub use self::list::{QUEUE_HEADINGS, queue_cells};

/// Shows queues of timers and processes, and has what was given up tried again
///
/// A timer fires once it is due. A process (a process manager's work for one order, one payment …) has a timer in the queue of
/// its type, which wakes it when there is something to do. One that fails is tried again with growing pauses, and is parked
/// after too many attempts: then it waits for somebody to mend the cause and resume it.
#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct TimersArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(ListArgs),
    Resume(ResumeArgs),
}

/// Shows the queues, or the timers and processes of one
///
/// Without a QUEUE: what there is to do in each. With one: its timers in the order of their ids, with the last error of each.
/// In the queue of a type of processes the ID is that of the process.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals timers list
  annals timers list fulfilment --parked
  annals timers list fulfilment --state waiting --limit 20")]
pub struct ListArgs {
    /// This queue's
    queue: Option<String>,

    /// Those that were given up, which is short for --state parked
    #[arg(long, conflicts_with = "state", requires = "queue")]
    parked: bool,

    /// In this state alone
    #[arg(long, value_enum, requires = "queue")]
    state: Option<State>,

    /// The most timers
    #[arg(long, value_name = "TIMERS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,

    /// Those behind this id
    #[arg(long, value_name = "ID", requires = "queue")]
    after: Option<Uuid>,
}

/// Has parked timers and processes tried again, at once and with all their attempts
///
/// Mend the cause first. It is safe at any time: what was begun is repeated under the same keys. Whoever runs the queue takes it
/// up; this program does not.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals timers resume fulfilment --id 0197f6e8-8a54-7c00-8000-3d1f2a9b4c5d
  annals timers resume fulfilment --all")]
pub struct ResumeArgs {
    /// The queue
    queue: String,

    /// This one
    #[arg(long, value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    id: Option<Uuid>,

    /// All that are parked
    #[arg(long)]
    all: bool,
}

/// How far a timer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// It waits, or is being fired
    Waiting,
    /// It was given up
    Parked,
    /// It has fired, and is remembered for a while
    Fired,
    /// It was cancelled, and is remembered for a while
    Cancelled,
}

impl From<State> for TimerState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Parked => Self::Parked,
            State::Fired => Self::Fired,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// As it is written.
const fn word(state: TimerState) -> &'static str {
    match state {
        TimerState::Waiting => "waiting",
        TimerState::Parked => "parked",
        TimerState::Fired => "fired",
        TimerState::Cancelled => "cancelled",
        _ => "unknown",
    }
}

pub async fn run(session: &Session, args: &TimersArgs) -> Result<Ended, Failure> {
    on!(session.open().await?, store => match &args.verb {
        Verb::List(args) => list::run(session, &store, args).await,
        Verb::Resume(args) => resume::run(session, &store, args).await,
    })
}

/// Whether there is such a queue: one that holds a timer, or remembers one.
async fn has(store: &impl TimerStore, queue: &str) -> Result<bool, Failure> {
    match store.list_timers(&TimerQuery { queue: queue.into(), state: None, after: None, limit: 1 }).await {
        // What can be no name is nobody's.
        Err(Error::Invalid { .. }) => Ok(false),
        found => Ok(!found?.is_empty()),
    }
}

fn nowhere(queue: &str) -> Ended {
    Ended::No(format!("there is no queue {queue:?}: `annals timers list` shows those that there are"))
}
