//! Which parked events are meant.

use annals::ParkedChoice;
use clap::Args as ClapArgs;
use uuid::Uuid;

/// One of these has to be said.
#[derive(Debug, Clone, Copy, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct ChoiceArgs {
    /// One event, as `parked` shows it
    #[arg(long, value_name = "AGGREGATE-ID/SEQUENCE", value_parser = event)]
    event: Option<Event>,

    /// All parked events of this aggregate
    #[arg(long, value_name = "AGGREGATE-ID", value_parser = aggregate)]
    aggregate: Option<Uuid>,

    /// All that are parked
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Copy)]
struct Event(Uuid, u64);

fn event(text: &str) -> Result<Event, String> {
    // As `parked` shows it: `TYPE AGGREGATE-ID SEQUENCE`. Events are also named with a hyphen, behind 36 characters of an id.
    let text = text.trim();
    let parts =
        text.rsplit_once('/').or_else(|| text.rsplit_once(char::is_whitespace).filter(|(_, end)| is_number(end)));
    let parts = parts.or_else(|| text.rsplit_once('-'));
    let (aggregate_id, sequence) = parts.ok_or("it is AGGREGATE-ID/SEQUENCE")?;
    let aggregate_id = aggregate(aggregate_id)?;
    match sequence.parse() {
        Ok(sequence) if sequence > 0 => Ok(Event(aggregate_id, sequence)),
        _ => Err(format!("{sequence:?} is not the sequence of an event: those are counted from 1")),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads the id of an aggregate, with or without its type in front: `order 0197…`.
pub fn aggregate(text: &str) -> Result<Uuid, String> {
    let id = text.split_whitespace().next_back().unwrap_or_default();
    id.parse().map_err(|_| format!("{id:?} is not the id of an aggregate"))
}

impl ChoiceArgs {
    pub const fn choice(&self) -> ParkedChoice {
        match (self.event, self.aggregate) {
            (Some(Event(aggregate_id, sequence)), _) => ParkedChoice::Event { aggregate_id, sequence },
            (None, Some(aggregate_id)) => ParkedChoice::Aggregate(aggregate_id),
            (None, None) => ParkedChoice::All,
        }
    }
}
