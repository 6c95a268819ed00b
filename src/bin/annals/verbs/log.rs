//! `annals log`: events in the order of the log, and those that are still to come.

use std::{pin::pin, time::Duration};

use annals::{
    Cursor, Error, EventRef, LogQuery, Metadata, Position, Search, Selection,
    store::{Direction, EventSearch},
};
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;
use futures_util::future::{Either, select};

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure, masked, with_sources},
    interrupt::interrupted,
    look::{Columns, EventObject, Outlet, moment, one_line, type_name},
    printer::{List, Printer, time},
};

/// Shows events of the log, oldest first; --follow: also those to come
///
/// Without a range the newest 20 that fit. A range is given by position or by time: then all in it that fit. By position,
/// events are found at once. By type, time and correlation every event in the range is looked at: give the range of
/// positions, where it is known, and a large log is no matter. (For correlations there can be an index: see “Operating annals” in the documentation.)
///
/// On a terminal an event is one line, cut at its end, with the last eight digits of the aggregate's id; elsewhere nothing
/// is cut. `annals event POSITION` shows all of one.
///
/// --follow goes on with what is recorded from then on, in the order of the log and without a gap, until it is interrupted.
/// While the database cannot be reached it waits, says so, and goes on where it was.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals log                                         the newest 20 events
  annals log --follow --type order,refund            and those to come, of two types of aggregates
  annals log --since 2h --event-type payment-failed  of the last two hours
  annals log --after 104000 --limit 50               the 50 events after a position
  annals log --correlation 4bf92f3577b34da6 --format jsonl | jq .payload")]
pub struct LogArgs {
    /// Events of these types of aggregates, separated by commas
    #[arg(long = "type", value_name = "TYPES", value_delimiter = ',', value_parser = type_name)]
    types: Vec<String>,

    /// Events of these types, separated by commas
    #[arg(long = "event-type", value_name = "TYPES", value_delimiter = ',')]
    event_types: Vec<String>,

    /// Events whose metadata name this correlation
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,

    /// Events after this position
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,

    /// Events up to and including this position
    #[arg(long, value_name = "POSITION", conflicts_with = "follow")]
    until: Option<u64>,

    /// Events recorded at this time or later: 2026-01-05T10:00:00Z, a day, or how long ago, such as 15m, 2h, 3d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,

    /// Events recorded before this time
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "follow")]
    before: Option<DateTime<Utc>>,

    /// The newest so many of them. Without a range: 20
    #[arg(long, value_name = "EVENTS")]
    last: Option<u64>,

    /// The oldest so many of them; with --follow it ends after so many
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Go on with the events to come, until interrupted
    #[arg(short, long)]
    follow: bool,
}

/// How many events are shown where nothing says which.
const NEWEST: u64 = 20;

/// The most events that are read at once of those to come.
const PAGE_EVENTS: u64 = 1_000;

/// How long it is waited before the database is tried again: twice as long each time, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Shows them.
pub async fn run(session: &Session, args: &LogArgs) -> Result<Ended, Failure> {
    on!(session.open().await?, store => log(&session.printer, &store, args).await)
}

async fn log(printer: &Printer, store: &dyn Search, args: &LogArgs) -> Result<Ended, Failure> {
    let mut lines = Lines::new(printer, args.limit);
    if !args.follow {
        if args.past(store, args.search(), &mut lines).await? == 0 && printer.is_table() {
            printer.words("there are no such events");
        }
        lines.list.end()?;
        return Ok(Ended::Done);
    }
    // From the beginning on: an interruption always ends it in the same way.
    let interrupted = pin!(interrupted()?);
    let ended = match select(pin!(follow(printer, store, args, &mut lines)), interrupted).await {
        Either::Left((ended, _)) => ended,
        Either::Right(((), _)) => Ok(()),
    };
    ended?;
    lines.list.end()?;
    Ok(Ended::Done)
}

impl LogArgs {
    fn selection(&self) -> Selection {
        let mut selection = Selection::all();
        if !self.types.is_empty() {
            selection = selection.aggregate_types(self.types.clone());
        }
        if !self.event_types.is_empty() {
            selection = selection.event_types(self.event_types.clone());
        }
        selection
    }

    fn search(&self) -> EventSearch {
        EventSearch {
            selection: self.selection(),
            after: Position::new(self.after.unwrap_or(0)),
            until: self.until.map(Position::new),
            recorded_from: self.since,
            recorded_before: self.before,
            correlation_id: self.correlation.clone(),
            direction: Direction::Forward,
            limit: self.limit,
        }
    }

    /// How many of the newest are asked for; `None`: all there are.
    fn newest(&self) -> Option<u64> {
        let is_range = self.after.is_some() || self.until.is_some() || self.since.is_some() || self.before.is_some();
        let is_bounded = is_range || (self.limit.is_some() && !self.follow);
        self.last.or_else(|| (!is_bounded).then_some(NEWEST))
    }

