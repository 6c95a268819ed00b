//! `annals bench`: what this database gives.

mod bed;
mod tally;

use std::time::{Duration, Instant};

use annals::{EventStore, Id, IdempotencyKey, LogQuery, Repository};
use clap::Args as ClapArgs;
use serde::Serialize;
use tokio::task::JoinSet;

use self::{
    bed::Bed,
    tally::{Add, Tally},
};
use crate::{
    args::Session,
    database::{Database, on},
    ending::{Ended, Failure},
    interrupt::interrupted,
    printer::{self, grouped},
};

/// Measures what this database gives: commands a second, and how long one takes
///
/// A short self-test with full durability: commands that each record one event, by one, 8 and 64 tasks, without and with
/// an idempotency key, the repository's cache on; then how fast an aggregate of 1,000 events is loaded and how fast the log is read.
///
/// It works beside the application's data and never in it: on SQLite in a new folder beside the file, on PostgreSQL in a
/// schema of its own, annals_bench, for which it needs the right to create one. Both are removed at the end, also after an
/// interruption (Ctrl-C). It does put load on the disk and the server for as long as it runs. Read the figures as a
/// comparison, with another disk or other settings: they say little about an application that does something.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals bench
  annals bench --seconds 30 --format json")]
pub struct BenchArgs {
    /// How long it takes, about
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// By how many tasks commands are executed.
const TASKS: [u32; 3] = [1, 8, 64];

/// Each task goes on to a new aggregate after so many commands.
const COMMANDS_EACH: u64 = 100;

/// As a service would set it: more than there are tasks.
const CACHED_AGGREGATES: usize = 1_000;

/// The aggregate that is loaded has so many events.
const LOADED_EVENTS: u64 = 1_000;

/// As much as events of services carry.
const NOTE: &str =
    "as much as events of services carry: a name, an amount, a reference, and an address or two of somebody";

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    /// The median time of one write of 4 KiB with fsync, where that can be told.
    fsync_micros: Option<u64>,
    commands: Vec<Commands>,
    loads_per_second: f64,
    loaded_events: u64,
    log_events_per_second: f64,
}

#[derive(Debug, Serialize)]
struct Commands {
    tasks: u32,
    has_keys: bool,
    per_second: f64,
    p50_micros: u64,
    p99_micros: u64,
    most_micros: u64,
}

/// Measures, and shows it.
pub async fn run(session: &Session, args: &BenchArgs) -> Result<Ended, Failure> {
    // Heard before there is anything to clean up.
    let interrupted = interrupted()?;
    let (bed, database) = Bed::make(session.url()?).await?;
    session.printer.words(format!("in {}, removed at the end", bed.place()));
    let fsync_micros = bed.fsync_micros();
    let measured = tokio::select! {
        figures = measure_and_close(database, args.seconds) => figures,
        () = interrupted => Err(Failure::failed("interrupted")),
    };
    bed.remove().await?;
    let figures = Figures { fsync_micros: fsync_micros?, ..measured? };
    session.printer.object(&figures, || text(&session.printer, &figures))?;
    Ok(Ended::Done)
}

async fn measure_and_close(database: Database, seconds: u32) -> Result<Figures, Failure> {
    on!(database, store => {
        let figures = measure(&store, Duration::from_secs(seconds.into())).await;
        store.close().await;
        figures
    })
}

async fn measure<S: EventStore + Clone + 'static>(store: &S, time: Duration) -> Result<Figures, Failure> {
    let each = time / 8;
    let mut commands = Vec::new();
    for has_keys in [false, true] {
        for tasks in TASKS {
            commands.push(execute(store, tasks, has_keys, each).await?);
        }
    }
    let (tallies, long) = (Repository::<Tally>::new(store), Id::natural("long"));
    let writing = tallies.clone().cached(1);
    for number in 0..LOADED_EVENTS {
        writing.execute(long, &Add { number, note: NOTE }).await?;
    }
    let (begun, mut loads) = (Instant::now(), 0_u32);
    while begun.elapsed() < each {
        tallies.load(long).await?;
        loads += 1;
    }
    let loads_per_second = f64::from(loads) / begun.elapsed().as_secs_f64();
    let (begun, mut events) = (Instant::now(), 0_u64);
    while begun.elapsed() < each {
        store
            .read_log(&LogQuery::all(), &mut |_| {
                events += 1;
                Ok(())
            })
            .await?;
    }
    let log_events_per_second = per_second(events, begun.elapsed());
    Ok(Figures { fsync_micros: None, commands, loads_per_second, loaded_events: LOADED_EVENTS, log_events_per_second })
}

/// Has tasks execute commands for a while, each on aggregates of its own.
async fn execute<S: EventStore + Clone + 'static>(
    store: &S,
    tasks: u32,
    has_keys: bool,
    time: Duration,
) -> Result<Commands, Failure> {
    let tallies = Repository::<Tally>::new(store).cached(CACHED_AGGREGATES);
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..tasks {
        let tallies = tallies.clone();
        all.spawn(async move {
            let (mut took, mut id) = (Vec::new(), Id::new());
            for number in 1.. {
                if begun.elapsed() >= time {
                    break;
                }
                if number % COMMANDS_EACH == 0 {
                    id = Id::new();
                }
                let (command, one) = (Add { number, note: NOTE }, Instant::now());
                let execute = tallies.execute(id, &command);
                if has_keys {
                    execute.idempotency_key(IdempotencyKey::new(format!("{id}-{number}"))?).await?;
                } else {
                    execute.await?;
                }
                took.push(u64::try_from(one.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(joined) = all.join_next().await {
        took.append(&mut joined??);
    }
    let elapsed = begun.elapsed();
    took.sort_unstable();
    let at =
        |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied().unwrap_or(0);
    let per_second = per_second(took.len() as u64, elapsed);
    Ok(Commands { tasks, has_keys, per_second, p50_micros: at(50), p99_micros: at(99), most_micros: at(100) })
}

#[expect(clippy::cast_precision_loss, reason = "a rate, of which three digits are shown")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn text(printer: &printer::Printer, figures: &Figures) -> String {
    let mut table = printer.table(&["TASKS", "KEYS", "COMMANDS A SECOND", "P50", "P99", "LONGEST"]);
    for commands in &figures.commands {
        let keys = if commands.has_keys { "yes" } else { "no" };
        let times = [commands.p50_micros, commands.p99_micros, commands.most_micros].map(millis);
        let cells = [commands.tasks.to_string(), keys.to_owned(), rounded(commands.per_second)];
        table.add_row(cells.into_iter().chain(times));
    }
    let mut text = printer::drawn(table);
    text.push_str(&format!(
        "\nloads of an aggregate of {} events   {} a second\nreading the log                      {} events a second\n",
        grouped(figures.loaded_events),
        rounded(figures.loads_per_second),
        rounded(figures.log_events_per_second)
    ));
    if let Some(micros) = figures.fsync_micros {
        text.push_str(&format!("one write of 4 KiB with fsync        {}\n", millis(micros)));
    }
    text
}

fn millis(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate: above zero, and no trillion")]
fn rounded(rate: f64) -> String {
    grouped(rate.round() as u64)
}
