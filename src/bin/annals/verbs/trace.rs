//! `annals trace`: what led to what, across aggregates.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use annals::{EventRef, EventStoreExt as _, Metadata, Search, StreamQuery, store::EventSearch};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args as ClapArgs;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
    look::{Columns, plain},
    printer::{Printer, counted, exact, grouped, span, time},
};

/// Shows what led to what, across aggregates: the events of a correlation
///
/// As a tree: beneath an event stand those whose metadata name it as their cause. An event without a cause, or whose cause
/// is not part of the correlation, stands at the root, with the cause's name where it has one. Times are counted from the
/// first event.
///
/// The correlation id is what the application gave (often the id of a request), or the name of an event, such as
/// 0b1f4c5e-6a3d-5f0e-8c61-0f6f5b2f8f11-3, where a chain began with an event that had none.
///
/// It takes one pass over the log: some seconds for each million events, unless there is an index for correlations
/// (its statement is in the documentation, under “Operating annals”). Nothing is locked. Exit code 3: there are no such events.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals trace 4bf92f3577b34da6a3ce929d0e0e4736
  annals trace 0b1f4c5e-6a3d-5f0e-8c61-0f6f5b2f8f11-3 --format jsonl | jq .position")]
pub struct TraceArgs {
    /// The correlation id
    #[arg(value_name = "CORRELATION-ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    correlation: String,

    /// How many events are shown at the most, the oldest
    #[arg(long, value_name = "EVENTS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
}

/// How deep the tree is drawn; what lies deeper is drawn at this depth.
const DRAWN_DEPTH: usize = 32;

/// An event of the correlation: what it is, and no payload.
#[derive(Debug, Serialize)]
struct Traced {
    position: u64,
    recorded_at: String,
    #[serde(skip)]
    at: DateTime<Utc>,
    aggregate_type: String,
    aggregate_id: Uuid,
    sequence: u64,
    event_type: String,
    command_id: Uuid,
    causation_id: Option<String>,
    /// The position of the event beneath which it stands; `None`: at the root.
    parent_position: Option<u64>,
    depth: usize,
}

impl Traced {
    fn of(event: &EventRef<'_>) -> Self {
        let metadata = Metadata::from_json(event.metadata).unwrap_or_default();
        Self {
            position: event.position.get(),
            recorded_at: exact(event.recorded_at),
            at: event.recorded_at,
            aggregate_type: event.aggregate_type.to_owned(),
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: event.event_type.to_owned(),
            command_id: event.command_id,
            causation_id: metadata.causation_id,
            parent_position: None,
            depth: 0,
        }
    }

    fn name(&self) -> String {
        format!("{}-{}", self.aggregate_id, self.sequence)
    }
}

/// Looks them up, and shows them.
pub async fn run(session: &Session, args: &TraceArgs) -> Result<Ended, Failure> {
    on!(session.open().await?, store => trace(&session.printer, &store, args).await)
}

async fn trace(printer: &Printer, store: &dyn Search, args: &TraceArgs) -> Result<Ended, Failure> {
    let mut events = find(store, args).await?;
    if events.is_empty() {
        return Ok(Ended::No(format!("there are no events of the correlation {}", plain(&args.correlation))));
    }
    let is_cut = events.len() as u64 > args.limit;
    events.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    let branches = Tree::of(&events).walk();
    for Branch { event, parent, depth, .. } in &branches {
        let parent = parent.map(|parent| events[parent].position);
        (events[*event].parent_position, events[*event].depth) = (parent, *depth);
    }
    show(printer, args, &events, &branches)?;
    if is_cut {
        printer.words(format!("the first {} are shown, and there are more: --limit", grouped(args.limit)));
    }
    Ok(Ended::Done)
}

/// The events in the order of the log, one more than are asked for where there are more.
async fn find(store: &dyn Search, args: &TraceArgs) -> Result<Vec<Traced>, Failure> {
    let mut events = Vec::new();
    // A chain that began with an event without a correlation bears the name of that event.
    if let Some((id, sequence)) = event_name(&args.correlation) {
        let query = StreamQuery::of(id).from_sequence(sequence).to_sequence(sequence);
        events.extend(store.collect_stream(&query).await?.iter().map(|event| Traced::of(&event.as_ref())));
    }
    let search = EventSearch::all().correlation_id(args.correlation.as_str()).limit(args.limit.saturating_add(1));
    let mut visit = |event: EventRef<'_>| {
        if events.first().is_none_or(|first| first.position != event.position.get()) {
            events.push(Traced::of(&event));
        }
        Ok(())
    };
    store.find_events(&search, &mut visit).await?;
    events.sort_by_key(|event| event.position);
    Ok(events)
}

