//! `annals verify`: is everything that was written still there, and does it fit together?

mod account;
mod known;
mod output;
mod progress;

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use annals::{Error, KnownType, Report, Verify, store::Auditable};
use clap::Args as ClapArgs;
use tokio::sync::Notify;

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
};

use self::{output::Output, progress::Bar};

/// Checks that everything that was written is there, and fits together
///
/// It reads all events, receipts, snapshots, checkpoints and parked events, in one consistent view, beside whoever writes:
/// services need not be stopped, and nothing is changed. What is wrong is printed as it is found, a line each: what kind
/// it is, at which position of the log, and a sentence that names the place. The end is said on standard error.
///
/// It also opens a database that a service refuses to open, because the sequence of its positions is behind the log. It
/// takes a few MiB of memory, however large the database is. On SQLite the file beside the database (-wal) grows while
/// services write and the check lasts.
///
/// It cannot see that the last events are gone together with everything that speaks of them, as after a restore of an
/// older backup. Whether the pages of the database are whole beyond what it reads is for the database's own check.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Exit codes:
  0  nothing is wrong
  3  something is wrong: each finding is on standard output
  1  it could not be checked to the end

Examples:
  annals verify
  annals verify --format jsonl | grep -v '\"kind\":\"report\"'    an object for each finding
  annals verify -q || echo 'call somebody'
  annals types --format json > types.json                     while all is well, once for each release
  annals verify --types types.json                            is there anything that no code reads?")]
pub struct VerifyArgs {
    /// The types of events there may be: any other is a finding
    ///
    /// A file with what `annals types --format json` (or jsonl) prints. Without it, only types that cannot have been
    /// written are found.
    #[arg(long, value_name = "FILE")]
    types: Option<PathBuf>,
}

/// Checks, and says what is wrong.
pub async fn run(session: &Session, args: &VerifyArgs) -> Result<Ended, Failure> {
    let known = args.types.as_deref().map(known::read).transpose()?;
    let database = session.inspect().await?;
    let printer = &session.printer;
    let (bar, closed, began) = (Bar::new(printer), Notify::new(), Instant::now());
    let output = Mutex::new(Output::new(printer.format()));
    let report = {
        let check = on!(&database, store => check(store, known, &output, &bar, &closed));
        tokio::select! {
            report = check => Some(report?),
            // Nobody reads what is found, or it cannot be written: no reason to look for more.
            () = closed.notified() => None,
        }
    };
    bar.clear();
    let (took, output) = (began.elapsed(), taken(output));
    let kinds = output.kinds();
    let ended = match report {
        Some(report) => output.end(&report, took).map(|()| report),
        None => Err(output.broken()),
    };
    match ended {
        Ok(report) if report.is_sound() => {
            printer.words(format!("{}: nothing is wrong", account::of(&report, took)));
            Ok(Ended::Done)
        }
        Ok(report) => {
            printer.words(account::of(&report, took));
            Ok(Ended::No(account::wrong(&report, &kinds)))
        }
        // Whoever has read enough knows by then that something is wrong.
        Err(Failure::Closed) if !kinds.is_empty() => Ok(Ended::No(String::new())),
        Err(failure) => Err(failure),
    }
}

fn taken(output: Mutex<Output>) -> Output {
    output.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn check(
    store: &dyn Auditable,
    known: Option<Vec<KnownType>>,
    output: &Mutex<Output>,
    bar: &Bar,
    closed: &Notify,
) -> Result<Report, Error> {
    let with = |act: &dyn Fn(&mut Output) -> bool| {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        if !act(&mut output) {
            closed.notify_one();
        }
    };
    // All are shown, none are kept.
    let verify = Verify::new(store)
        .keep_findings(0)
        .on_finding(|finding| with(&|output| output.add(finding)))
        .on_progress(|far| {
            with(&|output| output.is_at_rest() || bar.aside(|| output.flush()));
            bar.show(far);
        });
    match known {
        Some(known) => verify.known_types(known).run().await,
        None => verify.run().await,
    }
}
