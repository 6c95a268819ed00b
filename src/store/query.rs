//! What to read.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Cursor, EventMark, IdempotencyKey, Position, Receipt};

/// Says which way to read a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the first event to the last.
    #[default]
    Forward,
    /// From the last event to the first.
    Backward,
}

/// Asks for events of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamQuery {
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// Which way to read.
    pub direction: Direction,
    /// The least sequence; 1 and 0 both mean the first.
    pub from: u64,
    /// The greatest sequence.
    pub to: u64,
    /// Without the first event recorded after this time, and all behind it.
    pub recorded_until: Option<DateTime<Utc>>,
    /// Events of these types only; `None`: all.
    pub event_types: Option<Vec<String>>,
    /// The most events; `None`: no bound.
    pub limit: Option<u64>,
    /// The key whose receipt is asked for first.
    pub receipt_of: Option<IdempotencyKey>,
}

impl StreamQuery {
    /// Asks for the whole stream of an aggregate, from its first event to its last.
    #[must_use]
    pub fn of(aggregate_id: impl Into<Uuid>) -> Self {
        Self {
            aggregate_id: aggregate_id.into(),
            direction: Direction::Forward,
            from: 1,
            to: u64::MAX,
            recorded_until: None,
            event_types: None,
            limit: None,
            receipt_of: None,
        }
    }

    /// Leaves out events before this sequence.
    #[must_use]
    pub const fn from_sequence(mut self, sequence: u64) -> Self {
        self.from = sequence;
        self
    }

    /// Leaves out events after this sequence.
    #[must_use]
    pub const fn to_sequence(mut self, sequence: u64) -> Self {
        self.to = sequence;
        self
    }

    /// Leaves out the first event recorded after this time and all behind it.
    ///
    /// Whichever way the stream is read.
    #[must_use]
    pub const fn recorded_until(mut self, time: DateTime<Utc>) -> Self {
        self.recorded_until = Some(time);
        self
    }

    /// Reads events of these types only. Given more than once, the types add up.
    #[must_use]
    pub fn event_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.event_types.get_or_insert_default().extend(types.into_iter().map(Into::into));
        self
    }

    /// Reads from the last event to the first.
    #[must_use]
    pub const fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// Reads this many events at the most.
    #[must_use]
    pub const fn limit(mut self, events: u64) -> Self {
        self.limit = Some(events);
        self
    }

    /// Asks first for the receipt under a key. Where there is one no events are read.
    #[must_use]
    pub fn receipt_of(mut self, key: IdempotencyKey) -> Self {
        self.receipt_of = Some(key);
        self
    }

    /// Asks for every event, so that the last one read tells the version.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self { receipt_of: self.receipt_of.clone(), ..Self::of(self.aggregate_id) }
    }
}

/// Answers a [`StreamQuery`] beside the events that were visited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRead {
    /// The version of the aggregate, whatever the query left out.
    ///
    /// 0 where it has no events.
    pub version: u64,
    /// The receipt under the key that was asked for.
    pub receipt: Option<Receipt>,
}

/// Chooses events of the log by what they are.
///
/// An event is chosen where its aggregate type *and* its event type are; a kind that was not named leaves all in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Events of these kinds of aggregates; `None`: all.
    pub aggregate_types: Option<Vec<String>>,
    /// Events of these types; `None`: all.
    pub event_types: Option<Vec<String>>,
}

impl Selection {
    /// Chooses every event.
    #[must_use]
    pub const fn all() -> Self {
        Self { aggregate_types: None, event_types: None }
    }

    /// Chooses events of these kinds of aggregates.
    ///
    /// Given more than once, the kinds add up.
    #[must_use]
    pub fn aggregate_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.aggregate_types.get_or_insert_default().extend(types.into_iter().map(Into::into));
        self
    }

    /// Chooses events of these types. Given more than once, the types add up.
    #[must_use]
    pub fn event_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.event_types.get_or_insert_default().extend(types.into_iter().map(Into::into));
        self
    }
}

/// Asks for events of the global log, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Events after this position.
    pub after: Position,
    /// The event that stands at that position.
    ///
    /// Where it does not, the read ends in [`Error::CheckpointDiverged`](crate::Error::CheckpointDiverged) and shows nothing.
    /// `None`: whatever stands there.
    pub after_event: Option<EventMark>,
    /// Which of them.
    pub selection: Selection,
    /// The most events; `None`: no bound.
    pub limit: Option<u64>,
}

impl LogQuery {
    /// Asks for the whole log.
    #[must_use]
    pub const fn all() -> Self {
        Self { after: Position::START, after_event: None, selection: Selection::all(), limit: None }
    }

    /// Leaves out events up to and including this position.
    #[must_use]
    pub const fn after(mut self, position: Position) -> Self {
        (self.after, self.after_event) = (position, None);
        self
    }

    /// Goes on after a cursor, if the log is still the one it stands in.
    #[must_use]
    pub const fn after_cursor(mut self, cursor: Cursor) -> Self {
        (self.after, self.after_event) = (cursor.position, cursor.event);
        self
    }

    /// Chooses by aggregate type and event type.
    #[must_use]
    pub fn select(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Reads this many events at the most.
    #[must_use]
    pub const fn limit(mut self, events: u64) -> Self {
        self.limit = Some(events);
        self
    }
}

/// Answers a [`LogQuery`] beside the events that were visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRead {
    /// Everything chosen up to and including this position was visited; go on after it.
    pub position: Position,
    /// The event at that position.
    ///
    /// `None` where the read has not come further than it began.
    pub event: Option<EventMark>,
}

impl LogRead {
    /// Where the read has come to.
    ///
    /// The query's own cursor, where it has come no further.
    #[must_use]
    pub fn cursor(&self, query: &LogQuery) -> Cursor {
        match self.event {
            Some(_) => Cursor { position: self.position, event: self.event },
            None => Cursor { position: query.after, event: query.after_event },
        }
    }
}
