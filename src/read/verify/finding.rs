//! What is wrong, and where.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use crate::store::Position;

/// Tells what kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// An aggregate has events behind, but not this one.
    EventMissing,
    /// An aggregate has two events of one sequence.
    EventRepeated,
    /// The row of an event cannot be read.
    EventUnreadable,
    /// An event is not the one that was written: its checksum does not match.
    EventChecksum,
    /// The payload or the metadata of an event is not JSON, although its checksum matches.
    EventNotJson,
    /// An event is of a type that is not among the known ones.
    UnknownType,
    /// An event has a type that no append takes.
    TypeInvalid,
    /// An event is of another aggregate type than the first of its aggregate.
    AggregateType,
    /// An event does not stand behind the one before it in the log.
    PositionOrder,
    /// Two events have one position.
    PositionRepeated,
    /// No event stands at a position, where positions have no holes.
    PositionMissing,
    /// Positions would be given out again: the sequence they are drawn from is behind the end of the log.
    SequenceBehind,
    /// Positions are not drawn one by one.
    SequenceSettings,
    /// The sequence that positions are drawn from is not there.
    SequenceMissing,
    /// The row of a receipt cannot be read, or contradicts itself.
    ReceiptDamaged,
    /// A receipt names events that are not its command's.
    ReceiptEvents,
    /// A receipt speaks of a version its aggregate has not reached.
    ReceiptAhead,
    /// A receipt says rejected, but not why.
    RejectionMissing,
    /// A receipt says rejected, but its command has events.
    RejectionEvents,
    /// A command with a receipt has events that no receipt names.
    ///
    /// So it looks, too, where a key that had come to its end was used again without one.
    CommandRepeated,
    /// A snapshot is not the one that was taken: its checksum does not match, or it is not JSON.
    SnapshotDamaged,
    /// A snapshot is of a version its aggregate has not reached.
    SnapshotAhead,
    /// A snapshot was taken after another event than the one of its sequence.
    SnapshotEvent,
    /// A snapshot holds another state than the events lead to.
    SnapshotState,
    /// A checkpoint is behind the end of the log.
    CheckpointAhead,
    /// No event stands at the position of a checkpoint.
    CheckpointMissing,
    /// Another event stands at the position of a checkpoint than it remembers.
    CheckpointDiverged,
    /// A parked event is not there.
    ParkedMissing,
    /// A parked event stands at another position than its row says.
    ParkedDiverged,
    /// Events are parked under a name that has no checkpoint.
    ParkedOrphan,
    /// A table has other rows by one index than by another.
    TableDiverged,
    /// A table cannot be read on. What lies behind was not checked.
    TableUnreadable,
}

/// Says one thing that is wrong, and where.
///
/// Neither payloads nor keys appear in it. Shown, it is one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The aggregate it is about.
    pub aggregate_id: Option<Uuid>,
    /// The sequence it is about: the first, where it is about several.
    pub sequence: Option<u64>,
    /// The position it is about: the first, where it is about several.
    pub position: Option<Position>,
    /// The command it is about.
    pub command_id: Option<Uuid>,
    /// The subscription or projection whose checkpoint or parked event it is about.
    pub checkpoint: Option<String>,
    /// What is wrong, in a sentence that names the place.
    pub message: String,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, message: String) -> Self {
        let (aggregate_id, sequence, position, command_id, checkpoint) = (None, None, None, None, None);
        Self { kind, aggregate_id, sequence, position, command_id, checkpoint, message }
    }

    pub(super) const fn of(mut self, aggregate_id: Uuid) -> Self {
        self.aggregate_id = Some(aggregate_id);
        self
    }

    pub(super) const fn at(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// Positions below zero are no positions.
    pub(super) fn in_log_at(mut self, position: i64) -> Self {
        self.position = u64::try_from(position).ok().map(Position::new);
        self
    }

    pub(super) const fn by(mut self, command_id: Uuid) -> Self {
        self.command_id = Some(command_id);
        self
    }

    pub(super) fn of_checkpoint(mut self, name: &str) -> Self {
        self.checkpoint = Some(name.to_owned());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
