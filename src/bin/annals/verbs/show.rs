//! `annals show`: the history of one aggregate, as a timeline.

use std::{collections::VecDeque, fmt::Write as _};

use annals::{
    EventRef, EventStoreExt as _, Metadata, ReceiptOutcome, RecordedEvent, Search, StreamQuery,
    store::{KeyedReceipt, ReceiptQuery},
};
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
    look::{AggregateArgs, EventObject, Layout, Missing, Named, Outlet, moment, plain},
    printer::{self, List, grouped},
};

/// Shows the history of one aggregate, as a timeline
///
/// Each event with its sequence, when it was recorded, its type, who caused it and on whose behalf, and its payload. A line
/// at the left joins events that one command has written. A request that was rejected is shown where it was decided: after
/// the event that was the last one then. What was rejected without an idempotency key has left no trace.
///
/// Found by an index, whatever the size of the log. With --format json or jsonl: each event with all its columns, and no
/// rejections (they are in `annals receipts`). Exit code 3: there is no such aggregate or version, or it is of another type.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals show order natural:537434                       by the business key its id was made from
  annals show order 0b1f4c5e-6a3d-5f0e-8c61-0f6f5b2f8f11 --at 3
  annals show order natural:537434 --until 2026-01-05T10:00:00Z --format jsonl | jq .payload")]
pub struct ShowArgs {
    #[command(flatten)]
    aggregate: AggregateArgs,

    /// The history up to this version: the sequence of its last event
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    at: Option<u64>,

    /// The history as it was at this time: 2026-01-05T10:00:00Z, a day, or how long ago, such as 15m, 2h, 3d
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "at")]
    until: Option<DateTime<Utc>>,
}

/// The most rejected requests that are put into a history.
const REJECTIONS: usize = 1_000;

/// Looks it up, and shows it.
pub async fn run(session: &Session, args: &ShowArgs) -> Result<Ended, Failure> {
    let named = args.aggregate.named()?;
    on!(session.open().await?, store => show(session, &store, args, &named).await)
}

async fn show(session: &Session, store: &dyn Search, args: &ShowArgs, named: &Named<'_>) -> Result<Ended, Failure> {
    match named.missing(store).await? {
        Some(Missing::OtherType(why)) => return Ok(Ended::No(why)),
        Some(Missing::NoEvents(why)) => {
            let rejected = store.list_receipts(&ReceiptQuery::of(named.id).rejected_only().limit(1)).await?;
            let but = if rejected.is_empty() { "" } else { "; requests to it were rejected, see annals receipts" };
            return Ok(Ended::No(format!("{why}{but}")));
        }
        None => {}
    }
    let query = args.query(named);
    let first = store.collect_stream(&StreamQuery::of(named.id).limit(1)).await?;
    let last = store.collect_stream(&query.clone().backward().limit(1)).await?;
    let (Some(first), Some(last)) = (first.first(), last.first()) else {
        let at = first.first().map(|first| printer::time(first.recorded_at())).unwrap_or_default();
        return Ok(Ended::No(format!("{named} had no events yet: its first one is of {at}")));
    };
    if let Some(at) = args.at.filter(|at| *at > last.sequence()) {
        return Ok(Ended::No(format!("{named} has no version {at} yet: it is at version {}", last.sequence())));
    }
    let list = session.printer.list(&[]);
    if !session.printer.is_table() {
        return objects(store, &query, list).await;
    }
    let mut timeline = Timeline::new(list, session.printer.width());
    timeline.rejections(store, args, named, last.sequence()).await?;
    timeline.heading(named, first, last)?;
    let mut outlet = Outlet::default();
    let query = query.to_sequence(last.sequence());
    let read = store.read_stream(&query, &mut |event| outlet.pass(timeline.event(event))).await;
    // Where it has failed half-way, what was read until then is shown.
    let ended = timeline.end(read.is_ok());
    outlet.settle(read)?;
    ended?;
    Ok(Ended::Done)
}

/// Every event as an object.
async fn objects(store: &dyn Search, query: &StreamQuery, mut list: List<'_>) -> Result<Ended, Failure> {
    let mut outlet = Outlet::default();
    let read = store.read_stream(query, &mut |event| outlet.pass(list.text(&EventObject::of(&event), ""))).await;
    outlet.settle(read)?;
    list.end()?;
    Ok(Ended::Done)
}

impl ShowArgs {
    fn query(&self, named: &Named<'_>) -> StreamQuery {
        let query = StreamQuery::of(named.id).to_sequence(self.at.unwrap_or(u64::MAX));
        match self.until {
            Some(time) => query.recorded_until(time),
            None => query,
        }
    }
}

/// A request that was rejected, and after which event.
struct Rejection {
    after: u64,
    at: DateTime<Utc>,
    rejection: String,
}

/// Writes a history, one event behind what was read: only the next one tells whether it is of the same command.
struct Timeline<'p> {
    list: List<'p>,
    width: Option<usize>,
    rejections: VecDeque<Rejection>,
    waiting: Option<RecordedEvent>,
    /// The event that waits is of the same command as the one before it.
    is_joined: bool,
    /// How wide sequences are.
    digits: usize,
}

