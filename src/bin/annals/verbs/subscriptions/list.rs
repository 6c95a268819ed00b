//! `annals subscriptions list`.

use std::{fmt::Write as _, time::Duration};

use annals::{CheckpointStore, Consumers, Inspect, Position, Progress, RunState, store::Readable};
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{find, nobody, parked, reason};
use crate::{
    args::Session,
    ending::{Ended, Failure},
    printer::{self, Printer, counted, exact, grouped, quoted, span},
};

/// Shows how far all are and who runs them, or all about one
///
/// A line for each, and one for each partition of those that are split. BEHIND is the number of events it has not handled,
/// counted up to a million (also those that its selection leaves out), and FOR is how long the oldest of them has waited.
/// STATE is running; dead: its runner has been silent for longer than its lease; stopped: nobody runs it; or paused. WHY says
/// what holds it up.
///
/// With a NAME it shows all about that one: the last error as a whole, the first parked events, and what can be done next, as
/// commands to copy. Where it is behind and running it looks twice, a second apart, and tells how fast it gets on.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals subscriptions list
  annals subscriptions list mail
  annals subscriptions list --format json | jq '.[] | select(.lag_seconds > 60)'")]
pub struct ListArgs {
    /// This one alone, with everything that is known of it
    name: Option<String>,
}

/// So many parked events are shown beside one.
const FIRST_PARKED: usize = 5;

/// How long it looks on, to tell how fast one gets on.
const LOOKS_ON: Duration = Duration::from_secs(1);

pub async fn run<S>(session: &Session, store: &S, args: &ListArgs) -> Result<Ended, Failure>
where
    S: CheckpointStore + Inspect + Clone,
{
    let printer = &session.printer;
    let Some(name) = &args.name else {
        return all(printer, store).await;
    };
    let progress = find(store, name).await?;
    if progress.is_empty() {
        return Ok(nobody(name));
    }
    let mut parked = Vec::new();
    for one in Consumers::new(store).parked(name, Position::START).await?.into_iter().take(FIRST_PARKED) {
        parked.push(parked::Known::of(store, name, one).await?);
    }
    let speed = speed(store, name, &progress).await?;
    let (readable, now) = (store.readable().await?, store.now());
    let one = One { name, progress, parked, speed, readable, now };
    printer.object(&one.object(), || one.text(printer))?;
    Ok(Ended::Done)
}

async fn all<S: CheckpointStore + Inspect + Clone>(printer: &Printer, store: &S) -> Result<Ended, Failure> {
    let (progress, readable, now) = (Consumers::new(store).list().await?, store.readable().await?, store.now());
    if progress.is_empty() {
        printer.words("there is no subscription or projection yet");
    }
    let mut list = printer.list(&HEADINGS);
    let rows: Vec<_> = progress.iter().map(|one| (one, reason::of(one, &readable, now))).collect();
    let room = printer.width().map(|width| {
        let widest = |column: usize| {
            let cells = rows.iter().map(|(one, _)| first_cells(one)[column].chars().count());
            cells.chain([HEADINGS[column].len()]).max().unwrap_or_default() + BETWEEN
        };
        width.saturating_sub((0..HEADINGS.len() - 1).map(widest).sum()).max(NARROWEST)
    });
    for (progress, why) in &rows {
        let shown = cut(why.as_deref().unwrap_or("-"), room);
        list.row(&object(progress, why.as_deref()), first_cells(progress).into_iter().chain([shown]))?;
    }
    list.end()?;
    Ok(Ended::Done)
}

const HEADINGS: [&str; 8] = ["NAME", "KIND", "POSITION", "BEHIND", "FOR", "STATE", "PARKED", "WHY"];

/// So many blanks are between two columns.
const BETWEEN: usize = 2;

/// The fewest characters that WHY has, also where a terminal has no room for them.
const NARROWEST: usize = 20;

/// All but WHY.
fn first_cells(progress: &Progress) -> [String; 7] {
    [
        progress.consumer.to_string(),
        progress.kind.to_string(),
        progress.position.to_string(),
        lag(progress),
        if progress.lag_events == 0 { "-".to_owned() } else { span(progress.lag) },
        reason::word(&progress.state).to_owned(),
        grouped(progress.parked),
    ]
}

