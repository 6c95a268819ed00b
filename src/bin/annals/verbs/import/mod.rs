//! `annals import`: what `annals export` wrote, into this database.

mod source;

use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering};

use annals::{
    store::TransferStore,
    transfer::{Counts, Import, Imported, MoveError, check},
};
use clap::Args as ClapArgs;
use serde::Serialize;

use self::source::Source;
use super::export::{Bar, BoundArgs, words};
use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
    printer::grouped,
};

/// Reads what `annals export` wrote into this database
///
/// Events come to the end of the log, in their order, with their times and command ids; receipts with them, so that a
/// retry of a command that was carried out before the move is answered as it was then. What is there already is compared byte
/// by byte and passed over: broken off, it is called again; importing the same file twice changes nothing. Other aggregates
/// may be there, and others may write. But nobody may send commands to the moved ones, or start a subscription or timer on
/// this database, before the last import has ended.
///
/// While the old database is in use, import with --events-only, as often as you like: what subscriptions, timers and the
/// inbox know still changes there, and a later import would not take back what is gone there. Then stop the service, export
/// again, and import that file without it: the last import takes all.
///
/// Checkpoints of subscriptions that were run here stay where they are; it names those subscriptions.
///
/// A file that was cut short or changed is refused, with the number of the line; so is an event in whose place another
/// stands. What came before that line was imported. The database needs the current schema: `annals migrate` makes it.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals import shop.jsonl.gz                    gzipped or not, it finds out by itself
  annals import --events-only shop.jsonl.gz      while the old database is still in use
  annals import --dry-run shop.jsonl.gz          is the file whole? Needs no database, writes nothing
  zstd -dc shop.jsonl.zst | annals import -      from a pipe")]
pub struct ImportArgs {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: String,

    /// Check the whole file and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Take events and receipts alone: for every import but the last
    #[arg(long, conflicts_with = "dry_run")]
    events_only: bool,

    #[command(flatten)]
    bounds: BoundArgs,
}

/// What is told of an import.
#[derive(Debug, Serialize)]
struct Told {
    new: Counts,
    already_there: Counts,
    left_checkpoints: u64,
    left_subscriptions: Vec<String>,
}

pub async fn run(session: &Session, args: &ImportArgs) -> Result<Ended, Failure> {
    if args.dry_run {
        return dry_run(session, args);
    }
    let database = session.open().await?;
    let bar_bytes = Arc::new(AtomicU64::new(0));
    let source = Source::open(&args.file, &bar_bytes)?;
    on!(database, store => import(session, args, &store, source, &bar_bytes).await)
}

/// Says what is in the file, or what is wrong with it.
fn dry_run(session: &Session, args: &ImportArgs) -> Result<Ended, Failure> {
    let source = Source::open(&args.file, &Arc::default())?;
    match check(source.input, &args.bounds.limits()) {
        Ok(counts) => {
            session.printer.words(format!("{} is whole: {}; nothing was written", args.file, words(&counts)));
            if !session.printer.is_table() {
                session.printer.object(&counts, String::new)?;
            }
            Ok(Ended::Done)
        }
        Err(refused @ MoveError::Refused { .. }) => Ok(Ended::No(format!("{}: {refused}", args.file))),
        Err(error) => Err(error.into()),
    }
}

async fn import(
    session: &Session,
    args: &ImportArgs,
    store: &dyn TransferStore,
    source: Source,
    read: &AtomicU64,
) -> Result<Ended, Failure> {
    let printer = &session.printer;
    let bar = Bar::new(!printer.is_quiet(), source.length);
    let length = source.length;
    let mut so_far = Imported::default();
    let mut import = Import::new(store).limits(args.bounds.limits());
    if args.events_only {
        import = import.events_only();
    }
    let import = import.on_progress(|imported| {
        so_far = imported.clone();
        let done = read.load(Ordering::Relaxed);
        bar.show(done, length.unwrap_or(done), summary(imported));
    });
    let imported = import.run(source.input).await;
    bar.end();
    match imported {
        Ok(imported) => {
            printer.words(summary(&imported));
            if imported.left_checkpoints > 0 {
                printer.words(left(&imported));
            }
            if !printer.is_table() {
                let Imported { new, present, left_checkpoints, left_subscriptions } = imported;
                let told = Told { new, already_there: present, left_checkpoints, left_subscriptions };
                printer.object(&told, String::new)?;
            }
            Ok(Ended::Done)
        }
        Err(error) => {
            printer.words(format!("before it failed: {}", summary(&so_far)));
            Err(error.into())
        }
    }
}

fn summary(imported: &Imported) -> String {
    let Imported { new, present, left_checkpoints, .. } = imported;
    let left = match left_checkpoints {
        0 => String::new(),
        1 => "; left as it is: 1 checkpoint".to_owned(),
        many => format!("; left as they are: {} checkpoints", grouped(*many)),
    };
    format!("new: {}; already there: {}{left}", words(new), words(present))
}

/// Which subscriptions do not go on where they did in the old database.
fn left(imported: &Imported) -> String {
    format!(
        "left as they are here: the checkpoints of {}; they were run here or stand further on, have another number of \
         partitions, are projections here, or the event they stand at is not here. See `annals subscriptions`",
        imported.left_subscriptions.join(", ")
    )
}
