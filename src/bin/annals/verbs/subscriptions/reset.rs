//! `annals subscriptions reset`.

use annals::{CheckpointStore, ConsumerKind, Consumers, Error, Position, Reset, Start};
use chrono::Utc;
use clap::Args as ClapArgs;
use serde_json::json;

use super::{find, nobody, patiently};
use crate::{
    args::Session,
    ask::confirm,
    ending::{Ended, Failure},
    look::moment,
    printer::{counted, exact, grouped, time},
};

/// Moves a subscription to another place in the log, back or forward
///
/// Back: every event behind that place is handled again, also those that were handled or discarded before; whatever its program
/// does then it does once more, unless it knows the event: mails go out again. Forward: what lies between is never told. It says first how
/// many events that are, and asks.
///
/// All partitions are moved. Whoever runs it loses its lease at once and goes on from there; no event behind the new place is
/// lost. Parked events behind the place are told again with the rest and parked no longer; those up to it stay parked. A
/// projection is not moved but made anew by its program (Projector::rebuild).
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals subscriptions reset mail --to start
  annals subscriptions reset mail --to 48211            the next event told is the one behind position 48211
  annals subscriptions reset mail --to 2026-01-05T10:00:00Z
  annals subscriptions reset mail --to 2h               what was recorded in the last two hours
  annals subscriptions reset mail --to end --yes        pass over everything there is")]
pub struct ResetArgs {
    /// Its name, as `list` shows it
    name: String,

    /// start, end, a position of an event (which then counts as handled), a time, a day or how long ago: 30s, 15m, 2h, 3d, 1w
    #[arg(long, value_name = "PLACE", value_parser = place)]
    to: Start,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn place(text: &str) -> Result<Start, String> {
    match text {
        "start" | "0" => return Ok(Start::Beginning),
        "end" => return Ok(Start::Now),
        _ => {}
    }
    if let Ok(position) = text.parse() {
        return Ok(Start::After(Position::new(position)));
    }
    match moment(text) {
        Ok(time) if time > Utc::now() => {
            Err("that time is still to come: say end to pass over what there is".to_owned())
        }
        Ok(time) => Ok(Start::Since(time)),
        Err(wrong) => Err(format!("it is start, end, a position such as 48211, or a time; {wrong}")),
    }
}

pub async fn run<S: CheckpointStore + Clone>(session: &Session, store: &S, args: &ResetArgs) -> Result<Ended, Failure> {
    let (name, consumers) = (&args.name, Consumers::new(store));
    let progress = find(store, name).await?;
    let Some(first) = progress.first() else {
        return Ok(nobody(name));
    };
    if first.kind == ConsumerKind::Projection {
        return Err(Failure::failed(format!(
            "{name} is a projection: its rows hold what is before its position, so it is not moved. Have its program make them \
             anew, with Projector::rebuild"
        )));
    }
    let plan = match consumers.plan_reset(name, args.to).await {
        Err(Error::Invalid { .. }) if matches!(args.to, Start::After(_)) => {
            return Ok(Ended::No(
                "there is no event at that position: `annals log` shows those that there are".to_owned(),
            ));
        }
        plan => plan?,
    };
    if plan.unparked == 0 && progress.iter().all(|one| one.position == plan.position()) {
        let object = json!({ "name": name, "position": plan.position().get(), "changed": false });
        session.printer.object(&object, || format!("{name} stands at {} already: nothing is done", place_of(&plan)))?;
        return Ok(Ended::Done);
    }
    let again = if plan.told_again > 0 {
        " Events that it has handled before are handled again, also discarded ones: mails go out again."
    } else {
        ""
    };
    confirm(args.yes, &format!("Move {name} {}?{again}", account(&plan)))?;
    let done = patiently(async || consumers.reset(name, args.to).await).await?;
    let object = json!({
        "name": name,
        "position": done.position().get(),
        "recorded_at": done.recorded_at().map(exact),
        "told_again": done.told_again,
        "passed_over": done.passed_over,
        "unparked": done.unparked,
        "is_more": done.is_more(),
        "changed": true,
    });
    session.printer.object(&object, || format!("{name} was moved {}", account(&done)))?;
    Ok(Ended::Done)
}

fn place_of(reset: &Reset) -> String {
    match (reset.position(), reset.recorded_at()) {
        (Position::START, _) => "the start of the log".to_owned(),
        (position, Some(at)) => format!("position {position}, recorded {}", time(at)),
        (position, None) => format!("position {position}"),
    }
}

/// What it comes to, in a sentence.
fn account(reset: &Reset) -> String {
    let more = if reset.is_more() { "at least " } else { "" };
    let events = |number: u64| match number {
        1 => format!("{more}1 event is"),
        number => format!("{more}{} events are", grouped(number)),
    };
    let mut parts = Vec::new();
    if reset.told_again > 0 {
        parts.push(format!("{} handled again", events(reset.told_again)));
    }
    if reset.passed_over > 0 {
        parts.push(format!("{} passed over and never handled", events(reset.passed_over)));
    }
    if reset.unparked > 0 {
        parts.push(format!("{} among them, parked no longer", counted(reset.unparked, "parked event")));
    }
    if parts.is_empty() {
        parts.push("no event is handled again or passed over".to_owned());
    }
    format!("to {}: {}", place_of(reset), parts.join(", "))
}
