//! Events of the log that come many to a row.

use std::ops::Range;

use sqlx::{
    Postgres,
    postgres::{PgArguments, PgRow},
};
use uuid::Uuid;

use super::{
    row::{self, Broken},
    statement::READ_LOG_GROUPS,
};
use crate::store::{EventRef, Position, to_column};

/// The most events of a group. With fewer a group costs the server more than it saves.
const GROUP_EVENTS: u64 = 256;

/// The most bytes of a payload, and of metadata, that comes in a group. So a row has 8 MiB at the most.
pub(super) const TEXT_BYTES: usize = 16 << 10;

/// Stands between texts. In JSON and in names there is no such character.
const SEPARATOR: char = '\x1f';

/// Two ids, four numbers of 8 bytes and one of 4.
const NUMBERS_BYTES: usize = 2 * 16 + 4 * 8 + 4;

/// Where among them the position is.
const POSITION_BYTES: Range<usize> = 32..40;

/// Reads the events between two positions in groups.
pub(super) fn statement<'q>(after: Position, to: Position) -> sqlx::query::Query<'q, Postgres, PgArguments> {
    let (mut starts, mut ends, mut next) = (Vec::new(), Vec::new(), after);
    while next < to {
        starts.push(to_column(next.get()));
        next = end(next, to);
        ends.push(to_column(next.get()));
    }
    sqlx::query(READ_LOG_GROUPS)
        .bind(starts)
        .bind(ends)
        // One more than there are places, so that two events of one place are seen.
        .bind(to_column(GROUP_EVENTS + 1))
        .bind(i32::try_from(TEXT_BYTES).unwrap_or(i32::MAX))
}

/// Where the group that begins after a position ends.
pub(super) fn end(after: Position, to: Position) -> Position {
    Position::new(after.get().saturating_add(GROUP_EVENTS)).min(to)
}

/// A group of events, in the bytes the server sent.
#[derive(Debug)]
pub(super) struct Group<'r> {
    numbers: &'r [u8],
    aggregate_types: &'r str,
    event_types: &'r str,
    metadata: &'r str,
    payloads: &'r str,
}

impl<'r> Group<'r> {
    /// Shows the group that begins after a position; `None` where the row has another, or does not come apart.
    pub(super) fn of(row: &'r PgRow, after: Position) -> Option<Self> {
        if row::int8::<u64>(row, 0).ok()? != after.get() {
            return None;
        }
        let Some(numbers) = row::bytes_if_any(row, 1).ok()? else {
            // Between these positions there is none.
            return Some(Self { numbers: &[], aggregate_types: "", event_types: "", metadata: "", payloads: "" });
        };
        let text = |index| row::text(row, index).ok();
        let (aggregate_types, event_types, metadata, payloads) = (text(2)?, text(3)?, text(4)?, text(5)?);
        let group = Self { numbers, aggregate_types, event_types, metadata, payloads };
        group.is_whole(after).then_some(group)
    }

    /// Whether each event has its numbers and one of each text, and all stand in the order of their positions.
    fn is_whole(&self, after: Position) -> bool {
        let events = self.numbers.len() / NUMBERS_BYTES;
        let is_one_each = |text: &str| text.bytes().filter(|byte| *byte == SEPARATOR as u8).count() + 1 == events;
        let mut last = after.get();
        let mut is_next = |numbers: &[u8]| {
            let position = numbers.get(POSITION_BYTES).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
            position.is_some_and(|position| std::mem::replace(&mut last, position) < position)
        };
        self.numbers.len().is_multiple_of(NUMBERS_BYTES)
            && [self.aggregate_types, self.event_types, self.metadata, self.payloads].into_iter().all(is_one_each)
            && self.numbers.chunks_exact(NUMBERS_BYTES).all(&mut is_next)
    }

    /// Its events, in the order of their positions.
    pub(super) fn events(&self) -> impl Iterator<Item = Result<EventRef<'r>, Broken>> {
        let mut aggregate_types = self.aggregate_types.split(SEPARATOR);
        let mut event_types = self.event_types.split(SEPARATOR);
        let mut metadata = self.metadata.split(SEPARATOR);
        let mut payloads = self.payloads.split(SEPARATOR);
        self.numbers.chunks_exact(NUMBERS_BYTES).map(move |numbers| {
            let mut numbers = Numbers(numbers);
            Ok(EventRef {
                aggregate_id: Uuid::from_bytes(numbers.next()?),
                command_id: Uuid::from_bytes(numbers.next()?),
                position: Position::new(numbers.unsigned()?),
                sequence: numbers.unsigned()?,
                checksum: u64::from_be_bytes(numbers.next()?),
                recorded_at: row::from_micros(i64::from_be_bytes(numbers.next()?)).ok_or("its time is out of range")?,
                schema_version: u32::try_from(i32::from_be_bytes(numbers.next()?)).map_err(|_| OUT_OF_RANGE)?,
                aggregate_type: aggregate_types.next().ok_or(CUT_SHORT)?,
                event_type: event_types.next().ok_or(CUT_SHORT)?,
                metadata: metadata.next().ok_or(CUT_SHORT)?,
                payload: payloads.next().ok_or(CUT_SHORT)?,
            })
        })
    }
}

const OUT_OF_RANGE: Broken = "a number is out of range";
const CUT_SHORT: Broken = "a group is cut short";

/// What is left of an event's numbers.
struct Numbers<'r>(&'r [u8]);

impl Numbers<'_> {
    fn next<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Broken> {
        let (number, rest) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(*number)
    }

    fn unsigned(&mut self) -> Result<u64, Broken> {
        u64::try_from(i64::from_be_bytes(self.next()?)).map_err(|_| OUT_OF_RANGE)
    }
}
