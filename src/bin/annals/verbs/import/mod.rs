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
};

/// Reads what `annals export` wrote into this database
///
/// Events come to the end of the log, in their order, with their times and command ids; receipts with them, so that a
/// retry of a command that was carried out before the move is answered as it was then. What is there already is compared byte
/// by byte and passed over: broken off, it is called again; importing the same file twice changes nothing. Other aggregates
/// may be there, and others may write, but send commands to the moved ones only when it has ended.
///
/// A file that was cut short or changed is refused, with the number of the line; so is an event in whose place another
/// stands. What came before that line was imported. The database needs the current schema: `annals migrate` makes it.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals import shop.jsonl.gz                    gzipped or not, it finds out by itself
  annals import --dry-run shop.jsonl.gz          is the file whole? Needs no database, writes nothing
  zstd -dc shop.jsonl.zst | annals import -      from a pipe")]
pub struct ImportArgs {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: String,

    /// Check the whole file and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    bounds: BoundArgs,
}

/// What is told of an import.
#[derive(Debug, Serialize)]
struct Told {
    new: Counts,
    already_there: Counts,
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
    let import = Import::new(store).limits(args.bounds.limits()).on_progress(|imported| {
        so_far = *imported;
        let done = read.load(Ordering::Relaxed);
        bar.show(done, length.unwrap_or(done), summary(imported));
    });
    let imported = import.run(source.input).await;
    bar.end();
    match imported {
        Ok(imported) => {
            printer.words(summary(&imported));
            if !printer.is_table() {
                printer.object(&Told { new: imported.new, already_there: imported.present }, String::new)?;
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
    let Imported { new, present } = imported;
    format!("new: {}; already there: {}", words(new), words(present))
}
