//! States kept to spare the folding of long histories.

use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use super::{Error, EventRef, IdempotencyKey};

/// Asks for an aggregate from its snapshot on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadQuery {
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The shape of state that is understood; other snapshots are passed over.
    pub snapshot_version: u32,
    /// The key whose receipt is asked for first.
    ///
    /// Where there is one nothing else is read.
    pub receipt_of: Option<IdempotencyKey>,
}

/// Visits a snapshot, if there is one that fits, and the events after it.
pub trait LoadVisitor: Send {
    /// Visits the snapshot, before any event. Says whether it could be used; if not, all events are visited.
    fn visit_snapshot(&mut self, snapshot: SnapshotRef<'_>) -> bool;

    /// Visits the next event.
    ///
    /// # Errors
    ///
    /// Ends the load and is returned.
    fn visit_event(&mut self, event: EventRef<'_>) -> Result<(), Error>;
}

/// Shows a snapshot: the state of an aggregate right after one of its events.
///
/// Snapshots are disposable: whatever is wrong with one, the events are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRef<'r> {
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The shape of the state, from 1.
    pub snapshot_version: u32,
    /// The sequence of the last event in the state.
    pub sequence: u64,
    /// The state as JSON.
    pub state: &'r str,
}

impl SnapshotRef<'_> {
    /// Sums the snapshot up as it is stored.
    ///
    /// xxh3-64, seed 0, each part with its length before it.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        let mut sum = Xxh3::new();
        for part in [
            self.aggregate_id.as_bytes().as_slice(),
            &self.snapshot_version.to_le_bytes(),
            &self.sequence.to_le_bytes(),
            self.state.as_bytes(),
        ] {
            sum.update(&(part.len() as u64).to_le_bytes());
            sum.update(part);
        }
        sum.digest()
    }
}