/// Reads the name of an event: its aggregate's id, and its sequence.
fn event_name(name: &str) -> Option<(Uuid, u64)> {
    let (id, sequence) = name.rsplit_once('-')?;
    Some((id.parse().ok()?, sequence.parse().ok()?))
}

/// Where an event stands in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Branch {
    event: usize,
    parent: Option<usize>,
    depth: usize,
    is_last: bool,
}

/// Which events stand beneath which.
struct Tree {
    roots: Vec<usize>,
    children: HashMap<usize, Vec<usize>>,
    events: usize,
}

impl Tree {
    fn of(events: &[Traced]) -> Self {
        let names: HashMap<String, usize> = events.iter().enumerate().map(|(at, event)| (event.name(), at)).collect();
        let (mut roots, mut children) = (Vec::new(), HashMap::<_, Vec<_>>::new());
        for (at, event) in events.iter().enumerate() {
            match event.causation_id.as_ref().and_then(|cause| names.get(cause)) {
                Some(cause) if *cause != at => children.entry(*cause).or_default().push(at),
                _ => roots.push(at),
            }
        }
        Self { roots, children, events: events.len() }
    }

    /// Every event once, each after its cause.
    ///
    /// Events that are one another's causes hang from no root: the first of such a circle becomes one.
    fn walk(mut self) -> Vec<Branch> {
        let (mut branches, mut seen) = (Vec::with_capacity(self.events), HashSet::new());
        for root in std::mem::take(&mut self.roots).into_iter().chain(0..self.events) {
            let mut waiting = vec![Branch { event: root, parent: None, depth: 0, is_last: true }];
            while let Some(branch) = waiting.pop() {
                if !seen.insert(branch.event) {
                    continue;
                }
                let children = self.children.remove(&branch.event).unwrap_or_default();
                let children: Vec<_> = children.into_iter().filter(|child| !seen.contains(child)).collect();
                for (at, child) in children.iter().enumerate().rev() {
                    let (parent, is_last) = (Some(branch.event), at + 1 == children.len());
                    waiting.push(Branch { event: *child, parent, depth: branch.depth + 1, is_last });
                }
                branches.push(branch);
            }
        }
        branches
    }
}

fn show(printer: &Printer, args: &TraceArgs, events: &[Traced], branches: &[Branch]) -> Result<(), Failure> {
    let mut list = printer.list(&[]);
    if !printer.is_table() {
        for Branch { event, .. } in branches {
            list.text(&events[*event], "")?;
        }
        return list.end();
    }
    let (first, last) = (events[0].at, events[events.len() - 1].at);
    let aggregates: HashSet<Uuid> = events.iter().map(|event| event.aggregate_id).collect();
    list.text(&(), &format!("correlation {}", plain(&args.correlation)))?;
    let (many, of) = (counted(events.len() as u64, "event"), counted(aggregates.len() as u64, "aggregate"));
    list.text(&(), &format!("{many} of {of}, {} to {}\n", time(first), time(last)))?;
    let drawn: Vec<_> =
        drawn(branches).into_iter().zip(branches).map(|(tree, branch)| (tree, &events[branch.event])).collect();
    let mut columns = Columns::<5>::new(printer.width());
    let rows: Vec<[String; 5]> = drawn
        .into_iter()
        .map(|(tree, event)| {
            let outer = event.causation_id.as_ref().filter(|_| event.parent_position.is_none());
            [
                event.position.to_string(),
                since(event.at - first),
                format!("{tree}{}", event.event_type),
                format!("{} {} {}", event.aggregate_type, event.aggregate_id, event.sequence),
                outer.map(|cause| format!("caused by {}", plain(cause))).unwrap_or_default(),
            ]
        })
        .collect();
    columns.widen(["POSITION", "AFTER", "EVENT", "AGGREGATE AND SEQUENCE", ""]);
    for row in &rows {
        columns.widen(row.each_ref().map(String::as_str));
    }
    list.text(&(), &columns.line(["POSITION", "AFTER", "EVENT", "AGGREGATE AND SEQUENCE", ""]))?;
    for row in &rows {
        list.text(&(), &columns.line(row.each_ref().map(String::as_str)))?;
    }
    list.end()
}

