//! What the check of a whole log reads: everything that is stored, as it is stored, in one consistent view.

use std::{fmt, ops::ControlFlow, sync::Arc};

use async_trait::async_trait;

use super::{Error, EventRef, Position};

/// Opens audits.
#[async_trait]
pub trait Auditable: fmt::Debug + Send + Sync {
    /// Begins to read everything that is stored, so many rows with each statement.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`] and [`Error::Unavailable`]: try again later; others, page someone.
    async fn audit(&self, page_rows: u32) -> Result<Box<dyn Audit>, Error>;
}

#[async_trait]
impl<S: Auditable + ?Sized> Auditable for Arc<S> {
    async fn audit(&self, page_rows: u32) -> Result<Box<dyn Audit>, Error> {
        (**self).audit(page_rows).await
    }
}

/// Reads everything that is stored, page by page, as of the moment it was begun.
///
/// What writers commit meanwhile is not seen, and writers are not held up. Drop it to end it.
///
/// Each method visits rows in the order of their keys, those after a key (`None`: from the first), up to the end of
/// the table or to the row on which the visitor breaks. A row that cannot be read comes as a row that says so: an error
/// means that the table cannot be read on.
#[async_trait]
pub trait Audit: fmt::Debug + Send {
    /// Tells whether positions are 1, 2, 3 … or may have holes.
    fn has_dense_positions(&self) -> bool;

    /// The last position there is.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn head(&mut self) -> Result<Position, Error>;

    /// Visits events in the order of aggregate ids (as bytes) and sequences.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn events(
        &mut self,
        after: Option<&EventKey>,
        visit: &mut (dyn for<'r> FnMut(EventRow<'r>) -> ControlFlow<()> + Send),
    ) -> Result<(), Error>;

    /// Visits the places of events in the order of positions.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn places(
        &mut self,
        after: Option<&Place>,
        visit: &mut (dyn FnMut(Place) -> ControlFlow<()> + Send),
    ) -> Result<(), Error>;

    /// Visits receipts in the order of aggregate ids (as bytes) and keys.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn receipts(
        &mut self,
        after: Option<&ReceiptKey>,
        visit: &mut (dyn for<'r> FnMut(ReceiptRow<'r>) -> ControlFlow<()> + Send),
    ) -> Result<(), Error>;

    /// Visits snapshots in the order of aggregate ids (as bytes).
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn snapshots(
        &mut self,
        after: Option<&[u8]>,
        visit: &mut (dyn for<'r> FnMut(SnapshotRow<'r>) -> ControlFlow<()> + Send),
    ) -> Result<(), Error>;

    /// Visits checkpoints in the order of names and partitions.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn checkpoints(
        &mut self,
        after: Option<&CheckpointKey>,
        visit: &mut (dyn FnMut(CheckpointRow) -> ControlFlow<()> + Send),
    ) -> Result<(), Error>;

    /// Visits parked events in the order of names, aggregate ids (as bytes) and sequences.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn parked_events(
        &mut self,
        after: Option<&ParkedKey>,
        visit: &mut (dyn FnMut(ParkedRow) -> ControlFlow<()> + Send),
    ) -> Result<(), Error>;

    /// Reads where positions are drawn from, as it is now: never behind what this audit sees of the log.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn position_source(&mut self) -> Result<PositionSource, Error>;
}

/// Names an event as its row does.
///
/// What is damaged may be no UUID, and no sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    /// The aggregate.
    pub aggregate_id: Vec<u8>,
    /// The place within it.
    pub sequence: i64,
}

impl EventKey {
    /// Stands before every event: no id is shorter.
    #[must_use]
    pub const fn before_all() -> Self {
        Self { aggregate_id: Vec::new(), sequence: i64::MIN }
    }

    /// Names another event, without a new allocation for each.
    pub fn set(&mut self, aggregate_id: &[u8], sequence: i64) {
        self.aggregate_id.clear();
        self.aggregate_id.extend_from_slice(aggregate_id);
        self.sequence = sequence;
    }
}

/// Says where an event stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The place in the log.
    pub position: i64,
    /// The event.
    pub event: EventKey,
}

