//! Where a reader of the log stands.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::Error;
use super::{EventRef, Position, RecordedEvent};

/// Tells one stored event from every other.
///
/// Also where the log was set back, by a fail-over or a restore, and has grown anew: positions and sequences are then given
/// out again, and a command that was retried can bring its id to another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventMark {
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The place within it.
    pub sequence: u64,
    /// The append that wrote it.
    pub command_id: Uuid,
    /// When it was written.
    pub recorded_at: DateTime<Utc>,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl EventMark {
    /// Makes sure that this is the event that a log has at a position.
    pub(crate) fn stands_at(&self, position: Position, found: Option<Self>) -> Result<(), Error> {
        let detail = match found {
            Some(found) if found == *self => return Ok(()),
            Some(found) => format!(
                "there stood event {} of aggregate {}, and there stands event {} of aggregate {}{}",
                self.sequence,
                self.aggregate_id,
                found.sequence,
                found.aggregate_id,
                if self.command_id == found.command_id { "" } else { ", of another append" }
            ),
            None => {
                format!("there stood event {} of aggregate {}, and there stands none", self.sequence, self.aggregate_id)
            }
        };
        Err(Error::CheckpointDiverged { position, detail })
    }
}

/// Says where a reader of the log stands: a position, and the event there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Everything up to and including this position was read.
    pub position: Position,
    /// The event at that position.
    ///
    /// `None` before the first, and where no event was read yet.
    pub event: Option<EventMark>,
}

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self { position: Position::START, event: None };
}

impl From<&EventRef<'_>> for Cursor {
    fn from(event: &EventRef<'_>) -> Self {
        let EventRef { position, aggregate_id, sequence, command_id, recorded_at, .. } = *event;
        Self { position, event: Some(EventMark { aggregate_id, sequence, command_id, recorded_at }) }
    }
}

impl From<&RecordedEvent> for Cursor {
    fn from(event: &RecordedEvent) -> Self {
        Self::from(&event.as_ref())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position.fmt(f)
    }
}
