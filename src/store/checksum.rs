//! A checksum per event: what a database's own check does not see, a flipped bit in a payload, this does.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use uuid::Uuid;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

use super::{AggregateName, Error, EventRef};

/// Sums up an event as it is stored.
///
/// xxh3-64, seed 0, each part with its length before it.
///
/// `index` is the event's place within its append, from 0: an append can be summed up before its sequences are known,
/// and a retry compared with what is stored.
#[must_use]
pub fn event_checksum(
    aggregate_id: Uuid,
    command_id: Uuid,
    index: u32,
    (event_type, schema_version): (&str, u32),
    payload: &str,
    metadata: &str,
) -> u64 {
    let mut buffer = [0; IN_ONE_PIECE_BYTES];
    let in_one_piece = with_number(&mut buffer, aggregate_id.into_bytes())
        .and_then(|rest| with_number(rest, index.to_le_bytes()))
        .and_then(|rest| with_text(rest, event_type))
        .and_then(|rest| with_number(rest, schema_version.to_le_bytes()))
        .and_then(|rest| with_number(rest, command_id.into_bytes()))
        .and_then(|rest| with_text(rest, payload))
        .and_then(|rest| with_text(rest, metadata))
        .map(|rest| rest.len());
    if let Some(left) = in_one_piece {
        return xxh3_64(&buffer[..IN_ONE_PIECE_BYTES - left]);
    }
    let parts: [&[u8]; 7] = [
        aggregate_id.as_bytes(),
        &index.to_le_bytes(),
        event_type.as_bytes(),
        &schema_version.to_le_bytes(),
        command_id.as_bytes(),
        payload.as_bytes(),
        metadata.as_bytes(),
    ];
    let mut sum = Xxh3::new();
    for part in parts {
        sum.update(&(part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    sum.digest()
}

/// Writes a part of known size, its length before it, and gives what is left; `None` where there is no room.
fn with_number<const BYTES: usize>(room: &mut [u8], part: [u8; BYTES]) -> Option<&mut [u8]> {
    let (length, room) = room.split_first_chunk_mut()?;
    *length = (BYTES as u64).to_le_bytes();
    let (place, room) = room.split_first_chunk_mut()?;
    *place = part;
    Some(room)
}

/// The same for a text.
fn with_text<'b>(room: &'b mut [u8], part: &str) -> Option<&'b mut [u8]> {
    let (length, room) = room.split_first_chunk_mut()?;
    *length = (part.len() as u64).to_le_bytes();
    let (place, room) = room.split_at_mut_checked(part.len())?;
    place.copy_from_slice(part.as_bytes());
    Some(room)
}

/// Up to this many bytes, lengths included, an event is copied together to be summed up: it takes a third of the time.
const IN_ONE_PIECE_BYTES: usize = 512;

/// Follows events and makes sure that none is missing and none is damaged.
///
/// An event's checksum holds its place within its append. That is known from an aggregate's first event on, and again
/// after the first change of append where the read began in the middle.
#[derive(Debug, Default)]
pub struct Trail {
    /// The sequence that a stream has to go on with.
    next: Option<u64>,
    last: Option<Step>,
    /// The last steps of aggregates, where their events stand between one another's.
    recent: HashMap<u128, Step, SeededIds>,
}

/// The most aggregates a trail keeps in mind.
const RECENT_AGGREGATES: usize = 1024;

#[derive(Debug)]
struct Step {
    aggregate_id: Uuid,
    sequence: u64,
    command_id: Uuid,
    index: Option<u32>,
}

impl Trail {
    /// Follows a stream whose next event has this sequence.
    ///
    /// 1 and 0 both mean the first.
    #[must_use]
    pub fn from_sequence(sequence: u64) -> Self {
        Self { next: Some(sequence.max(1)), ..Self::default() }
    }

    /// Follows a stream on from an event that is known, though not read.
    #[must_use]
    pub fn after(aggregate_id: Uuid, sequence: u64, command_id: Uuid) -> Self {
        Self {
            next: Some(sequence.saturating_add(1)),
            last: Some(Step { aggregate_id, sequence, command_id, index: None }),
            ..Self::default()
        }
    }

    /// Checks the next event of a stream.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] with [`Fault::Corrupt`](super::Fault::Corrupt), naming the event.
    pub fn follow(&mut self, event: &EventRef<'_>) -> Result<(), Error> {
        if let Some(next) = self.next.filter(|next| *next != event.sequence) {
            return Err(missing(next, event.aggregate_id));
        }
        self.next = Some(event.sequence.saturating_add(1));
        self.follow_log(event)
    }

    /// Makes sure that a stream was read up to and including this sequence.
    ///
    /// # Errors
    ///
    /// As for [`follow`](Self::follow).
    pub fn reach(&self, sequence: u64, aggregate_id: Uuid) -> Result<(), Error> {
        match self.next {
            Some(next) if next <= sequence => Err(missing(next, aggregate_id)),
            _ => Ok(()),
        }
    }

    /// Checks the next event of a log.
    ///
    /// The events of an append stand side by side in it, unless the log was imported from a database where others could
    /// write in between: then the place of one that comes alone is looked for.
    ///
    /// # Errors
    ///
    /// As for [`follow`](Self::follow).
    pub fn follow_log(&mut self, event: &EventRef<'_>) -> Result<(), Error> {
        let index = match &self.last {
            Some(last) if last.is_followed_by(event) => last.index.map(|index| check(event, index + 1)).transpose()?,
            Some(_) => Some(event_index(event, 0).ok_or_else(|| damaged(event))?),
            None => (event.sequence == 1).then(|| check(event, 0)).transpose()?,
        };
        self.last = Some(Step::of(event, index));
        Ok(())
    }

    /// Checks the next event of a log in which appends stand between one another.
    ///
    /// All events of its aggregate are followed, or none. Of the aggregates met last 1,024 are kept in mind.
    ///
    /// # Errors
    ///
    /// As for [`follow`](Self::follow).
    pub fn follow_interleaved(&mut self, event: &EventRef<'_>) -> Result<(), Error> {
        let id = event.aggregate_id.as_u128();
        let known = self.recent.get_mut(&id);
        let index = match &known {
            Some(last) if last.sequence + 1 != event.sequence => {
                return Err(missing(last.sequence + 1, event.aggregate_id));
            }
            Some(last) if last.is_followed_by(event) => last.index.map(|index| index + 1),
            Some(_) => Some(0),
            None => (event.sequence == 1).then_some(0),
        };
        let step = Step::of(event, index.map(|index| check(event, index)).transpose()?);
        match known {
            Some(last) => *last = step,
            None => {
                if self.recent.len() >= RECENT_AGGREGATES {
                    self.recent.clear();
                }
                self.recent.insert(id, step);
            }
        }
        Ok(())
    }
}

/// Hashes ids in a fifth of the time of the standard hash, which a log pays for with every event.
///
/// With a seed that nobody outside knows: ids may be chosen by strangers.
#[derive(Debug, Clone)]
struct SeededIds(u64);

impl Default for SeededIds {
    fn default() -> Self {
        Self(RandomState::new().hash_one(()))
    }
}

impl BuildHasher for SeededIds {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.0)
    }
}

struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Step {
    fn of(event: &EventRef<'_>, index: Option<u32>) -> Self {
        let EventRef { aggregate_id, sequence, command_id, .. } = *event;
        Self { aggregate_id, sequence, command_id, index }
    }

    /// Whether an event can be the next of the same append.
    fn is_followed_by(&self, event: &EventRef<'_>) -> bool {
        self.aggregate_id == event.aggregate_id
            && self.command_id == event.command_id
            && self.sequence + 1 == event.sequence
    }
}

fn missing(sequence: u64, aggregate_id: Uuid) -> Error {
    Error::corrupt(format!("event {sequence} of aggregate {aggregate_id} is missing"))
}

fn check(event: &EventRef<'_>, index: u32) -> Result<u32, Error> {
    // Two appends of one command id can stand side by side, where a receipt expired between them.
    [index, 0].into_iter().find(|index| is_at(event, *index)).ok_or_else(|| damaged(event))
}

/// The most places within an append that are tried for an event whose own is not known.
const TRIED_INDEXES: u32 = 65_536;

/// Finds the place of an event within its append, from 0, by its checksum.
///
/// The likely one is tried first, then all that its sequence leaves room for, up to 65,536. `None`: the event is not the one
/// that was written.
#[must_use]
pub fn event_index(event: &EventRef<'_>, likely: u32) -> Option<u32> {
    let places = u32::try_from(event.sequence).unwrap_or(u32::MAX).min(TRIED_INDEXES);
    [likely].into_iter().chain(0..places).find(|index| is_at(event, *index))
}

/// Whether an event was written as this one of its append.
fn is_at(event: &EventRef<'_>, index: u32) -> bool {
    let EventRef { aggregate_id, command_id, payload, metadata, .. } = *event;
    let shape = (event.event_type, event.schema_version);
    event_checksum(aggregate_id, command_id, index, shape, payload, metadata) == event.checksum
}

fn damaged(event: &EventRef<'_>) -> Error {
    let aggregate = AggregateName::new(event.aggregate_type, event.aggregate_id);
    Error::corrupt(format!("the checksum of event {} of {aggregate} does not match", event.sequence))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{IN_ONE_PIECE_BYTES, event_checksum};

    #[test]
    fn short_and_long_events_are_summed_up_alike() {
        let sum = |payload: &str| event_checksum(Uuid::max(), Uuid::nil(), 1, ("opened", 1), payload, "{}");
        // 7 lengths, two ids, two numbers, the type and the metadata.
        let longest = IN_ONE_PIECE_BYTES - 7 * 8 - 2 * 16 - 2 * 4 - "opened{}".len();
        let found = [0, 1, 7, longest, longest + 1, 5_000].map(|bytes| sum(&"x".repeat(bytes)));
        let streamed = [
            0x54e6_ec4b_4c3e_2f8b,
            0x5b19_99fa_e79b_a618,
            0xf3c7_50b9_12ee_57f4,
            0xa4f5_e8d3_882c_5da8,
            0x0ace_2c36_5e5c_f27b,
            0xfebd_3b73_841d_861f,
        ];
        assert_eq!(found, streamed);
    }
}