/// As much of a line as there is room for.
fn cut(line: &str, room: Option<usize>) -> String {
    match room {
        Some(room) if line.chars().count() > room => line.chars().take(room - 1).chain(['…']).collect(),
        _ => line.to_owned(),
    }
}

/// As far as events are counted.
const COUNTED: u64 = 1_000_000;

fn lag(progress: &Progress) -> String {
    let more = if progress.lag_events >= COUNTED { "more than " } else { "" };
    format!("{more}{}", grouped(progress.lag_events))
}

fn object(progress: &Progress, why: Option<&str>) -> Value {
    let (owner, since) = match &progress.state {
        RunState::Running { owner } => (Some(owner), None),
        RunState::Dead { owner, since } => (Some(owner), Some(*since)),
        RunState::Paused { since } => (None, Some(*since)),
        _ => (None, None),
    };
    json!({
        "name": progress.consumer.name(),
        "partition": progress.consumer.partition(),
        "partitions": progress.consumer.of(),
        "kind": progress.kind.as_str(),
        "position": progress.position.get(),
        "recorded_at": progress.recorded_at.map(exact),
        "moved_at": exact(progress.moved_at),
        "lag_events": progress.lag_events,
        "lag_seconds": progress.lag.as_secs_f64(),
        "state": reason::word(&progress.state),
        "since": since.map(exact),
        "owner": owner,
        "alive_at": progress.alive_at.map(exact),
        "parked": progress.parked,
        "crashes": progress.crashes,
        "failure": progress.failure.as_ref().map(|failure| &failure.message),
        "failed_at": progress.failure.as_ref().map(|failure| exact(failure.at)),
        "build": progress.build,
        "version": progress.version,
        "why": why,
    })
}

/// How many events a second it gets on by; `None` where that cannot be seen.
async fn speed<S: CheckpointStore + Clone>(store: &S, name: &str, first: &[Progress]) -> Result<Option<u64>, Failure> {
    let moves = |one: &Progress| one.lag_events > 0 && matches!(one.state, RunState::Running { .. });
    if !first.iter().any(moves) {
        return Ok(None);
    }
    tokio::time::sleep(LOOKS_ON).await;
    let mut events = 0;
    for (before, after) in first.iter().zip(find(store, name).await?) {
        let (from, to) = (store.count_after(before.position).await?, store.count_after(after.position).await?);
        if from >= COUNTED {
            return Ok(None);
        }
        events += from.saturating_sub(to);
    }
    Ok(Some(events))
}

/// All that is known of one.
struct One<'n> {
    name: &'n str,
    progress: Vec<Progress>,
    parked: Vec<parked::Known>,
    speed: Option<u64>,
    readable: Readable,
    now: DateTime<Utc>,
}