/// How long after the first event; a clock may have gone back.
fn since(time: TimeDelta) -> String {
    let sign = if time < TimeDelta::zero() { "-" } else { "+" };
    match time.abs().to_std().unwrap_or_default() {
        short if short < Duration::from_secs(60) => format!("{sign}{}.{:03}s", short.as_secs(), short.subsec_millis()),
        long => format!("{sign}{}", span(long)),
    }
}

/// What stands before each event: the lines of the tree.
fn drawn(branches: &[Branch]) -> Vec<String> {
    // Whether the branch at each depth is the last of its parent's.
    let mut ends: Vec<bool> = Vec::new();
    let mut lines = Vec::with_capacity(branches.len());
    for branch in branches {
        ends.truncate(branch.depth);
        ends.push(branch.is_last);
        let mut line = String::new();
        let depth = branch.depth.min(DRAWN_DEPTH);
        for end in ends.iter().take(depth).skip(1) {
            line.push_str(if *end { "   " } else { "│  " });
        }
        match branch.depth {
            0 => {}
            deep if deep > DRAWN_DEPTH => line.push_str(&format!("└─ (at depth {deep}) ")),
            _ => line.push_str(if branch.is_last { "└─ " } else { "├─ " }),
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events 0, 1, 2 … of one aggregate, each caused by what its number says.
    fn events(causes: &[Option<usize>]) -> Vec<Traced> {
        let name = |at: usize| format!("{}-{at}", Uuid::nil());
        let traced = causes.iter().enumerate().map(|(at, cause)| Traced {
            position: at as u64 + 1,
            recorded_at: String::new(),
            at: DateTime::UNIX_EPOCH,
            aggregate_type: "order".to_owned(),
            aggregate_id: Uuid::nil(),
            sequence: at as u64,
            event_type: "placed".to_owned(),
            command_id: Uuid::nil(),
            causation_id: cause.map(name),
            parent_position: None,
            depth: 0,
        });
        traced.collect()
    }

    fn tree(causes: &[Option<usize>]) -> Vec<String> {
        let branches = Tree::of(&events(causes)).walk();
        drawn(&branches).into_iter().zip(&branches).map(|(line, branch)| format!("{line}{}", branch.event)).collect()
    }

    #[test]
    fn every_event_stands_once_beneath_its_cause() {
        let causes = [None, Some(0), Some(1), Some(0), Some(3), Some(99), None];
        assert_eq!(tree(&causes), ["0", "├─ 1", "│  └─ 2", "└─ 3", "   └─ 4", "5", "6"]);
    }

    #[test]
    fn circles_end() {
        assert_eq!(tree(&[Some(0)]), ["0"]);
        assert_eq!(tree(&[Some(1), Some(0), None]), ["2", "0", "└─ 1"]);
        assert_eq!(tree(&[Some(2), Some(0), Some(1), Some(1)]), ["0", "└─ 1", "   ├─ 2", "   └─ 3"]);
    }

    #[test]
    fn a_long_chain_is_neither_walked_by_recursion_nor_drawn_to_the_right_without_end() {
        let causes: Vec<_> = (0..100_000_usize).map(|at| at.checked_sub(1)).collect();
        let lines = tree(&causes);
        assert_eq!(lines.len(), 100_000);
        assert!(lines.iter().all(|line| line.chars().count() < 3 * DRAWN_DEPTH + 40));
        assert!(lines[99_999].ends_with("└─ (at depth 99999) 99999"), "{}", lines[99_999]);
    }

    #[test]
    fn names_of_events_are_told_from_other_correlations() {
        assert_eq!(event_name("00000000-0000-0000-0000-000000000000-12"), Some((Uuid::nil(), 12)));
        for other in ["", "request-7", "00000000-0000-0000-0000-000000000000", "x-1-2"] {
            assert_eq!(event_name(other), None, "{other}");
        }
    }
}
