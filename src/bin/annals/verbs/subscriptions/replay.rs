//! `annals subscriptions replay` and `discard`.

use std::time::Duration;

use annals::{CheckpointStore, Consumers, ParkedChoice, ParkedEvent, Position, Progress, RunState, store::ParkedQuery};
use clap::Args as ClapArgs;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{choice::ChoiceArgs, find, nobody, parked::Known, patiently};
use crate::{
    args::Session,
    ask::confirm,
    ending::{Ended, Failure},
    printer::{counted, grouped, quoted},
};

/// Has parked events handled again, by the program that runs them
///
/// This program has not the code that handles events, so it asks the one that has: whoever runs the subscription or projection
/// does it within about a second, between new events, in the order of the log. Where nobody runs it now, the next runner does.
/// What is handled is parked no longer, and what was parked only behind it follows by itself; what fails again stays parked
/// with its new error, with those behind it. The wish outlives crashes of the runner.
///
/// One event of an aggregate brings the earlier parked ones of that aggregate with it, since they come first. With --wait it
/// waits for what comes of it. Exit code 3: some of it is still parked then.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals subscriptions replay mail --all --wait 60
  annals subscriptions replay mail --aggregate 0197f6e8-8a54-7c00-8000-3d1f2a9b4c5d
  annals subscriptions replay mail --event 0197f6e8-8a54-7c00-8000-3d1f2a9b4c5d/3")]
pub struct ReplayArgs {
    /// Whose parked events
    name: String,

    #[command(flatten)]
    choice: ChoiceArgs,

    /// Wait so long for what comes of it
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    wait: Option<u32>,
}

/// How often it looks, while it waits.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Parked events are counted in pages of so many.
const PAGE: u32 = 1_000;

pub async fn run<S: CheckpointStore + Clone>(
    session: &Session,
    store: &S,
    args: &ReplayArgs,
) -> Result<Ended, Failure> {
    let (name, choice, printer) = (&args.name, args.choice.choice(), &session.printer);
    let progress = find(store, name).await?;
    if progress.is_empty() {
        return Ok(nobody(name));
    }
    if look_through(store, name, choice).await?.0 == 0 {
        return Ok(Ended::No(format!("nothing of that is parked by {name}")));
    }
    let requested = patiently(async || Consumers::new(store).request_replay(name, choice).await).await?;
    let runs = progress.iter().all(|one| matches!(one.state, RunState::Running { .. }));
    let Some(seconds) = args.wait else {
        let object = json!({ "name": name, "requested": requested, "is_run": runs });
        printer.object(&object, || format!("{name}: {}\n  {}", asked(requested), who(name, &progress)))?;
        return Ok(Ended::Done);
    };
    if !runs {
        printer.words(who(name, &progress));
    }
    let within = Duration::from_secs(seconds.into());
    let is_done = done(store, name, within).await?;
    let left = look_through(store, name, choice).await?.0;
    let object = json!({ "name": name, "requested": requested, "is_run": runs, "is_done": is_done, "left": left });
    printer.object(&object, || format!("{name}: {}; {}", asked(requested), still_parked(left)))?;
    Ok(match (is_done, left) {
        (true, 0) => Ended::Done,
        (true, _) => Ended::No(format!("it has failed again: annals subscriptions parked {}", quoted(name))),
        (false, _) => Ended::No(format!("it was not done within {seconds} s; it is still asked for")),
    })
}

fn asked(requested: u64) -> String {
    match requested {
        1 => "1 parked event is to be handled again".to_owned(),
        many => format!("{} parked events are to be handled again", grouped(many)),
    }
}

fn still_parked(left: u64) -> String {
    match left {
        0 => "none of that is parked any longer".to_owned(),
        1 => "1 is still parked".to_owned(),
        many => format!("{} are still parked", grouped(many)),
    }
}

/// Who is going to do it.
fn who(name: &str, progress: &[Progress]) -> String {
    let is = |wanted: fn(&RunState) -> bool| progress.iter().any(|one| wanted(&one.state));
    if is(|state| matches!(state, RunState::Paused { .. })) {
        return format!("it is paused: that is done once it is resumed (annals subscriptions resume {})", quoted(name));
    }
    if is(|state| !matches!(state, RunState::Running { .. })) {
        return "nobody runs it, or all of it, now: that is done as soon as somebody does".to_owned();
    }
    format!("its runner handles them now; see what is left with: annals subscriptions parked {}", quoted(name))
}

