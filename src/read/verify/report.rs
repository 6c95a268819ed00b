//! What a check has seen, and what it has found.

use std::fmt;

use serde::Serialize;

use super::Finding;
use crate::store::Position;

/// Counts what was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Events, by aggregate.
    pub events: u64,
    /// Aggregates with events.
    pub aggregates: u64,
    /// Receipts, also those that have expired and were not swept yet.
    pub receipts: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Snapshots that were compared with a refold.
    pub refolds: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Events that were set aside by subscriptions and projections.
    pub parked_events: u64,
    /// Places in the log: events once more, by position.
    pub places: u64,
    /// Findings, also those a report does not keep.
    pub findings: u64,
}

/// Names what is being checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Each aggregate: its events, receipts and snapshot.
    Streams,
    /// The positions of all events.
    Log,
    /// The checkpoints.
    Checkpoints,
    /// The parked events.
    ParkedEvents,
}

/// Says how far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// What is being checked.
    pub stage: Stage,
    /// What was checked so far.
    pub counts: Counts,
    /// The last position of the log: where they have no holes, the number of events.
    pub head: Position,
}

/// Holds what a check has seen and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What was checked.
    pub counts: Counts,
    /// What is wrong: the first findings, as many as were to be kept.
    pub findings: Vec<Finding>,
    /// The last position of the log that was checked; 0 where that could not be read.
    pub head: Position,
    /// The most rows that were held at once.
    pub most_held_rows: usize,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.counts.findings == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { events, aggregates, receipts, snapshots, checkpoints, findings, .. } = self.counts;
        write!(
            f,
            "{events} events of {aggregates} aggregates, {receipts} receipts, {snapshots} snapshots, \
             {checkpoints} checkpoints: {findings} findings"
        )?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n{finding}"))?;
        match findings.saturating_sub(self.findings.len() as u64) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}
