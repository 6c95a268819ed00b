//! What is measured, as the command line says it.

use std::path::PathBuf;

use annals_contest::{Asked, Engine, Work};
use clap::{Parser, ValueEnum};

use crate::log;

/// Of how many events of a log one is in the log that a table is rebuilt from.
const REBUILT_SHARE: u64 = 5;

/// Runs the same work on annals, on hand-written SQL and on bare INSERTs, and prints one table.
///
/// Each round runs every contender in turn, each in a process of its own on a fresh database. What is printed are the
/// medians of the rounds; ratios are taken within a round. Run it on a quiet machine, on the disk you mean.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// How many tasks send commands at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64, 256], value_parser = clap::value_parser!(u64).range(1..=4_096))]
    tasks: Vec<u64>,

    /// How often everything is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: u32,

    /// On which databases.
    #[arg(long, value_delimiter = ',', default_values_t = [Engine::Sqlite, Engine::Postgres])]
    on: Vec<Engine>,

    /// The PostgreSQL server, by the URL of a database on it, for a role that may create others. Default: a server is
    /// started for the run, in the directory for temporary files.
    #[arg(long)]
    pub(crate) database_url: Option<String>,

    /// What is done.
    #[arg(long, value_delimiter = ',', default_values_t = [Kind::New, Kind::Lifecycle, Kind::Together, Kind::Contended, Kind::Load, Kind::Bulk, Kind::Fold, Kind::Rebuild, Kind::Questions])]
    work: Vec<Kind>,

    /// How many commands a contender runs; loads follow from it.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(16..=10_000_000))]
    pub(crate) commands: u64,

    /// Only contenders with these names, in what all contenders do.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,

    /// How the result is printed.
    #[arg(long, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Where SQLite's databases are made. Default: the directory for temporary files.
    #[arg(long)]
    dir: Option<PathBuf>,

    /// How many events a log has that is read; several: it grows from one to the next.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000], value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    events: Vec<u64>,

    /// How many stored answers have expired that are swept away.
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    pub(crate) expired: u64,

    /// A program with more contenders; several: as many times.
    #[arg(long = "peer")]
    pub(crate) peers: Vec<PathBuf>,

    /// How many events a store has that has grown; before, a thousandth.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(100_000..=100_000_000))]
    pub(crate) grown: u64,

    /// How the command calls itself.
    #[command(flatten)]
    pub(crate) asked: Asked,

    /// A step of a measurement, where a log is read, as JSON.
    #[arg(long, hide = true)]
    pub(crate) log_step: Option<String>,

    /// The same, where requests are sent over HTTP.
    #[arg(long, hide = true)]
    pub(crate) http_cell: Option<String>,

    /// The other process of a latency.
    #[arg(long, hide = true)]
    pub(crate) listen: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// New orders of one command each.
    New,
    /// New orders of four commands each.
    Lifecycle,
    /// The same, in two processes on one database.
    Together,
    /// Many tasks on one order.
    Contended,
    /// Orders with long histories.
    Load,
    /// Ready-made histories of many orders, written.
    Bulk,
    /// A log of each contender's own, read and folded.
    Fold,
    /// A table, rebuilt from a log of each contender's own: a fifth of `--events`, as some commit each event.
    Rebuild,
    /// What is asked and not measured: lost replies, and subscribers beside writers.
    Questions,
    /// The log of annals, from its beginning to its end: by annals and by hand, on the same rows.
    Log,
    /// From an append to a subscription's handler; 2,000 events at the most.
    Latency,
    /// Requests over HTTP, with the idempotency layer and without it; 64 clients at the most.
    Http,
    /// Claims of new keys, while expired answers are swept away.
    Sweep,
    /// An export, read into a fresh database; 200,000 events at the least.
    Import,
    /// Commands, appends and loads in a store that has grown a thousandfold.
    Grown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Args {
    /// The pieces of work, in the order of the table.
    pub(crate) fn works(&self) -> Vec<Work> {
        let by_tasks = |work: fn(u64) -> Work| self.tasks.iter().map(|tasks| work(*tasks)).collect();
        let of_kind = |kind: &Kind| match kind {
            Kind::New => by_tasks(|tasks| Work::New { tasks }),
            Kind::Lifecycle => by_tasks(|tasks| Work::Lifecycle { tasks }),
            Kind::Together => by_tasks(|tasks| Work::Together { tasks }),
            Kind::Contended => vec![Work::Contended],
            Kind::Load => [1_000, 10_000].map(|events| Work::Load { events }).into(),
            Kind::Bulk => vec![Work::Bulk],
            Kind::Fold => self.events.iter().map(|events| Work::Log { events: *events }).collect(),
            Kind::Rebuild => {
                self.events.iter().map(|events| Work::Rebuild { events: events.div_ceil(REBUILT_SHARE) }).collect()
            }
            Kind::Questions => vec![Work::LostReply, Work::Beside],
            // Measured in another way.
            Kind::Log | Kind::Latency | Kind::Http | Kind::Sweep | Kind::Import | Kind::Grown => Vec::new(),
        };
        self.work.iter().flat_map(of_kind).collect()
    }

    /// The lengths of the log to read, in orders; none where no log is to be read.
    pub(crate) fn log_orders(&self) -> Vec<u64> {
        let mut orders: Vec<_> = self.events.iter().map(|events| log::orders_of(*events)).collect();
        orders.retain(|_| self.work.contains(&Kind::Log));
        orders.sort_unstable();
        orders.dedup();
        orders
    }

    /// How many orders are imported; none where none are to be.
    pub(crate) fn imported_orders(&self) -> Vec<u64> {
        let mut orders: Vec<_> = self.events.iter().map(|events| log::orders_of(*events.max(&200_000))).collect();
        orders.retain(|_| self.work.contains(&Kind::Import));
        orders.sort_unstable();
        orders.dedup();
        orders
    }

    pub(crate) fn wants_grown(&self) -> bool {
        self.work.contains(&Kind::Grown)
    }

    pub(crate) fn wants_latency(&self) -> bool {
        self.work.contains(&Kind::Latency)
    }

    /// How many clients send requests over HTTP, up to so many; none where no requests are to be sent.
    pub(crate) fn http_clients(&self, most: u64) -> Vec<u64> {
        let mut clients: Vec<_> = self.tasks.iter().map(|tasks| *tasks.min(&most)).collect();
        clients.retain(|_| self.work.contains(&Kind::Http));
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    pub(crate) fn wants_sweep(&self) -> bool {
        self.work.contains(&Kind::Sweep)
    }

    /// The databases, in the order of the tables.
    pub(crate) fn engines(&self) -> &[Engine] {
        &self.on
    }

    pub(crate) fn wants(&self, contender: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|name| name == contender)
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

macro_rules! display_as_value {
    ($($kind:ty),+) => {$(
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
            }
        }
    )+};
}

display_as_value!(Kind, Format);