/// Shows the row of an event.
#[derive(Debug)]
pub struct EventRow<'r> {
    /// The aggregate: 16 bytes, unless it is damaged.
    pub aggregate_id: &'r [u8],
    /// The place within the aggregate.
    pub sequence: i64,
    /// The place in the log.
    pub position: i64,
    /// The event, or why it cannot be read.
    pub event: Result<EventRef<'r>, String>,
}

/// Names a receipt as its row does.
///
/// `Debug` shows the length of the key alone: keys stay out of logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiptKey {
    /// The aggregate.
    pub aggregate_id: Vec<u8>,
    /// The client's key, or that of a command without one.
    pub idempotency_key: Vec<u8>,
}

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiptKey({:?}, {} bytes)", self.aggregate_id, self.idempotency_key.len())
    }
}

/// Shows the row of a receipt.
pub struct ReceiptRow<'r> {
    /// The aggregate: 16 bytes, unless it is damaged.
    pub aggregate_id: &'r [u8],
    /// The client's key, or that of a command without one. A secret.
    pub idempotency_key: &'r [u8],
    /// The append that answered the request: 16 bytes, unless it is damaged.
    pub command_id: &'r [u8],
    /// What was asked for: 32 bytes, unless it is damaged.
    pub fingerprint: &'r [u8],
    /// `accepted` or `rejected`.
    pub outcome: &'r [u8],
    /// The sequence of its first event; one above `last_sequence` where it has none.
    pub first_sequence: i64,
    /// The version of the aggregate after it.
    pub last_sequence: i64,
    /// The rejection as JSON.
    pub rejection: Option<&'r [u8]>,
    /// Tells whether the receipt ends some day, so that its key may be used anew.
    pub expires: bool,
}

impl fmt::Debug for ReceiptRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptRow").field("command_id", &self.command_id).finish_non_exhaustive()
    }
}

/// Shows the row of a snapshot.
#[derive(Debug)]
pub struct SnapshotRow<'r> {
    /// The aggregate: 16 bytes, unless it is damaged.
    pub aggregate_id: &'r [u8],
    /// The shape of the state.
    pub snapshot_version: i64,
    /// The sequence of the last event in the state.
    pub sequence: i64,
    /// The checksum of that event.
    pub event_checksum: i64,
    /// The state as JSON.
    pub state: &'r [u8],
    /// The snapshot's own checksum.
    pub checksum: i64,
}

/// Names the checkpoint of a subscription's or projection's partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckpointKey {
    /// The name of the subscription or projection.
    pub name: String,
    /// Which of its partitions.
    pub partition: i64,
}

/// Names an event by its place and by who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName {
    /// The event.
    pub event: EventKey,
    /// The append that wrote it.
    pub command_id: Vec<u8>,
}

/// Holds the row of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// Whose checkpoint it is.
    pub key: CheckpointKey,
    /// Everything up to and including this position was handled.
    pub position: i64,
    /// The event at that position, as the checkpoint remembers it.
    ///
    /// `None` before the first.
    pub remembered: Option<EventName>,
    /// The event at that position, as the log has it.
    pub found: Option<EventName>,
}

/// Names a parked event as its row does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParkedKey {
    /// The name of the subscription or projection.
    pub name: String,
    /// The event.
    pub event: EventKey,
}

/// Holds the row of a parked event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// Whose parked event it is, and which.
    pub key: ParkedKey,
    /// Its position, as the row has it.
    pub position: i64,
    /// The position of that event, as the log has it.
    pub found_position: Option<i64>,
    /// Tells whether there is a checkpoint of that name.
    pub has_checkpoint: bool,
}

/// Says where positions are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PositionSource {
    /// From the events themselves: each position is one above the last.
    Events,
    /// From a sequence of the database.
    Sequence {
        /// The last position that was drawn.
        last_drawn: i64,
        /// How many positions a connection draws at once. It has to be 1.
        cache: i64,
        /// How far one position is from the next. It has to be 1.
        increment: i64,
    },
    /// From a sequence that is not there.
    Missing,
}
