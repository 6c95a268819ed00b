//! What was checked, in words.

use std::time::Duration;

use annals::{FindingKind, Report};

use super::output::{Kinds, name};
use crate::printer::{counted, grouped, span};

/// What was checked, and in what time.
pub fn of(report: &Report, took: Duration) -> String {
    let counts = report.counts;
    let others = [
        (counts.receipts, "receipt"),
        (counts.snapshots, "snapshot"),
        (counts.checkpoints, "checkpoint"),
        (counts.parked_events, "parked event"),
    ];
    let [receipts, snapshots, checkpoints, parked] = others.map(|(number, what)| counted(number, what));
    let (events, aggregates) = (counted(counts.events, "event"), counted(counts.aggregates, "aggregate"));
    let all = format!("{events} of {aggregates}, {receipts}, {snapshots}, {checkpoints}, {parked}");
    format!("checked {all} in {}", span(took))
}

/// How much is wrong, and of what kinds.
pub fn wrong(report: &Report, kinds: &Kinds) -> String {
    let each: Vec<_> = kinds.iter().map(|(kind, number)| format!("{} {}", grouped(*number), name(*kind))).collect();
    let is_partial = kinds.contains_key(&FindingKind::TableUnreadable);
    let partial = if is_partial { "; not everything could be read, so there may be more" } else { "" };
    format!("something is wrong: {} ({}){partial}", counted(report.counts.findings, "finding"), each.join(", "))
}