    /// Shows what there is by now, and tells how many events that is.
    async fn past(&self, store: &dyn Search, mut search: EventSearch, lines: &mut Lines<'_>) -> Result<u64, Failure> {
        if let Some(newest) = self.newest() {
            // Where the first of them stands: they are read a second time, and none is kept.
            let (mut first, backward) = (None, EventSearch { limit: Some(newest), ..search.clone().newest_first() });
            let mut visit = |event: EventRef<'_>| {
                first = Some(event.position);
                lines.expect(&event);
                Ok(())
            };
            let found = store.find_events(&backward, &mut visit).await?;
            let Some(first) = first else {
                return Ok(0);
            };
            search = search.after(Position::new(first.get() - 1));
            search.until.get_or_insert(found.head);
        }
        let mut outlet = Outlet::default();
        let found = store.find_events(&search, &mut |event| outlet.pass(lines.write(&event))).await;
        Ok(outlet.settle(found)?.events)
    }

    /// Whether an event that was selected by its types is one of those that are asked for.
    fn fits(&self, event: &EventRef<'_>) -> bool {
        let is_of_time = self.since.is_none_or(|since| event.recorded_at >= since);
        is_of_time
            && self.correlation.as_ref().is_none_or(|correlation| {
                let metadata = Metadata::from_json(event.metadata);
                metadata.is_ok_and(|metadata| metadata.correlation_id.as_ref() == Some(correlation))
            })
    }
}

/// Shows what is there and what comes.
async fn follow(printer: &Printer, store: &dyn Search, args: &LogArgs, lines: &mut Lines<'_>) -> Result<(), Failure> {
    // What is there up to this position is searched for, and what comes behind it is waited for: nothing is in both.
    let head = store.head().await?;
    args.past(store, args.search().until(head), lines).await?;
    lines.list.flush()?;
    let after = head.max(Position::new(args.after.unwrap_or(0)));
    let mut cursor = Cursor { position: after, event: None };
    let selection = args.selection();
    let mut wait = None;
    while !lines.is_full() {
        let query = LogQuery::all().after_cursor(cursor).select(selection.clone()).limit(PAGE_EVENTS);
        let mut outlet = Outlet::default();
        let mut visit = |event: EventRef<'_>| {
            cursor = Cursor::from(&event);
            outlet.pass(if args.fits(&event) { lines.write(&event) } else { Ok(()) })
        };
        let read = match store.wait_for(query.after).await {
            Ok(_) => store.read_log(&query, &mut visit).await,
            Err(error) => Err(error),
        };
        match read {
            Err(error) if error.is_retryable() => {
                lines.list.flush()?;
                wait_out(printer, &error, &mut wait).await;
            }
            read => {
                cursor = outlet.settle(read)?.cursor(&query);
                lines.list.flush()?;
                if wait.take().is_some() {
                    printer.words("the database is there again, going on");
                }
            }
        }
    }
    Ok(())
}

/// Waits before the database is tried again, longer each time, and says so once.
async fn wait_out(printer: &Printer, error: &Error, wait: &mut Option<Duration>) {
    let next = match *wait {
        None => {
            printer.words(format!("{}; waiting for it", masked(&with_sources(error))));
            FIRST_WAIT
        }
        Some(last) => (last * 2).min(LONGEST_WAIT),
    };
    *wait = Some(next);
    tokio::time::sleep(next).await;
}

/// Writes events, a line each.
struct Lines<'p> {
    list: List<'p>,
    columns: Columns<7>,
    width: Option<usize>,
    is_table: bool,
    /// How many may still be written.
    left: u64,
}

impl<'p> Lines<'p> {
    fn new(printer: &'p Printer, limit: Option<u64>) -> Self {
        let width = printer.width();
        let (list, is_table) = (printer.list(&[]), printer.is_table());
        Self { list, columns: Columns::new(width), width, is_table, left: limit.unwrap_or(u64::MAX) }
    }

    const fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Makes room for an event that will be written.
    fn expect(&mut self, event: &EventRef<'_>) {
        self.columns.widen(["", "", event.aggregate_type, "", "", event.event_type, ""]);
    }

    fn write(&mut self, event: &EventRef<'_>) -> Result<(), Failure> {
        if self.is_full() {
            return Ok(());
        }
        self.left -= 1;
        let object = EventObject::of(event);
        if !self.is_table {
            return self.list.text(&object, "");
        }
        let id = event.aggregate_id.to_string();
        // The end: of ids that begin with a time the beginnings are much alike.
        let id = if self.width.is_some() { format!("…{}", &id[id.len() - 8..]) } else { id };
        let (position, sequence) = (event.position.to_string(), event.sequence.to_string());
        let (at, payload) = (time(event.recorded_at), one_line(event.payload, self.width));
        let cells = [&position, &at, event.aggregate_type, &id, &sequence, event.event_type, &payload];
        if self.list.len() == 0 {
            self.columns.widen(cells);
            let headings = ["POSITION", "RECORDED AT", "TYPE", "ID", "SEQ", "EVENT TYPE", "PAYLOAD"];
            let headings = self.columns.line(headings);
            self.list.text(&object, &headings)?;
        }
        let line = self.columns.line(cells);
        self.list.text(&object, &line)
    }
}
