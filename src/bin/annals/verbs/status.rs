//! `annals status`: what is there, and what is behind.

use std::fmt::Write as _;

use annals::{
    CheckpointStore, Consumers, EventStore, EventStoreExt as _, Inspect, LogQuery, Position, Progress, RunState,
    TimerStore,
    store::{Readable, RowCount, Storage, TableSize, TimerCounts},
};
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{migrate, subscriptions::word, timers};
use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure, masked},
    printer::{self, Printer, bytes, counted, exact, grouped, quoted, span},
};

/// Tells what is there, and what is behind
///
/// The schema; how much there is and how large it is; up to where the log can be read, and who holds readers back where
/// somebody does (on PostgreSQL: a transaction that has written events and is still open); every subscription and
/// projection with its lag; the queues of timers and processes; and, at the end, what needs attention, with the command
/// that says more.
///
/// Numbers of rows are counted up to 100,000, and are the database's estimates above. It answers within a moment whatever
/// the size, and holds nobody up. Exit code 3: the schema is not that of this version.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals status
  annals status --check -q || page-somebody
  annals status --format json | jq '.consumers[] | select(.lag_events > 1000)'")]
pub struct StatusArgs {
    /// End with exit code 3 where something needs attention: for a watchdog
    #[arg(long)]
    check: bool,
}

/// Everything that is shown.
#[derive(Debug)]
struct Seen {
    storage: Storage,
    readable: Readable,
    newest_at: Option<DateTime<Utc>>,
    consumers: Vec<Progress>,
    queues: Vec<(String, TimerCounts)>,
}

/// The most queues that are shown.
const MOST_QUEUES: u32 = 100;

/// Looks, and shows it.
pub async fn run(session: &Session, args: &StatusArgs) -> Result<Ended, Failure> {
    let url = session.url()?;
    let schema = migrate::state(session).await?;
    if !schema.is_current() {
        let (found, needed) = (schema.found, schema.needed);
        let object = json!({ "schema": { "found": found, "needed": needed } });
        session.printer.object(&object, || format!("schema    {found}, this program needs {needed}"))?;
        return Ok(Ended::No("the schema is not up to date: annals migrate".to_owned()));
    }
    let seen = on!(session.open().await?, store => look(&store).await?);
    let attention = attention(&seen);
    session.printer.object(&object(&seen, &attention), || text(&session.printer, &seen, &attention, url))?;
    match attention.len() {
        0 => Ok(Ended::Done),
        _ if !args.check => Ok(Ended::Done),
        needs => {
            Ok(Ended::No(format!("{} attention", if needs == 1 { "1 thing needs" } else { "several things need" })))
        }
    }
}

async fn look<S>(store: &S) -> Result<Seen, Failure>
where
    S: Inspect + CheckpointStore + TimerStore + Clone,
{
    let (storage, readable) = (store.storage().await?, store.readable().await?);
    let newest_at = newest(store, readable.last_drawn).await?;
    let consumers = Consumers::new(store).list().await?;
    let mut queues = Vec::new();
    for name in store.timer_queues(None, MOST_QUEUES).await? {
        let counts = store.count_timers(&name).await?;
        queues.push((name, counts));
    }
    Ok(Seen { storage, readable, newest_at, consumers, queues })
}

/// When the newest event that can be read was recorded.
async fn newest<S: EventStore>(store: &S, last_drawn: Position) -> Result<Option<DateTime<Utc>>, Failure> {
    let head = store.head().await?.min(last_drawn);
    let before = Position::new(head.get().saturating_sub(1));
    let last = store.collect_log(&LogQuery::all().after(before).limit(1)).await?;
    Ok(last.first().map(annals::RecordedEvent::recorded_at))
}

fn object(seen: &Seen, attention: &[String]) -> Value {
    let Seen { storage, readable, newest_at, consumers, queues } = seen;
    let table = |table: &TableSize| {
        let is_exact = matches!(table.rows, RowCount::Exact(_));
        json!({ "name": table.name, "rows": table.rows.get(), "rows_are_exact": is_exact, "bytes": table.bytes })
    };
    json!({
        "engine": storage.engine,
        "schema": { "found": storage.schema_version, "needed": storage.schema_version },
        "bytes": storage.bytes,
        "free_bytes": storage.free_bytes,
        "log_bytes": storage.log_bytes,
        "tables": storage.tables.iter().map(table).collect::<Vec<_>>(),
        "log": {
            "readable_up_to": readable.position.get(),
            "last_drawn": readable.last_drawn.get(),
            "held_by": readable.held_by,
            "newest_at": newest_at.map(exact),
        },
        "consumers": consumers.iter().map(consumer).collect::<Vec<_>>(),
        "queues": queues.iter().map(|(name, counts)| queue(name, counts)).collect::<Vec<_>>(),
        "attention": attention,
    })
}

fn consumer(progress: &Progress) -> Value {
    json!({
        "name": progress.consumer.name(),
        "partition": progress.consumer.partition(),
        "partitions": progress.consumer.of(),
        "kind": progress.kind.as_str(),
        "position": progress.position.get(),
        "lag_events": progress.lag_events,
        "lag_seconds": progress.lag.as_secs_f64(),
        "parked": progress.parked,
        "state": word(&progress.state),
        "failure": progress.failure.as_ref().map(|failure| &failure.message),
    })
}

