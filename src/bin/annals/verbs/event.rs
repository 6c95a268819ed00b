//! `annals event`: everything about one event.

use std::fmt::Write as _;

use annals::{Error, EventRef, Metadata, Position, RecordedEvent, Search, StreamQuery, store::EventSearch};
use clap::Args as ClapArgs;
use serde::Serialize;

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
    look::{EventObject, Layout, is_sound, plain},
    printer::{Printer, exact},
};

/// Shows everything about one event, by its position in the log
///
/// All columns, metadata and payload, which other events the same command has written, and whether the checksum is that of
/// what is stored. Where it is not, something has changed what was written: disk, memory, or a hand; `annals verify` looks
/// whether there is more of it. Found by an index, whatever the size of the log.
///
/// Exit code 3: there is no event at this position (positions may have holes, so the events before and after it are named),
/// or it is damaged.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals event 1042
  annals event 1042 --format json | jq .payload")]
pub struct EventArgs {
    /// The event's position in the log
    #[arg(value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    position: u64,
}

/// An event, for programs.
#[derive(Debug, Serialize)]
struct Object<'e> {
    #[serde(flatten)]
    event: EventObject<'e>,
    checksum_is_good: bool,
    command_first_sequence: u64,
    command_last_sequence: u64,
}

/// Looks it up, and shows it.
pub async fn run(session: &Session, args: &EventArgs) -> Result<Ended, Failure> {
    let position = Position::new(args.position);
    on!(session.open().await?, store => show(&session.printer, &store, position).await)
}

async fn show(printer: &Printer, store: &dyn Search, position: Position) -> Result<Ended, Failure> {
    let Some(event) = first(store, &EventSearch::at(position)).await? else {
        return Ok(Ended::No(neighbours(store, position).await?));
    };
    let command = Command::of(store, &event).await?;
    let shown = event.as_ref();
    let object = Object {
        event: EventObject::of(&shown),
        checksum_is_good: is_sound(&shown, command.events_before),
        command_first_sequence: command.first,
        command_last_sequence: command.last,
    };
    printer.object(&object, || text(printer, &shown, &object))?;
    if !object.checksum_is_good {
        return Ok(Ended::No("this event is damaged; whether others are: annals verify".to_owned()));
    }
    Ok(Ended::Done)
}

async fn first(store: &dyn Search, search: &EventSearch) -> Result<Option<RecordedEvent>, Error> {
    let mut found = None;
    let search = search.clone().limit(1);
    let mut visit = |event: EventRef<'_>| {
        found = Some(event.to_recorded());
        Ok(())
    };
    store.find_events(&search, &mut visit).await?;
    Ok(found)
}

/// What is there instead.
async fn neighbours(store: &dyn Search, position: Position) -> Result<String, Error> {
    let before = first(store, &EventSearch::all().until(position).newest_first()).await?;
    let after = first(store, &EventSearch::all().after(position)).await?;
    let at = |event: &RecordedEvent| event.position().get();
    let instead = match (before.as_ref().map(at), after.as_ref().map(at)) {
        (Some(before), Some(after)) => format!("the one before it is at {before}, the one after it at {after}"),
        (Some(before), None) => format!("the last one is at {before}"),
        (None, Some(after)) => format!("the first one is at {after}"),
        (None, None) => "there are none at all".to_owned(),
    };
    Ok(format!("there is no event at position {position}: {instead}"))
}

/// Which events of its aggregate the same command has written, those that stand beside one another.
struct Command {
    first: u64,
    last: u64,
    /// How many of them come before the event.
    events_before: u32,
}

/// The most events of one command that are looked at, before the event and after it.
const COMMAND_EVENTS: u64 = 1_000;

impl Command {
    async fn of(store: &dyn Search, event: &RecordedEvent) -> Result<Self, Failure> {
        let (id, sequence) = (event.aggregate_id(), event.sequence());
        let before = StreamQuery::of(id).to_sequence(sequence).backward().limit(COMMAND_EVENTS);
        let after = StreamQuery::of(id).from_sequence(sequence).limit(COMMAND_EVENTS);
        let first = Self::edge(store, &before, event).await?;
        let last = Self::edge(store, &after, event).await?;
        Ok(Self { first, last, events_before: u32::try_from(sequence - first).unwrap_or(u32::MAX) })
    }

    /// The farthest event in one direction that is still of the command.
    async fn edge(store: &dyn Search, query: &StreamQuery, event: &RecordedEvent) -> Result<u64, Failure> {
        let (mut edge, mut is_past) = (event.sequence(), false);
        let mut visit = |one: EventRef<'_>| {
            is_past |= one.command_id != event.command_id();
            if !is_past {
                edge = one.sequence;
            }
            Ok(())
        };
        match store.read_stream(query, &mut visit).await {
            // Damage behind the event, or the event itself: it is shown all the same.
            Ok(_) | Err(Error::Backend { fault: annals::Fault::Corrupt, .. }) => Ok(edge),
            Err(error) => Err(error.into()),
        }
    }
}

fn text(printer: &Printer, event: &EventRef<'_>, object: &Object<'_>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<13}{value}");
    };
    line("position", event.position.to_string());
    line("aggregate", format!("{} {}", event.aggregate_type, event.aggregate_id));
    line("sequence", event.sequence.to_string());
    line("event type", format!("{}, schema version {}", event.event_type, event.schema_version));
    line("recorded at", exact(event.recorded_at));
    let (first, last) = (object.command_first_sequence, object.command_last_sequence);
    let others = if first == last { String::new() } else { format!(", which wrote the events {first} to {last}") };
    line("command", format!("{}{others}", event.command_id));
    let is_good = if object.checksum_is_good { "good" } else { "DAMAGED: this is not what was written" };
    line("checksum", format!("{:016x}, {is_good}", event.checksum));
    match Metadata::from_json(event.metadata) {
        Ok(metadata) => {
            let known = [
                ("actor", metadata.actor),
                ("correlation", metadata.correlation_id),
                ("caused by", metadata.causation_id),
            ];
            for (name, value) in known.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                line(name, plain(&value));
            }
            for (name, value) in metadata.other {
                line("metadata", plain(&format!("{name}: {value}")));
            }
        }
        Err(_) => line("metadata", format!("cannot be read: {}", plain(event.metadata))),
    }
    text.push_str("payload\n");
    text.push_str(&Layout::of(event.payload, 2, printer.width()));
    text
}
