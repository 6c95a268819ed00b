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
    #[arg(long, value_name = "AGGREGATE-ID")]
    aggregate: Option<Uuid>,

    /// All that are parked
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Copy)]
struct Event(Uuid, u64);

fn event(text: &str) -> Result<Event, String> {
    // Events are also named with a hyphen: the id of an aggregate has 36 characters.
    let (aggregate_id, sequence) = match text.split_once('/') {
        Some(parts) => parts,
        None => text.rsplit_once('-').ok_or("it is AGGREGATE-ID/SEQUENCE")?,
    };
    let aggregate_id = aggregate_id.parse().map_err(|_| format!("{aggregate_id:?} is not the id of an aggregate"))?;
    match sequence.parse() {
        Ok(sequence) if sequence > 0 => Ok(Event(aggregate_id, sequence)),
        _ => Err(format!("{sequence:?} is not the sequence of an event: those are counted from 1")),
    }
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
