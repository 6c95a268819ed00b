//! Where events stand within their appends, which their checksums hold.

use uuid::Uuid;

use crate::store::{EventRef, event_index};

/// Follows events and makes sure that each is the one that was recorded.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    last: Option<Last>,
}

#[derive(Debug, Clone)]
struct Last {
    aggregate_id: Uuid,
    command_id: Uuid,
    sequence: u64,
    index: u32,
}

impl Places {
    /// Whether the next event has the checksum of what it says.
    pub(super) fn is_sound(&mut self, event: &EventRef<'_>) -> bool {
        let EventRef { aggregate_id, command_id, sequence, .. } = *event;
        let follows = |last: &&Last| {
            (last.aggregate_id, last.command_id, last.sequence + 1) == (aggregate_id, command_id, sequence)
        };
        let likely = self.last.as_ref().filter(follows).map_or(0, |last| last.index + 1);
        let found = event_index(event, likely);
        self.last = found.map(|index| Last { aggregate_id, command_id, sequence, index });
        found.is_some()
    }
}