impl<'p> Timeline<'p> {
    fn new(list: List<'p>, width: Option<usize>) -> Self {
        Self { list, width, rejections: VecDeque::new(), waiting: None, is_joined: false, digits: 1 }
    }

    /// Reads the requests that were rejected at the versions that are shown.
    async fn rejections(
        &mut self,
        store: &dyn Search,
        args: &ShowArgs,
        named: &Named<'_>,
        version: u64,
    ) -> Result<(), Failure> {
        let (mut query, mut found) = (ReceiptQuery::of(named.id).rejected_only(), Vec::new());
        loop {
            let page = store.list_receipts(&query).await?;
            let is_last = page.len() < query.limit as usize;
            if let Some(last) = page.last() {
                query = query.after(last.key.clone());
            }
            found.extend(page.into_iter().filter_map(rejection).filter(|rejection| {
                rejection.after <= version && args.until.is_none_or(|until| rejection.at <= until)
            }));
            if found.len() > REJECTIONS {
                found.truncate(REJECTIONS);
                self.list.words(format!(
                    "{} rejected requests are shown, and there are more: annals receipts",
                    grouped(REJECTIONS as u64)
                ));
                break;
            }
            if is_last {
                break;
            }
        }
        found.sort_by_key(|rejection| (rejection.after, rejection.at));
        self.rejections = found.into();
        Ok(())
    }

    fn heading(&mut self, named: &Named<'_>, first: &RecordedEvent, last: &RecordedEvent) -> Result<(), Failure> {
        self.digits = last.sequence().to_string().len();
        let (from, to) = (printer::time(first.recorded_at()), printer::time(last.recorded_at()));
        let when = if from == to { from } else { format!("{from} to {to}") };
        self.write(&format!("{named}\nversion {}, {when}\n", last.sequence()))?;
        self.rejected_up_to(0)
    }

    fn event(&mut self, event: EventRef<'_>) -> Result<(), Failure> {
        let goes_on = self.waiting.as_ref().is_some_and(|last| last.command_id() == event.command_id);
        self.write_waiting(goes_on)?;
        self.is_joined = goes_on;
        self.waiting = Some(event.to_recorded());
        Ok(())
    }

    /// Writes the event that waits. `goes_on`: the next one is of the same command.
    fn write_waiting(&mut self, goes_on: bool) -> Result<(), Failure> {
        let Some(event) = self.waiting.take() else {
            return Ok(());
        };
        let (corner, beside) = match (self.is_joined, goes_on) {
            (false, false) => (" ", " "),
            (false, true) => ("┌", "│"),
            (true, true) => ("├", "│"),
            (true, false) => ("└", " "),
        };
        let text = self.entry(&event, corner, beside);
        self.write(&text)?;
        self.rejected_up_to(event.sequence())
    }

    fn entry(&self, event: &RecordedEvent, corner: &str, beside: &str) -> String {
        let mut text = format!(
            "{corner} {:>digits$}  {}  {}",
            event.sequence(),
            printer::time(event.recorded_at()),
            event.event_type(),
            digits = self.digits
        );
        // Writing to a string does not fail.
        if event.schema_version() > 1 {
            let _ = write!(text, " (schema version {})", event.schema_version());
        }
        // What one command has written has its metadata in common.
        if !self.is_joined {
            text.push_str(&origin(event.as_ref().metadata));
        }
        let indent = self.digits + 4;
        for line in Layout::of(event.payload(), indent, self.width).lines() {
            let _ = write!(text, "\n{beside}{}", line.get(1..).unwrap_or_default());
        }
        text
    }

    /// Writes what was rejected at versions up to this one.
    fn rejected_up_to(&mut self, version: u64) -> Result<(), Failure> {
        while let Some(rejection) = self.rejections.pop_front_if(|rejection| rejection.after <= version) {
            let (blanks, time) = (" ".repeat(self.digits), printer::time(rejection.at));
            let why = Layout::of(&rejection.rejection, self.digits + 4, self.width);
            self.write(&format!("x {blanks}  {time}  a request was rejected\n{}", why.trim_end()))?;
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.list.text(&(), text)
    }

    fn end(mut self, is_whole: bool) -> Result<(), Failure> {
        self.write_waiting(false)?;
        if is_whole {
            self.rejected_up_to(u64::MAX)?;
        }
        self.list.end()
    }
}

fn rejection(KeyedReceipt { receipt, .. }: KeyedReceipt) -> Option<Rejection> {
    match receipt.outcome {
        ReceiptOutcome::Rejected { rejection } => {
            Some(Rejection { after: receipt.last_sequence, at: receipt.recorded_at, rejection: rejection.to_string() })
        }
        _ => None,
    }
}

/// Who, on whose behalf, and why, where the metadata say it.
fn origin(metadata: &str) -> String {
    let Ok(Metadata { correlation_id, causation_id, actor, .. }) = Metadata::from_json(metadata) else {
        return "  (its metadata cannot be read)".to_owned();
    };
    let parts = [("by", actor), ("correlation", correlation_id), ("caused by", causation_id)];
    let mut text = String::new();
    for (what, name) in parts.into_iter().filter_map(|(what, name)| Some((what, name?))) {
        // Writing to a string does not fail.
        let _ = write!(text, "  {what} {}", plain(&name));
    }
    text
}
