//! An event, for programs and for people.

use annals::{EventRef, store::event_checksum};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::printer::exact;

use super::layout::line_of;

/// Every column of an event, for programs.
#[derive(Debug, Serialize)]
pub struct EventObject<'e> {
    position: u64,
    recorded_at: String,
    aggregate_type: &'e str,
    aggregate_id: Uuid,
    sequence: u64,
    event_type: &'e str,
    schema_version: u32,
    command_id: Uuid,
    /// In hexadecimal digits: programs may have no numbers of 64 bits.
    checksum: String,
    metadata: Json<'e>,
    payload: Json<'e>,
}

/// JSON as it is stored, or damage as a text.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Json<'e> {
    Stored(&'e RawValue),
    OnOneLine(Box<RawValue>),
    Damaged(&'e str),
}

impl<'e> From<&'e str> for Json<'e> {
    fn from(json: &'e str) -> Self {
        // An object stays on its line: between members a line's end means no more than a blank.
        let stored = if json.contains(['\n', '\r']) {
            RawValue::from_string(json.replace(['\n', '\r'], " ")).map(Self::OnOneLine)
        } else {
            serde_json::from_str(json).map(Self::Stored)
        };
        stored.unwrap_or(Self::Damaged(json))
    }
}

impl<'e> EventObject<'e> {
    pub fn of(event: &EventRef<'e>) -> Self {
        Self {
            position: event.position.get(),
            recorded_at: exact(event.recorded_at),
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: event.event_type,
            schema_version: event.schema_version,
            command_id: event.command_id,
            checksum: format!("{:016x}", event.checksum),
            metadata: event.metadata.into(),
            payload: event.payload.into(),
        }
    }
}

/// A payload on one line: cut where there is no room for it, whole where nobody said how much there is.
pub fn one_line(payload: &str, room: Option<usize>) -> String {
    // A character has four bytes at the most.
    let most = room.map_or(usize::MAX, |room| room.saturating_mul(4));
    line_of(payload, most)
}

/// Whether an event is as it was written, if it is the event of its append after so many others.
///
/// Two appends of one command can stand side by side, so it may come after fewer.
pub fn is_sound(event: &EventRef<'_>, events_before: u32) -> bool {
    let shape = (event.event_type, event.schema_version);
    let sum = |index| event_checksum(event.aggregate_id, event.command_id, index, shape, event.payload, event.metadata);
    (0..=events_before).rev().any(|index| sum(index) == event.checksum)
}
