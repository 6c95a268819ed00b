//! What was checked, in words.

use std::time::Duration;

use annals::{FindingKind, Report};

use super::output::{Kinds, name};
use crate::printer::{grouped, span};

/// What was checked, and in what time.
pub fn of(report: &Report, took: Duration) -> String {
    let counts = report.counts;
    let counted = [
        (counts.receipts, "receipt"),
        (counts.snapshots, "snapshot"),
        (counts.checkpoints, "checkpoint"),
        (counts.parked_events, "parked event"),
    ];
    let [receipts, snapshots, checkpoints, parked] = counted.map(|(number, what)| several(number, what));
    let (events, aggregates) = (several(counts.events, "event"), several(counts.aggregates, "aggregate"));
    let all = format!("{events} of {aggregates}, {receipts}, {snapshots}, {checkpoints}, {parked}");
    format!("checked {all} in {}", span(took))
}

/// How much is wrong, and of what kinds.
pub fn wrong(report: &Report, kinds: &Kinds) -> String {
    let each: Vec<_> = kinds.iter().map(|(kind, number)| format!("{} {}", grouped(*number), name(*kind))).collect();
    let is_partial = kinds.contains_key(&FindingKind::TableUnreadable);
    let partial = if is_partial { "; not everything could be read, so there may be more" } else { "" };
    format!("something is wrong: {} ({}){partial}", several(report.counts.findings, "finding"), each.join(", "))
}

fn several(number: u64, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {what}{ending}", grouped(number))
}
