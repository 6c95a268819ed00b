//! `annals subscriptions parked`.

use annals::{
    CheckpointStore, EventStoreExt as _, ParkedEvent, Position, RecordedEvent, StreamQuery, store::ParkedQuery,
};
use clap::Args as ClapArgs;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use super::{find, nobody, reason::brief, times};
use crate::{
    args::Session,
    ending::{Ended, Failure},
    printer::{exact, time},
};

/// Shows the events that were set aside, and why
///
/// In the order of the log. An event is parked after it has failed so often as its program tries; later events of the same
/// aggregate are parked behind it, untried, so that none overtakes another. WHY is the last error, or says that it stands
/// behind another. `replay` has them handled again, once the cause is mended; `discard` takes them out for good.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals subscriptions parked mail
  annals subscriptions parked mail --payload --limit 10
  annals subscriptions parked mail --format jsonl | jq -r 'select(.error != null) | .error' | sort | uniq -c")]
pub struct ParkedArgs {
    /// Whose parked events
    name: String,

    /// Of this aggregate alone
    #[arg(long, value_name = "AGGREGATE-ID")]
    aggregate: Option<Uuid>,

    /// Show what each event says, too, and its error as a whole
    #[arg(long)]
    payload: bool,

    /// The most events
    #[arg(long, value_name = "EVENTS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,

    /// Those behind this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
}

/// So many are read at once.
const PAGE: u64 = 100;

pub const HEADINGS: [&str; 6] = ["EVENT", "TYPE", "POSITION", "SINCE", "TRIED", "WHY"];

pub async fn run<S: CheckpointStore + Clone>(
    session: &Session,
    store: &S,
    args: &ParkedArgs,
) -> Result<Ended, Failure> {
    if find(store, &args.name).await?.is_empty() {
        return Ok(nobody(&args.name));
    }
    let mut list = session.printer.list(if args.payload { &[] } else { &HEADINGS });
    let (mut after, mut left) = (Position::new(args.after), args.limit);
    let is_more = loop {
        // One more than is shown: is there any?
        let limit = u32::try_from(left.min(PAGE) + 1)?;
        let mut page =
            store.parked(&ParkedQuery { name: args.name.clone(), aggregate_id: args.aggregate, after, limit }).await?;
        let is_more = page.len() > usize::try_from(left.min(PAGE))?;
        page.truncate(usize::try_from(left.min(PAGE))?);
        for parked in &page {
            let event = event(store, parked).await?;
            let object =
                Shown { object: object(parked, event.as_ref()), payload: payload(event.as_ref(), args.payload) };
            match args.payload {
                true => list.text(&object, &text(parked, event.as_ref()))?,
                false => list.row(&object, cells(parked, event.as_ref()))?,
            }
            after = parked.position;
            left -= 1;
        }
        if left == 0 || !is_more {
            break is_more;
        }
    };
    let count = list.len();
    list.end()?;
    if count == 0 {
        session.printer.words("nothing is parked");
    }
    if is_more {
        session.printer.words(format!("there are more: --after {after}"));
    }
    Ok(Ended::Done)
}

/// An object, and beside its members the payload as it is stored.
#[derive(serde::Serialize)]
struct Shown<'e> {
    #[serde(flatten)]
    object: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'e RawValue>,
}

fn payload(event: Option<&RecordedEvent>, is_shown: bool) -> Option<&RawValue> {
    event.filter(|_| is_shown).and_then(|event| serde_json::from_str(event.payload()).ok())
}

/// The event itself; `None` where the log does not have it, which `verify` finds.
pub async fn event<S: CheckpointStore>(store: &S, parked: &ParkedEvent) -> Result<Option<RecordedEvent>, Failure> {
    let query =
        StreamQuery::of(parked.aggregate_id).from_sequence(parked.sequence).to_sequence(parked.sequence).limit(1);
    Ok(store.collect_stream(&query).await?.pop())
}

pub fn object(parked: &ParkedEvent, event: Option<&RecordedEvent>) -> Value {
    let mut object = json!({
        "event": name(parked),
        "aggregate_id": parked.aggregate_id,
        "sequence": parked.sequence,
        "position": parked.position.get(),
        "parked_at": exact(parked.parked_at),
        "attempts": parked.attempts,
        "is_behind_another": parked.error.is_none(),
        "error": parked.error,
        "replay_requested_at": parked.replay_requested_at.map(exact),
    });
    if let Some(event) = event {
        object["aggregate_type"] = event.aggregate_type().into();
        object["event_type"] = event.event_type().into();
    }
    object
}

pub fn cells(parked: &ParkedEvent, event: Option<&RecordedEvent>) -> [String; 6] {
    [
        name(parked),
        kind(event),
        parked.position.to_string(),
        time(parked.parked_at),
        parked.attempts.to_string(),
        why(parked, parked.error.as_deref().map(brief)),
    ]
}

fn text(parked: &ParkedEvent, event: Option<&RecordedEvent>) -> String {
    format!(
        "{}  {}  position {}, parked {}, tried {}\n  {}\n  {}\n",
        name(parked),
        kind(event),
        parked.position,
        time(parked.parked_at),
        times(parked.attempts),
        why(parked, parked.error.as_ref().map(|error| error.replace('\n', "\n  "))),
        event.map_or("it is not in the log: `annals verify` says more", RecordedEvent::payload),
    )
}

/// As `--event` takes it.
fn name(parked: &ParkedEvent) -> String {
    format!("{}/{}", parked.aggregate_id, parked.sequence)
}

fn kind(event: Option<&RecordedEvent>) -> String {
    event.map_or_else(|| "-".to_owned(), |event| event.event_type().to_owned())
}

fn why(parked: &ParkedEvent, error: Option<String>) -> String {
    let requested = if parked.replay_requested_at.is_some() { "(to be replayed) " } else { "" };
    let why = error.unwrap_or_else(|| "behind an earlier event of its aggregate".to_owned());
    format!("{requested}{why}")
}
