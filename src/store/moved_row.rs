//! What is moved beside events and receipts, so that nothing is told or done twice: row by row, as values.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names a kind of rows, in the order in which they are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RowKind {
    /// How far a subscription has come. (Projections stay behind with their tables.)
    Checkpoint,
    /// An event that a subscription has set aside.
    ParkedEvent,
    /// What is due at a time, or was: what has fired is remembered until it expires.
    Timer,
    /// A message that was taken in.
    Message,
    /// The last message of a source that counts its own.
    MessagePlace,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Checkpoint, Self::ParkedEvent, Self::Timer, Self::Message, Self::MessagePlace];

    /// The kind as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::ParkedEvent => "parked_event",
            Self::Timer => "timer",
            Self::Message => "message",
            Self::MessagePlace => "message_place",
        }
    }
}

/// Holds a row of some kind. Times are microseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum MovedRow {
    /// How far a subscription has come.
    Checkpoint(MovedCheckpoint),
    /// An event that a subscription has set aside.
    ParkedEvent(MovedParkedEvent),
    /// What is due at a time.
    Timer(MovedTimer),
    /// A message that was taken in.
    Message(MovedMessage),
    /// The last message of a source.
    MessagePlace(MovedMessagePlace),
}

impl MovedRow {
    /// Of which kind it is.
    #[must_use]
    pub const fn kind(&self) -> RowKind {
        match self {
            Self::Checkpoint(_) => RowKind::Checkpoint,
            Self::ParkedEvent(_) => RowKind::ParkedEvent,
            Self::Timer(_) => RowKind::Timer,
            Self::Message(_) => RowKind::Message,
            Self::MessagePlace(_) => RowKind::MessagePlace,
        }
    }

    /// Reads a row of a kind from JSON.
    ///
    /// # Errors
    ///
    /// It is not of this kind.
    pub fn from_json(kind: RowKind, json: &str) -> Result<Self, serde_json::Error> {
        match kind {
            RowKind::Checkpoint => serde_json::from_str(json).map(Self::Checkpoint),
            RowKind::ParkedEvent => serde_json::from_str(json).map(Self::ParkedEvent),
            RowKind::Timer => serde_json::from_str(json).map(Self::Timer),
            RowKind::Message => serde_json::from_str(json).map(Self::Message),
            RowKind::MessagePlace => serde_json::from_str(json).map(Self::MessagePlace),
        }
    }
}

/// Holds the checkpoint of a subscription, by the event it stands at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedCheckpoint {
    /// The subscription.
    pub name: String,
    /// Which of its partitions, from 0.
    pub partition: u32,
    /// How many there are.
    pub partitions: u32,
    /// The version of its code.
    pub version: u32,
    /// The aggregate of the last event that was handled or passed over.
    ///
    /// None before the first.
    pub aggregate_id: Option<Uuid>,
    /// That event's place within it.
    pub sequence: Option<u64>,
    /// Who wrote it.
    pub command_id: Option<Uuid>,
    /// When it last moved.
    pub updated_at: i64,
    /// Since when nobody may run it.
    pub paused_at: Option<i64>,
}

/// Holds an event that a subscription has set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedParkedEvent {
    /// The subscription.
    pub name: String,
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The event's place within it.
    pub sequence: u64,
    /// What was wrong; none: an earlier event of its aggregate is parked.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// Since when.
    pub parked_at: i64,
}

/// Holds a timer, without whoever fires it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedTimer {
    /// Whose it is.
    pub queue: String,
    /// Its id.
    pub timer_id: Uuid,
    /// 0 waiting, 1 parked, 2 fired, 3 cancelled.
    pub state: u8,
    /// When it is due.
    pub due_at: i64,
    /// When it is looked at next.
    pub next_at: i64,
    /// What is fired, as JSON.
    pub payload: Option<String>,
    /// Rises with whatever is done to it.
    pub revision: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last.
    pub failure: Option<String>,
    /// When that was.
    pub failed_at: Option<i64>,
    /// When it was set.
    pub scheduled_at: i64,
    /// When its id is forgotten.
    pub expires_at: Option<i64>,
}

/// Holds a message that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedMessage {
    /// By whom.
    pub consumer: String,
    /// Its id.
    pub message_id: String,
    /// SHA-256 of what it says, in hexadecimal digits.
    pub content: String,
    /// When.
    pub received_at: i64,
    /// When it is forgotten.
    pub expires_at: Option<i64>,
}

/// Holds the last message of a source that counts its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedMessagePlace {
    /// By whom it was taken in.
    pub consumer: String,
    /// The source.
    pub source: Uuid,
    /// Its number.
    pub sequence: u64,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl MovedRow {
    /// The key of a row as texts; for none, what stands before every key of this kind.
    pub(crate) fn key(kind: RowKind, row: Option<&Self>) -> Vec<String> {
        let (nil, before) = (Uuid::nil().to_string(), "-1".to_owned());
        let texts = |first: &str, rest: &[String]| [&[first.to_owned()], rest].concat();
        match (row, kind) {
            (Some(Self::Checkpoint(row)), _) => texts(&row.name, &[row.partition.to_string()]),
            (Some(Self::ParkedEvent(row)), _) => {
                texts(&row.name, &[row.aggregate_id.to_string(), row.sequence.to_string()])
            }
            (Some(Self::Timer(row)), _) => texts(&row.queue, &[row.timer_id.to_string()]),
            (Some(Self::Message(row)), _) => texts(&row.consumer, std::slice::from_ref(&row.message_id)),
            (Some(Self::MessagePlace(row)), _) => texts(&row.consumer, &[row.source.to_string()]),
            (None, RowKind::Checkpoint) => texts("", &[before]),
            (None, RowKind::ParkedEvent) => texts("", &[nil, before]),
            (None, RowKind::Timer | RowKind::MessagePlace) => texts("", &[nil]),
            (None, RowKind::Message) => texts("", &[String::new()]),
        }
    }

    /// Rows as one JSON array.
    pub(crate) fn array(rows: &[Self]) -> Result<String, super::Error> {
        serde_json::to_string(rows).map_err(|source| super::Error::codec("rows cannot be written as JSON", source))
    }

    /// Reads a row as the database made JSON of it.
    pub(crate) fn of_column(kind: RowKind, json: &str) -> Result<Self, super::Error> {
        let context = || format!("a stored {} cannot be read", kind.as_str().replace('_', " "));
        Self::from_json(kind, json).map_err(|source| super::Error::codec(context(), source))
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl RowKind {
    /// Whether its rows stand at places of the log.
    pub(crate) const fn is_of_log(self) -> bool {
        matches!(self, Self::Checkpoint | Self::ParkedEvent)
    }
}