impl One<'_> {
    fn why(&self, progress: &Progress) -> Option<String> {
        reason::of(progress, &self.readable, self.now)
    }

    fn object(&self) -> Value {
        let partition = |progress| object(progress, self.why(progress).as_deref());
        let next = |(command, what): &(String, String)| json!({ "command": command, "what": what });
        json!({
            "name": self.name,
            "partitions": self.progress.iter().map(partition).collect::<Vec<_>>(),
            "events_a_second": self.speed,
            "first_parked": self.parked.iter().map(parked::Known::object).collect::<Vec<_>>(),
            "next": self.next().iter().map(next).collect::<Vec<_>>(),
        })
    }

    fn text(&self, printer: &Printer) -> String {
        let mut text = String::new();
        for progress in &self.progress {
            self.paragraph(progress, &mut text);
        }
        // Writing to a string does not fail.
        if let Some(speed) = self.speed {
            let _ = match speed {
                0 => writeln!(text, "It has not got on in the second that was looked on.\n"),
                speed => writeln!(text, "It gets on by {} in a second.\n", counted(speed, "event")),
            };
        }
        if let Some(first) = self.progress.first().filter(|first| first.parked > 0) {
            let shown = self.parked.len() as u64;
            let first_of = if first.parked > shown { format!("the first {shown}, ") } else { String::new() };
            let mut table = printer.table(&parked::HEADINGS);
            table.add_rows(self.parked.iter().map(parked::Known::cells));
            let _ = writeln!(text, "Parked ({first_of}{} in all):\n{}", grouped(first.parked), printer::drawn(table));
        }
        let _ = writeln!(text, "What can be done:");
        for (command, what) in self.next() {
            let _ = writeln!(text, "  {what}:\n    {command}");
        }
        text
    }

    fn paragraph(&self, progress: &Progress, text: &mut String) {
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<11}{value}");
        };
        let ago = |at: DateTime<Utc>| span((self.now - at).to_std().unwrap_or_default());
        let at = |at: DateTime<Utc>| format!("{}, {} ago", printer::time(at), ago(at));
        line("name", format!("{}, a {}", progress.consumer, progress.kind));
        line("why", self.why(progress).unwrap_or_else(|| "all is well".to_owned()));
        line(
            "position",
            match progress.recorded_at {
                Some(recorded_at) => format!("{}, recorded {}", progress.position, printer::time(recorded_at)),
                None => progress.position.to_string(),
            },
        );
        line("moved", at(progress.moved_at));
        line(
            "behind",
            match progress.lag_events {
                0 => "none".to_owned(),
                1 => format!("1 event, for {}", span(progress.lag)),
                _ => format!("{} events, the oldest for {}", lag(progress), span(progress.lag)),
            },
        );
        line(
            "state",
            match &progress.state {
                RunState::Running { owner } => format!("running, by {owner}"),
                RunState::Dead { owner, since } => format!("dead since {}; it was run by {owner}", at(*since)),
                RunState::Paused { since } => format!("paused since {}", at(*since)),
                state => reason::word(state).to_owned(),
            },
        );
        if let Some(alive_at) = progress.alive_at {
            line("alive", at(alive_at));
        }
        if progress.crashes > 0 {
            line("crashes", format!("{} runners in a row", progress.crashes));
        }
        if progress.version > 0 {
            line("built", format!("build {} of version {}", progress.build, progress.version));
        }
        if let Some(failure) = &progress.failure {
            line("failed", at(failure.at));
            line("error", failure.message.replace('\n', "\n             "));
        }
        text.push('\n');
    }

    /// What can be done next: a command to copy, and what it is for.
    fn next(&self) -> Vec<(String, String)> {
        let name = quoted(self.name);
        let mut next = Vec::new();
        let mut add = |verb: &str, what: &str| {
            next.push((format!("annals subscriptions {verb}"), what.to_owned()));
        };
        let any = |is_so: fn(&Progress) -> bool| self.progress.iter().any(is_so);
        let is_paused = any(|one| matches!(one.state, RunState::Paused { .. }));
        if is_paused {
            let what = match any(|one| one.parked > 0) {
                true => "let it run again; what is parked can be discarded then, and not before",
                false => "let it run again",
            };
            add(&format!("resume {name}"), what);
        } else {
            let is_idle = |one: &Progress| matches!(one.state, RunState::Stopped | RunState::Dead { .. });
            let has_failed = |one: &Progress| is_idle(one) && one.failure.is_some();
            let is_wanted =
                |one: &Progress| matches!(one.state, RunState::Dead { .. }) || (is_idle(one) && one.lag_events > 0);
            if self.progress.iter().any(has_failed) {
                add(
                    &format!("list {name}"),
                    "mend what its error says, start the program that runs it, and look again",
                );
            } else if self.progress.iter().any(is_wanted) {
                add(&format!("list {name}"), "start the program that runs it, and look again");
            }
            add(&format!("pause {name}"), "have nobody run it, for example while its handler is mended");
        }
        if any(|one| one.parked > 0) {
            add(&format!("parked {name} --payload"), "see all parked events, and what they say");
            add(&format!("replay {name} --all"), "once the cause is mended: have them handled again");
            if !is_paused {
                add(&format!("discard {name} --all"), "if nobody needs them: never handle them");
            }
        }
        if any(|one| one.kind == annals::ConsumerKind::Subscription) {
            add(
                &format!("reset {name} --to POSITION"),
                "handle events again from a position on, or pass some over (it says how many and asks)",
            );
        } else {
            next.push(("Projector::rebuild".to_owned(), "make its rows anew: in its program".to_owned()));
        }
        next
    }
}
