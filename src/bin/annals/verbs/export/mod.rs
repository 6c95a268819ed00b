//! `annals export`: everything that was recorded, as a file.

mod bar;
mod members;
mod target;

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
};

use annals::{
    Limits,
    store::TransferStore,
    transfer::{Counts, Export, Exported, MoveError, Partial},
};
use clap::Args as ClapArgs;
use serde::Serialize;

use self::{members::Members, target::Target};
use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
    printer::{counted, grouped},
};

pub use self::{bar::Bar, target::GZIP};

/// Writes everything that was recorded to a file, as JSON Lines
///
/// Events in the order of the log, as far as it goes when the export begins, and the receipts that make retries harmless; then
/// what keeps anything from being told or done twice: how far subscriptions have come and which events they have parked,
/// timers, and messages that were handled. Payloads come byte by byte as they were written. It may run while others write, holds nobody up, and misses nothing.
/// `annals import` reads the file into another database, SQLite or PostgreSQL.
///
/// With --output the file is written beside its place, as FILE.partial, and takes its place at the end. Broken off, by
/// Ctrl-C or a crash, it goes on where it was when it is called again with the same arguments. Where it had written all
/// events, and more were recorded since, it refuses: what it would write would be old. --fresh begins anew.
///
/// Beside a running service the file is good to take the bulk over (`annals import --events-only`): timers, subscriptions and
/// handled messages are read after the events, and may know of some that are not in the file. It says so then. Before
/// anything is started on a copy, stop the service and export again.
///
/// It ends with 3 where a transaction that is still open keeps the end of the log from being read (PostgreSQL): the file is
/// whole up to there, but events may be missing. It says whose transaction that is. End it, and export again.
///
/// What is left behind: projections and snapshots (they are built anew), leases, stored answers to HTTP requests, records of
/// steps and calls to other services.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals export --output shop.jsonl.gz           into a file, gzipped because of its name
  annals export | zstd > shop.jsonl.zst          through a pipe; it begins anew when it is broken off")]
pub struct ExportArgs {
    /// The file to write; otherwise standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Gzip it, whatever the name of the file ends in
    #[arg(long)]
    gzip: bool,

    /// Throw away what an export that was broken off has left, and begin anew
    #[arg(long, requires = "output")]
    fresh: bool,

    /// Replace the file if it is there already
    #[arg(long, requires = "output")]
    force: bool,

    #[command(flatten)]
    bounds: BoundArgs,
}

/// Bounds on what is read from a file.
#[derive(Debug, ClapArgs)]
pub struct BoundArgs {
    /// The most bytes of a payload, where the application allows more than 1 MiB
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1 << 20..=1 << 30))]
    max_event_bytes: u32,
}

impl BoundArgs {
    pub fn limits(&self) -> Limits {
        Limits { event_bytes: self.max_event_bytes as usize, ..Limits::default() }
    }
}

/// What is told of an export in a file.
#[derive(Debug, Serialize)]
struct Told<'t> {
    file: &'t str,
    #[serde(flatten)]
    counts: Counts,
    digest: &'t str,
    up_to: u64,
    went_on: bool,
    held_by: Option<&'t str>,
}

pub async fn run(session: &Session, args: &ExportArgs) -> Result<Ended, Failure> {
    let is_stdout = args.output.as_ref().is_none_or(|path| path.as_os_str() == "-");
    if is_stdout && args.gzip && io::stdout().is_terminal() {
        return Err(Failure::Usage("gzipped data is nothing for a terminal: give --output FILE".to_owned()));
    }
    let target = match &args.output {
        Some(path) if !is_stdout => Some(Target::new(path, args.force)?),
        _ => None,
    };
    on!(session.open().await?, store => match target {
        Some(target) => to_file(session, args, &store, target).await,
        None => to_stdout(session, args, &store).await,
    })
}

async fn to_stdout(session: &Session, args: &ExportArgs, store: &dyn TransferStore) -> Result<Ended, Failure> {
    let bar = Bar::new(!session.printer.is_quiet() && !io::stdout().is_terminal(), None);
    let exported = write(store, Partial::default(), io::stdout(), args.gzip, &bar).await;
    bar.end();
    let exported = exported.map_err(failure)?;
    session.printer.words(format!("exported {}", words(&exported.counts)));
    Ok(ended(session, &exported))
}

async fn to_file(
    session: &Session,
    args: &ExportArgs,
    store: &dyn TransferStore,
    target: Target,
) -> Result<Ended, Failure> {
    let printer = &session.printer;
    let gzip = args.gzip || target.is_gzip();
    let (file, from) = target.open(gzip, args.fresh, &args.bounds.limits())?;
    if from.lines() > 0 {
        printer.words(format!("going on behind {}, which were written before", words(&from.counts())));
    }
    let bar = Bar::new(!printer.is_quiet(), None);
    let exported = write(store, from, &file, gzip, &bar).await;
    bar.end();
    let exported = exported.map_err(|error| match error {
        MoveError::WentOn => target.is_old(),
        error => failure(error),
    })?;
    target.keep(&file)?;
    let name = target.name();
    printer.words(format!("exported {} to {name}", words(&exported.counts)));
    if !printer.is_table() {
        let Exported { counts, digest, up_to, went_on, held_by } = &exported;
        let up_to = up_to.get();
        let told = Told { file: &name, counts: *counts, digest, up_to, went_on: *went_on, held_by: held_by.as_deref() };
        printer.object(&told, String::new)?;
    }
    Ok(ended(session, &exported))
}

/// Whether the file has everything, and what it is good for.
fn ended(session: &Session, exported: &Exported) -> Ended {
    if exported.went_on {
        session.printer.words(
            "the service was at work meanwhile: what subscriptions, timers and inbox know may be ahead of the events in this \
             file; before anything is started on a copy, stop the service and export again",
        );
    }
    let Some(holder) = &exported.held_by else { return Ended::Done };
    Ended::No(format!(
        "the export goes up to position {} only, and events behind it may be missing: {holder} keeps the log from being read \
         further; end that transaction, and export again",
        grouped(exported.up_to.get())
    ))
}

/// The bytes that are written at once.
const WRITTEN_BYTES: usize = 256 << 10;

/// Writes the lines that are missing.
async fn write(
    store: &dyn TransferStore,
    from: Partial,
    to: impl Write + Send,
    gzip: bool,
    bar: &Bar,
) -> Result<Exported, MoveError> {
    let buffered = io::BufWriter::with_capacity(WRITTEN_BYTES, to);
    let mut out: Box<dyn Write + Send + '_> = if gzip { Box::new(Members::new(buffered)) } else { Box::new(buffered) };
    let export = Export::new(store).go_on(from).on_progress(|counts, position, head| {
        bar.show(position.get(), head.get(), words(counts));
    });
    export.run(&mut *out).await
}

/// A reader of standard output that has gone away is none.
fn failure(error: MoveError) -> Failure {
    match error {
        MoveError::File(error) => Failure::output(error),
        error => error.into(),
    }
}

/// How many of each kind, for people.
///
/// Events and receipts, and of the others those that there are.
pub fn words(counts: &Counts) -> String {
    let others = [
        (counts.checkpoints, "checkpoint"),
        (counts.parked_events, "parked event"),
        (counts.timers, "timer"),
        (counts.messages, "handled message"),
        (counts.message_places, "message source"),
    ];
    let others = others.into_iter().filter(|(number, _)| *number > 0);
    let kinds = [(counts.events, "event"), (counts.receipts, "receipt")].into_iter().chain(others);
    kinds.map(|(number, one)| counted(number, one)).collect::<Vec<_>>().join(", ")
}
