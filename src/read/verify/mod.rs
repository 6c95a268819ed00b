//! The check of a whole log: that everything stored is what was written, and fits together.

mod bounds;
mod checkpoints;
mod claims;
mod feed;
mod finding;
mod fold;
mod log;
mod notes;
mod parked;
mod receipt;
mod report;
mod scars;
mod snapshot;
mod source;
mod stream;
mod streams;
mod types;

use std::fmt;

use serde::Serialize;

use self::{
    bounds::Bounds,
    fold::{Fold, Refold},
    log::Gaps,
    notes::Notes,
    streams::Streams,
    types::Types,
};
pub use self::{
    finding::{Finding, FindingKind},
    report::{Counts, Report, Stage, VerifyProgress},
    types::KnownType,
};
use crate::{
    domain::Aggregate,
    store::{Auditable, Error, Fault},
};

/// Findings kept in a report, unless it is told otherwise.
const KEPT_FINDINGS: usize = 1_000;

/// Checks everything a store holds, and says exactly what is wrong and where.
///
/// - Sequences of each aggregate are 1, 2, 3 …, and all its events are of one aggregate type.
/// - Positions rise within an aggregate and none is there twice; where the store's have no holes, there are none.
/// - Where positions come from a sequence, it is not behind the end of the log, and gives them out one by one.
/// - Every event has the checksum of what is stored; its payload and metadata are JSON, and its type is one that can be
///   appended, or one of the [known](Self::known_types).
/// - Receipts name events that are there and bear their command id, and no others do; rejections have no events.
/// - Snapshots are whole, were taken after events that are there, and equal a refold where a [fold](Self::refold) is
///   given.
/// - Checkpoints are not ahead of the log, and the events they remember stand at their positions.
/// - Parked events are there, at their positions, and whoever parked them has a checkpoint.
///
/// It reads one consistent view, so it runs beside writers without a false alarm and holds none of them up. On SQLite
/// that is one read transaction: the write-ahead log is not cut short while it lasts, so the file beside the database
/// grows; a database in memory has one connection, and there writers do wait. It goes on after whatever it finds, holds
/// a bounded number of rows, and can be dropped at any time.
///
/// What it cannot see: events at the very end of the log that are gone together with everything that speaks of them, and
/// receipts that are gone, as those are that have ended. Answers, steps, timers and messages that were taken in say
/// nothing that events or one another have to agree with at all times: they are not read.
/// Whether the database's pages and indexes are whole is for the database's own check.
///
/// ```
/// # async fn example(store: annals::SqliteStore) -> Result<(), annals::Error> {
/// use annals::Verify;
///
/// let report = Verify::new(&store).on_finding(|finding| eprintln!("{finding}")).run().await?;
/// assert!(report.is_sound(), "{report}");
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is checked before it is run"]
pub struct Verify<'s> {
    store: &'s dyn Auditable,
    folds: Vec<Box<dyn Fold>>,
    types: Types,
    bounds: Bounds,
    keep: usize,
    on_finding: Option<OnFinding<'s>>,
    on_progress: Option<OnProgress<'s>>,
}

type OnFinding<'s> = Box<dyn FnMut(&Finding) + Send + 's>;
type OnProgress<'s> = Box<dyn FnMut(&VerifyProgress) + Send + 's>;

impl<'s> Verify<'s> {
    /// Prepares a check of everything a store holds.
    pub fn new(store: &'s dyn Auditable) -> Self {
        let (bounds, keep) = (Bounds::default(), KEPT_FINDINGS);
        Self { store, folds: Vec::new(), types: Types::default(), bounds, keep, on_finding: None, on_progress: None }
    }

    /// Compares snapshots in shape 1 with what the events of their aggregates lead to.
    ///
    /// As JSON, in which members have no order, but elements do: keep a set whose JSON is to be compared in a
    /// `BTreeSet`.
    pub fn refold<A: Aggregate + Serialize>(self) -> Self {
        self.refold_version::<A>(1)
    }

    /// Does the same for snapshots of this version.
    ///
    /// See [`Repository::snapshot_version`](crate::command::Repository::snapshot_version). Snapshots of other shapes
    /// are checked in every other way.
    pub fn refold_version<A: Aggregate + Serialize>(mut self, snapshot_version: u32) -> Self {
        self.folds.push(Box::new(Refold::<A>::new(snapshot_version)));
        self
    }

    /// Names the types of events there may be; any other is a finding.
    ///
    /// An event of a type that no code reads any more stops whoever reads its aggregate. Where none are named, any type
    /// that an append takes may be there.
    pub fn known_types(mut self, types: impl IntoIterator<Item = KnownType>) -> Self {
        self.types.know(types);
        self
    }

    /// Keeps this many findings in the report. Default: 1,000. All are counted.
    pub const fn keep_findings(mut self, findings: usize) -> Self {
        self.keep = findings;
        self
    }

    /// Holds this many rows at once at the most. Default: 65,536; at least 64.
    ///
    /// An aggregate with more receipts than half of that is read more than once. A row that is held may be an event
    /// with its payload, but those together not beyond 1 MiB and the last of them.
    pub fn hold_rows(mut self, rows: usize) -> Self {
        self.bounds = Bounds::new(rows);
        self
    }

    /// Sees every finding as soon as it is made, also those the report does not keep.
    pub fn on_finding(mut self, see: impl FnMut(&Finding) + Send + 's) -> Self {
        self.on_finding = Some(Box::new(see));
        self
    }

    /// Sees how far the check has come, after every page of rows.
    pub fn on_progress(mut self, see: impl FnMut(&VerifyProgress) + Send + 's) -> Self {
        self.on_progress = Some(Box::new(see));
        self
    }

    /// Checks.
    ///
    /// # Errors
    ///
    /// The store could not be read to its end: there is no report, check again. Damage is no error: it is in the report.
    pub async fn run(mut self) -> Result<Report, Error> {
        let mut audit = self.store.audit(self.bounds.page_rows).await?;
        let (head, unread) = match audit.head().await {
            Ok(head) => (Some(head), None),
            Err(error @ Error::Backend { fault: Fault::Corrupt, .. }) => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let mut notes = Notes::new(head, self.keep, self.on_finding.take(), self.on_progress.take());
        if let Some(error) = unread {
            let message = format!("the end of annals_events cannot be read: {error}");
            notes.take(Finding::new(FindingKind::TableUnreadable, message));
        }
        let mut gaps = Gaps::default();
        let mut streams = Streams::new(&mut *audit, &mut notes, (&mut self.folds, &self.types), &mut gaps, self.bounds);
        let by_aggregate = streams.check().await?;
        log::check(&mut *audit, &mut notes, &mut gaps, by_aggregate).await?;
        checkpoints::check(&mut *audit, &mut notes).await?;
        parked::check(&mut *audit, &mut notes).await?;
        Ok(notes.report())
    }
}

impl fmt::Debug for Verify<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify").field("store", &self.store).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
