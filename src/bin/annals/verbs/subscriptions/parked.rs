//! `annals subscriptions parked`.

use annals::{
    CheckpointStore, EventStoreExt as _, ParkedEvent, Position, RecordedEvent, StreamQuery, store::ParkedQuery,
};
use clap::Args as ClapArgs;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use super::{choice, find, nobody, reason::brief, times};
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
    #[arg(long, value_name = "AGGREGATE-ID", value_parser = choice::aggregate)]
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

pub const HEADINGS: [&str; 7] = ["AGGREGATE", "SEQUENCE", "TYPE", "POSITION", "SINCE", "TRIED", "WHY"];

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
        for parked in page {
            let known = Known::of(store, &args.name, parked).await?;
            let object = Shown { object: known.object(), payload: payload(known.event.as_ref(), args.payload) };
            match args.payload {
                true => list.text(&object, &known.text())?,
                false => list.row(&object, known.cells())?,
            }
            after = known.parked.position;
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

/// A parked event, and what is known of it.
pub struct Known {
    pub parked: ParkedEvent,
    /// The event itself; `None` where the log does not have it, which `verify` finds.
    event: Option<RecordedEvent>,
    /// An earlier event of its aggregate is parked, too.
    is_behind: bool,
}

impl Known {
    pub async fn of<S: CheckpointStore>(store: &S, name: &str, parked: ParkedEvent) -> Result<Self, Failure> {
        let query =
            StreamQuery::of(parked.aggregate_id).from_sequence(parked.sequence).to_sequence(parked.sequence).limit(1);
        let event = store.collect_stream(&query).await?.pop();
        // What has failed itself says why: nobody asks what is in front of it.
        let is_behind = parked.error.is_none() && {
            let (name, aggregate_id) = (name.to_owned(), Some(parked.aggregate_id));
            let first = store.parked(&ParkedQuery { name, aggregate_id, after: Position::START, limit: 1 }).await?;
            first.first().is_some_and(|first| first.position < parked.position)
        };
        Ok(Self { parked, event, is_behind })
    }

    pub fn object(&self) -> Value {
        let parked = &self.parked;
        let mut object = json!({
            "event": format!("{}/{}", parked.aggregate_id, parked.sequence),
            "aggregate_id": parked.aggregate_id,
            "sequence": parked.sequence,
            "position": parked.position.get(),
            "parked_at": exact(parked.parked_at),
            "attempts": parked.attempts,
            "is_behind_another": self.is_behind,
            "error": parked.error,
            "replay_requested_at": parked.replay_requested_at.map(exact),
        });
        if let Some(event) = &self.event {
            object["aggregate_type"] = event.aggregate_type().into();
            object["event_type"] = event.event_type().into();
        }
        object
    }

    pub fn cells(&self) -> [String; 7] {
        let parked = &self.parked;
        [
            self.aggregate(),
            parked.sequence.to_string(),
            self.kind().to_owned(),
            parked.position.to_string(),
            time(parked.parked_at),
            parked.attempts.to_string(),
            self.why(parked.error.as_deref().map(brief)),
        ]
    }

    fn text(&self) -> String {
        let parked = &self.parked;
        format!(
            "{}/{}  {}  position {}, parked {}, tried {}\n  {}\n  {}\n",
            self.aggregate(),
            parked.sequence,
            self.kind(),
            parked.position,
            time(parked.parked_at),
            times(parked.attempts),
            self.why(parked.error.as_ref().map(|error| error.replace('\n', "\n  "))),
            self.event.as_ref().map_or("it is not in the log: `annals verify` says more", RecordedEvent::payload),
        )
    }

    /// Its type and id, as `annals show` takes them.
    fn aggregate(&self) -> String {
        let aggregate_type = self.event.as_ref().map_or("-", |event| event.aggregate_type());
        format!("{aggregate_type} {}", self.parked.aggregate_id)
    }

    fn kind(&self) -> &str {
        self.event.as_ref().map_or("-", |event| event.event_type())
    }

    /// What it is and what was wrong with it, in a line.
    pub fn account(&self) -> String {
        let why = self.why(self.parked.error.as_deref().map(brief));
        format!("{} of {}/{}: {why}", self.kind(), self.aggregate(), self.parked.sequence)
    }

    fn why(&self, error: Option<String>) -> String {
        let requested = if self.parked.replay_requested_at.is_some() { "(to be replayed) " } else { "" };
        let why = error.unwrap_or_else(|| {
            let why = match self.is_behind {
                true => "behind an earlier event of its aggregate",
                false => "waits to be replayed: the event it was behind is gone",
            };
            why.to_owned()
        });
        format!("{requested}{why}")
    }
}
