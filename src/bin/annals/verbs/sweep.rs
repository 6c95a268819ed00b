//! `annals sweep`: deletes what has expired.

use std::time::Duration;

use annals::{Error, Retention, Sweeper, Swept, store::Expiring};
use clap::{Args as ClapArgs, ValueEnum};

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
    printer::{self, grouped},
};

/// Deletes what has expired: stored answers, receipts, steps
///
/// One pass, in batches, beside whoever works with the database; for cron, a systemd timer or a CronJob. Never a row whose
/// lease is alive. Several at once do no harm. Where the time is over before all is gone the next one goes on, and this one
/// has not failed.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals sweep --database-url sqlite:orders.db --max-seconds 60 --format jsonl")]
pub struct SweepArgs {
    /// How many rows one statement deletes
    #[arg(long, value_name = "ROWS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,

    /// No batch is begun after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    max_seconds: u32,

    /// These alone, separated by commas; otherwise all
    #[arg(long, value_name = "KINDS", value_enum, value_delimiter = ',')]
    only: Vec<Kind>,
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
pub async fn run(session: &Session, args: &SweepArgs) -> Result<Ended, Failure> {
    let swept = on!(session.open().await?, store => sweep(&store, args).await?);
    let printer = &session.printer;
    // For cron: what it says is an account of what it did.
    if printer.is_quiet() {
        return Ok(Ended::Done);
    }
    let counts = || {
        let total = ("total", swept.total());
        swept.rows.iter().map(|(kind, rows)| (kind.as_str(), *rows)).chain([total])
    };
    let mut object: serde_json::Map<_, _> = counts().map(|(kind, rows)| (kind.to_owned(), rows.into())).collect();
    object.insert("ended_early".to_owned(), swept.ended_early.into());
    object.insert("seconds".to_owned(), swept.took.as_secs_f64().into());
    printer.object(&object, || {
        let mut table = printer.table(&["KIND", "ROWS"]);
        table.add_rows(counts().map(|(kind, rows)| [kind.to_owned(), grouped(rows)]));
        printer::drawn(table)
    })?;
    if swept.ended_early {
        printer.words("the time is over and there may be more: call again");
    }
    Ok(Ended::Done)
}

async fn sweep<S: Retention + Clone + 'static>(store: &S, args: &SweepArgs) -> Result<Swept, Error> {
    let sweeper = Sweeper::new(store).batch(args.batch).longest_pass(Duration::from_secs(args.max_seconds.into()));
    let sweeper = match &args.only[..] {
        [] => sweeper,
        only => sweeper.kinds(only.iter().map(|kind| kind.expiring())),
    };
    sweeper.sweep().await
}
