//! The command line.

use std::{net::SocketAddr, time::Duration};

use clap::{Args as Group, Parser, Subcommand};

/// Has orders paid, packed and shipped across services, or leaves nothing of them behind.
///
/// Without arguments: the story of five orders, on a database in memory. With --orders: many of them, and then the books.
#[derive(Debug, Parser)]
#[command(name = "fulfilment", args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What the child processes of a run are: not for people
    #[command(subcommand)]
    pub part: Option<Part>,

    /// The database of orders: sqlite:FILE, made where there is none, or postgres://USER@HOST/NAME. Unless told otherwise
    /// the story takes place in memory, and many orders in files of their own that are gone afterwards
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,

    /// The payment service's own database, for many orders
    #[arg(long, value_name = "URL", requires = "orders")]
    pub payments_database_url: Option<String>,

    /// How many orders are placed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub orders: Option<u32>,

    #[command(flatten)]
    pub chaos: Chaos,
}

/// What goes wrong while many orders are fulfilled.
#[derive(Debug, Clone, Group)]
pub struct Chaos {
    /// Loses requests and replies on the way to the payment service and holds replies back, and has deadlines missed
    #[arg(long, requires = "orders")]
    pub chaos: bool,

    /// How often the runner or the payment service is killed (SIGKILL) and begun again
    #[arg(long, value_name = "K", default_value_t = 0, requires = "chaos",
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub kills: u32,

    /// What decides about everything that is drawn. Printed, if it is drawn as well
    #[arg(long, value_name = "S", requires = "orders")]
    pub seed: Option<u64>,

    /// By when an order is promised to be shipped, after it was placed
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "orders", value_parser = seconds)]
    pub ship_within: Duration,
}

#[derive(Debug, Subcommand)]
pub enum Part {
    /// The payment service, until its standard input ends
    #[command(hide = true)]
    Payments {
        #[arg(long)]
        database_url: String,
    },
    /// The runner of processes, until its standard input ends
    #[command(hide = true)]
    Runner {
        #[arg(long)]
        database_url: String,
        /// Where the payment service is
        #[arg(long)]
        payments: SocketAddr,
    },
}

/// Reads seconds, also parts of one.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let bounds = Duration::from_millis(100)..=Duration::from_secs(3_600);
    seconds.filter(|seconds| bounds.contains(seconds)).ok_or_else(|| "a number of seconds, 0.1 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
        let args = Args::try_parse_from(["fulfilment"]).unwrap();
        assert!(args.orders.is_none() && args.part.is_none());
        let args = Args::try_parse_from(["fulfilment", "--orders", "9", "--chaos", "--kills", "2", "--seed", "7"]);
        let args = args.unwrap();
        assert_eq!((args.orders, args.chaos.kills, args.chaos.seed), (Some(9), 2, Some(7)));
        for unfit in [&["--orders", "0"][..], &["--chaos"], &["--orders", "9", "--kills", "1"], &["--seed", "1"]] {
            assert!(Args::try_parse_from([&["fulfilment"], unfit].concat()).is_err(), "{unfit:?}");
        }
        let part = ["fulfilment", "runner", "--database-url", "sqlite:a.db", "--payments", "127.0.0.1:1"];
        assert!(matches!(Args::try_parse_from(part).unwrap().part, Some(Part::Runner { .. })));
    }
}
