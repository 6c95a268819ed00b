//! `annals sweep`: deletes what has expired.

use std::{error::Error as StdError, fmt::Write as _, time::Duration};

use annals::{Error, Retention, Sweeper, Swept, store::Expiring};
use clap::{Args as ClapArgs, ValueEnum};

use super::{
    args::{DatabaseArgs, Format},
    database::Database,
    report,
};

/// Deletes what has expired: stored answers, receipts, steps
///
/// One pass, in batches, beside whoever works with the database; for cron, a systemd timer or a CronJob. Never a row whose
/// lease is alive. Several at once do no harm. Where the time is over before all is gone the next one goes on, and this one
/// has not failed.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals sweep --database-url sqlite:orders.db --max-seconds 60 --format json")]
pub struct SweepArgs {
    #[command(flatten)]
    database: DatabaseArgs,

    /// How many rows one statement deletes
    #[arg(long, value_name = "ROWS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,

    /// No batch is begun after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    max_seconds: u32,

    /// These alone, separated by commas; otherwise all
    #[arg(long, value_name = "KINDS", value_enum, value_delimiter = ',')]
    only: Vec<Kind>,

    /// How the counts are written to standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Write nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// What expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Responses,
    Receipts,
    Steps,
    Timers,
    Inbox,
}

impl Kind {
    const fn expiring(self) -> Expiring {
        match self {
            Self::Responses => Expiring::Responses,
            Self::Receipts => Expiring::Receipts,
            Self::Steps => Expiring::Steps,
            Self::Timers => Expiring::Timers,
            Self::Inbox => Expiring::Inbox,
        }
    }
}

/// Makes one pass, and says what it came to.
pub async fn run(args: &SweepArgs) -> Result<(), Box<dyn StdError>> {
    let swept = match Database::open(&args.database.database_url).await? {
        Database::Sqlite(store) => sweep(&store, args).await?,
        Database::Postgres(store) => sweep(&store, args).await?,
    };
    if args.quiet {
        return Ok(());
    }
    report::data(&match args.format {
        Format::Table => table(&swept),
        Format::Json => json(&swept),
    })?;
    if swept.ended_early {
        report::words("the time is over and there may be more: call again");
    }
    Ok(())
}

async fn sweep<S: Retention + Clone + 'static>(store: &S, args: &SweepArgs) -> Result<Swept, Error> {
    let sweeper = Sweeper::new(store).batch(args.batch).longest_pass(Duration::from_secs(args.max_seconds.into()));
    let sweeper = match &args.only[..] {
        [] => sweeper,
        only => sweeper.kinds(only.iter().map(|kind| kind.expiring())),
    };
    sweeper.sweep().await
}

fn table(swept: &Swept) -> String {
    let mut text = format!("{:<10} {:>12}\n", "kind", "rows");
    let total = ("total", swept.total());
    for (kind, rows) in swept.rows.iter().map(|(kind, rows)| (kind.as_str(), *rows)).chain([total]) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{kind:<10} {rows:>12}");
    }
    text
}

fn json(swept: &Swept) -> String {
    let mut object: serde_json::Map<_, _> =
        swept.rows.iter().map(|(kind, rows)| (kind.as_str().to_owned(), (*rows).into())).collect();
    object.insert("total".to_owned(), swept.total().into());
    object.insert("ended_early".to_owned(), swept.ended_early.into());
    object.insert("seconds".to_owned(), swept.took.as_secs_f64().into());
    format!("{}\n", serde_json::Value::Object(object))
}