fn queue(name: &str, counts: &TimerCounts) -> Value {
    json!({
        "name": name,
        "waiting": counts.waiting,
        "due": counts.due,
        "held": counts.held,
        "parked": counts.parked,
        "lag_seconds": counts.lag.as_secs_f64(),
    })
}

fn text(printer: &Printer, seen: &Seen, attention: &[String], url: &str) -> String {
    let Seen { storage, readable, newest_at, .. } = seen;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<10}{value}");
    };
    line("database", format!("{}, schema {}, {}", storage.engine, storage.schema_version, masked(url)));
    let mut size = bytes(storage.bytes);
    if let Some(free) = storage.free_bytes.filter(|free| *free > 0) {
        size.push_str(&format!(", {} of it free", bytes(free)));
    }
    if let Some(log) = storage.log_bytes.filter(|log| *log > 0) {
        size.push_str(&format!(", {} in the write-ahead log", bytes(log)));
    }
    line("size", size);
    let newest = newest_at.map(|at| format!("; the newest event is from {}", printer::time(at)));
    line(
        "log",
        match readable.kept_by() {
            _ if readable.last_drawn == Position::START => "empty".to_owned(),
            Some(_) => format!(
                "readable up to position {} of {}{}",
                readable.position,
                readable.last_drawn,
                newest.unwrap_or_default()
            ),
            None => format!("readable to its end, position {}{}", readable.position, newest.unwrap_or_default()),
        },
    );
    text.push_str(&tables(printer, seen));
    if !attention.is_empty() {
        text.push_str("\nNeeds attention:\n");
        attention.iter().for_each(|what| text.push_str(&format!("  {what}\n")));
    }
    text
}

fn tables(printer: &Printer, seen: &Seen) -> String {
    let mut text = String::new();
    let Seen { storage, consumers, queues, .. } = seen;
    let mut table = printer.table(&["TABLE", "ROWS", "SIZE"]);
    for size in &storage.tables {
        let rows = match size.rows {
            RowCount::About(rows) => format!("about {}", grouped(rows)),
            RowCount::MoreThan(rows) => format!("more than {}", grouped(rows)),
            rows => grouped(rows.get()),
        };
        table.add_row([size.name.clone(), rows, size.bytes.map_or_else(String::new, bytes)]);
    }
    text.push_str(&format!("\n{}", printer::drawn(table)));
    if !consumers.is_empty() {
        let mut table = printer.table(&["CONSUMER", "KIND", "POSITION", "BEHIND", "FOR", "PARKED", "STATE"]);
        for progress in consumers {
            table.add_row([
                progress.consumer.to_string(),
                progress.kind.as_str().to_owned(),
                progress.position.to_string(),
                grouped(progress.lag_events),
                if progress.lag_events == 0 { "-".to_owned() } else { span(progress.lag) },
                grouped(progress.parked),
                word(&progress.state).to_owned(),
            ]);
        }
        text.push_str(&format!("\n{}", printer::drawn(table)));
    }
    if !queues.is_empty() {
        let mut table = printer.table(&timers::QUEUE_HEADINGS);
        table.add_rows(queues.iter().map(|(name, counts)| timers::queue_cells(name, counts)));
        text.push_str(&format!("\n{}", printer::drawn(table)));
    }
    text
}

/// What somebody has to look at, each with the command that says more.
fn attention(seen: &Seen) -> Vec<String> {
    let mut what = Vec::new();
    if let Some(holder) = seen.readable.kept_by() {
        what.push(format!("readers of the log wait for {holder}: end that transaction"));
    }
    for progress in &seen.consumers {
        let (consumer, more) =
            (&progress.consumer, format!("annals subscriptions list {}", quoted(progress.consumer.name())));
        match &progress.state {
            RunState::Paused { since } => {
                what.push(format!("{consumer} is paused since {}: {more}", printer::time(*since)));
            }
            RunState::Dead { since, .. } => {
                what.push(format!("{consumer} is run by nobody since {}: {more}", printer::time(*since)));
            }
            RunState::Stopped if progress.lag_events > 0 => {
                what.push(format!("{consumer} is run by nobody, and is behind: {more}"));
            }
            _ if progress.failure.is_some() => what.push(format!("{consumer} fails: {more}")),
            _ => {}
        }
        if progress.position > seen.readable.last_drawn {
            what.push(format!("{consumer} stands behind the end of the log, which has lost events: annals verify"));
        }
        if progress.parked > 0 && progress.consumer.partition() == 0 {
            let name = progress.consumer.name();
            let parked = counted(progress.parked, "event");
            what.push(format!("{name} has set {parked} aside: annals subscriptions parked {}", quoted(name)));
        }
    }
    for (name, counts) in &seen.queues {
        if counts.parked > 0 {
            let parked = counted(counts.parked, "timer");
            what.push(format!("{parked} of the queue {name} given up: annals timers list {} --parked", quoted(name)));
        }
    }
    what
}
