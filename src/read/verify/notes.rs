//! What is counted and found on the way.

use super::{Counts, Finding, FindingKind, OnFinding, OnProgress, Report, Stage, VerifyProgress};
use crate::store::{Error, Fault, Position};

/// Takes findings and counts.
pub(super) struct Notes<'s> {
    pub(super) counts: Counts,
    head: Option<Position>,
    stage: Stage,
    kept: Vec<Finding>,
    keep: usize,
    held_rows: usize,
    most_held_rows: usize,
    on_finding: Option<OnFinding<'s>>,
    on_progress: Option<OnProgress<'s>>,
}

impl<'s> Notes<'s> {
    pub(super) fn new(
        head: Option<Position>,
        keep: usize,
        on_finding: Option<OnFinding<'s>>,
        on_progress: Option<OnProgress<'s>>,
    ) -> Self {
        let (counts, stage, kept) = (Counts::default(), Stage::Streams, Vec::new());
        Self { counts, head, stage, kept, keep, held_rows: 0, most_held_rows: 0, on_finding, on_progress }
    }

    /// The last position, where it could be read.
    pub(super) const fn head(&self) -> Option<Position> {
        self.head
    }

    /// Takes a finding: counted, shown, and kept if there is room.
    pub(super) fn take(&mut self, finding: Finding) {
        self.counts.findings += 1;
        if let Some(see) = &mut self.on_finding {
            see(&finding);
        }
        if self.kept.len() < self.keep {
            self.kept.push(finding);
        }
    }

    /// Takes note of a failed read: damage is a finding, anything else ends the check.
    ///
    /// `behind`: the last row that could be read, as ` behind event 5`, or nothing.
    pub(super) fn take_failure(&mut self, table: &str, behind: &str, error: Error) -> Result<(), Error> {
        match error {
            Error::Backend { fault: Fault::Corrupt, .. } => {
                let message =
                    format!("{table} cannot be read on{behind}, and what follows there was not checked: {error}");
                self.take(Finding::new(FindingKind::TableUnreadable, message));
                Ok(())
            }
            other => Err(other),
        }
    }

    /// Counts rows that are held from now on.
    pub(super) fn holds(&mut self, rows: usize) {
        self.held_rows += rows;
        self.most_held_rows = self.most_held_rows.max(self.held_rows);
    }

    /// Counts rows that are no longer held.
    pub(super) const fn released(&mut self, rows: usize) {
        self.held_rows = self.held_rows.saturating_sub(rows);
    }

    pub(super) fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.show_progress();
    }

    pub(super) fn show_progress(&mut self) {
        if let Some(see) = &mut self.on_progress {
            see(&VerifyProgress { stage: self.stage, counts: self.counts, head: self.head.unwrap_or_default() });
        }
    }

    pub(super) fn report(self) -> Report {
        let Self { counts, head, kept, most_held_rows, .. } = self;
        Report { counts, findings: kept, head: head.unwrap_or_default(), most_held_rows }
    }
}
