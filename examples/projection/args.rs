//! The command line.

use clap::{Args as Group, Parser, Subcommand};

use crate::answer::Format;

/// Keeps a read model of orders up to date: what was sold, by country and day.
///
/// Without a command: a short story, with nothing to set up. The commands are about the orders that
/// `cargo run --example order -- FILE` has imported.
#[derive(Debug, Parser)]
#[command(name = "projection")]
pub struct Args {
    #[command(subcommand)]
    pub task: Option<Task>,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Follows the orders until Ctrl-C, and then shows what was sold. Can be killed at any point, and started again
    Run {
        /// Ends as soon as all orders are in the read model
        #[arg(long)]
        until_caught_up: bool,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        pace: Pace,
    },
    /// Makes the read model anew from all events, while others go on to read the old one, and puts it in its place
    Rebuild {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        pace: Pace,
    },
    /// Tells how far the read model is, and who keeps it up to date
    Progress {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Group)]
pub struct Place {
    /// The database with the orders: sqlite:FILE or postgres://USER@HOST/NAME
    #[arg(long, value_name = "URL", default_value = "sqlite:orders.db")]
    pub database_url: String,

    /// How the result is written to standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Group)]
pub struct Pace {
    /// How many events share a transaction
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub batch_events: u16,

    /// How long the next run waits after this one was killed, before it takes over
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2_000,
          value_parser = clap::value_parser!(u32).range(100..=3_600_000))]
    pub lease: u32,
}

impl Task {
    pub const fn place(&self) -> &Place {
        match self {
            Self::Run { place, .. } | Self::Rebuild { place, .. } | Self::Progress { place } => place,
        }
    }
}