/// Waits until nothing is asked for any more.
async fn done<S: CheckpointStore>(store: &S, name: &str, within: Duration) -> Result<bool, Failure> {
    let (began, mut quiet) = (Instant::now(), 0);
    // Twice: what follows by itself is asked for a moment after what it stands behind was handled.
    while quiet < 2 {
        let is_over = store.requested_replays(name, Position::START, 1).await?.is_empty();
        quiet = if is_over { quiet + 1 } else { 0 };
        if began.elapsed() > within {
            return Ok(is_over);
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(true)
}

/// Counts those that are meant, and finds the first of them; counts those of the same aggregate behind that one, too.
async fn look_through<S: CheckpointStore>(
    store: &S,
    name: &str,
    choice: ParkedChoice,
) -> Result<(u64, Option<ParkedEvent>, u64), Failure> {
    let (aggregate_id, wanted) = match choice {
        ParkedChoice::All => {
            let query = ParkedQuery { name: name.to_owned(), aggregate_id: None, after: Position::START, limit: 1 };
            return Ok((store.count_parked(name).await?, store.parked(&query).await?.pop(), 0));
        }
        ParkedChoice::Aggregate(aggregate_id) => (Some(aggregate_id), None),
        ParkedChoice::Event { aggregate_id, sequence } => (Some(aggregate_id), Some(sequence)),
        _ => (None, None),
    };
    let (mut count, mut first, mut behind, mut after) = (0, None, 0, Position::START);
    loop {
        let query = ParkedQuery { name: name.to_owned(), aggregate_id, after, limit: PAGE };
        let page = store.parked(&query).await?;
        let (full, last) = (page.len() == PAGE as usize, page.last().map(|last| last.position));
        for event in page {
            if wanted.is_some_and(|wanted| event.sequence > wanted) {
                behind += 1;
            } else if wanted.is_none_or(|wanted| event.sequence == wanted) {
                count += 1;
                first.get_or_insert(event);
            }
        }
        match last.filter(|_| full) {
            Some(last) => after = last,
            None => return Ok((count, first, behind)),
        }
    }
}

pub async fn discard<S: CheckpointStore + Clone>(
    session: &Session,
    store: &S,
    (name, choice): (&str, ParkedChoice),
    yes: bool,
) -> Result<Ended, Failure> {
    let progress = find(store, name).await?;
    if progress.is_empty() {
        return Ok(nobody(name));
    }
    let (count, first, _) = look_through(store, name, choice).await?;
    if count == 0 {
        return Ok(Ended::No(format!("nothing of that is parked by {name}")));
    }
    if progress.iter().any(|one| matches!(one.state, RunState::Paused { .. })) {
        let resume = format!("annals subscriptions resume {}", quoted(name));
        return Err(Failure::failed(format!("{name} is paused, so that nobody may change what is parked: {resume}")));
    }
    let events = match first.filter(|_| count == 1) {
        Some(one) => format!("1 parked event ({})", Known::of(store, name, one).await?.account()),
        None => counted(count, "parked event"),
    };
    confirm(yes, &format!("{name}: discard {events}? What is discarded is never handled."))?;
    let discarded = patiently(async || Consumers::new(store).discard_all(name, choice).await).await?;
    let left = store.count_parked(name).await?;
    let behind = match choice {
        ParkedChoice::Event { aggregate_id, .. } => Some((look_through(store, name, choice).await?.2, aggregate_id)),
        _ => None,
    };
    let behind = behind.filter(|(behind, _)| *behind > 0);
    let object = json!({ "name": name, "discarded": discarded, "left": left, "left_behind": behind.map_or(0, |(many, _)| many) });
    session.printer.object(&object, || {
        let said = format!("{name}: {} discarded, {} still parked", counted(discarded, "event"), grouped(left));
        said + &behind.map(|behind| stay(name, behind)).unwrap_or_default()
    })?;
    Ok(Ended::Done)
}

/// What was behind a discarded event, and how it is handled.
fn stay(name: &str, (many, aggregate_id): (u64, Uuid)) -> String {
    let (stay, them) = match many {
        1 => ("1 event that was behind it stays".to_owned(), "it"),
        many => (format!("{} events that were behind it stay", grouped(many)), "them"),
    };
    let replay = format!("annals subscriptions replay {} --aggregate {aggregate_id}", quoted(name));
    format!("\n  {stay} parked; to have {them} handled now:\n    {replay}")
}
