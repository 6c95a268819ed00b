//! How many of each kind.

use serde::{Deserialize, Serialize};

use crate::store::RowKind;

/// Counts what is in an export, or what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Receipts.
    pub receipts: u64,
    /// Checkpoints of subscriptions, one for each partition.
    pub checkpoints: u64,
    /// Events that subscriptions have set aside.
    pub parked_events: u64,
    /// Timers.
    pub timers: u64,
    /// Messages that were taken in.
    pub messages: u64,
    /// Sources of messages that count their own.
    pub message_places: u64,
}

impl Counts {
    pub(super) const fn add(&mut self, kind: RowKind, rows: u64) {
        *match kind {
            RowKind::Checkpoint => &mut self.checkpoints,
            RowKind::ParkedEvent => &mut self.parked_events,
            RowKind::Timer => &mut self.timers,
            RowKind::Message => &mut self.messages,
            RowKind::MessagePlace => &mut self.message_places,
        } += rows;
    }
}
