//! What a move asks of the database it comes from, and of the one it goes to.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::collections::HashMap;
use std::{fmt, sync::Arc};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Error, EventStore, IdempotencyKey, Inspect, MovedRow, Position, Receipt, RecordedEvent, RowKind};

/// Reads and writes what is moved from one database to another, as it is stored.
///
/// Everything is written so that it may be written again: by whoever was broken off, and by two at once.
#[async_trait]
pub trait TransferStore: EventStore + Inspect {
    /// Reads receipts in the order of aggregate ids (as bytes) and keys, so many at the most; expired ones as well.
    ///
    /// Those after a place, and only those whose last event stands up to that position. (A receipt without one, of an
    /// aggregate without events, is among them.)
    ///
    /// # Errors
    ///
    /// A failed read; [`Fault::Corrupt`](super::Fault::Corrupt): a receipt contradicts itself.
    async fn read_receipts(
        &self,
        after: Option<&MovedReceipt>,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<MovedReceipt>, Error>;

    /// Writes events of another database at the end of this log, in their order, with one commit: all or none.
    ///
    /// Positions are drawn here; everything else is kept. An event that is there already, the same byte by byte, is
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`TransferError::Misfit`]: one of them has no place here, and none was written. [`TransferError::Store`]: as for
    /// [`EventStore::append`]; the same events may be sent again whatever it was.
    async fn write_events(&self, events: &[RecordedEvent]) -> Result<Written, TransferError>;

    /// Writes receipts of another database, with one commit: all or none. Their events have to be there.
    ///
    /// One that is there already, the same, is passed over; so is one that has expired where its key has another. One that
    /// has expired here is replaced.
    ///
    /// # Errors
    ///
    /// As for [`write_events`](Self::write_events).
    async fn write_receipts(&self, receipts: &[MovedReceipt]) -> Result<Written, TransferError>;

    /// Reads rows of a kind in the order of their keys, so many at the most: those after a row.
    ///
    /// What stands in the log only up to that position: checkpoints by the last event up to it, no events parked behind it.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn read_rows(
        &self,
        kind: RowKind,
        after: Option<&MovedRow>,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<MovedRow>, Error>;

    /// Writes rows of one kind, with one commit: all or none. The events they name have to be there.
    ///
    /// What is there and was used here since stays as it is; what nobody has used yet only goes forward.
    ///
    /// # Errors
    ///
    /// A failed write; the same rows may be sent again whatever it was.
    async fn write_rows(&self, kind: RowKind, rows: &[MovedRow]) -> Result<Written, TransferError>;
}

#[async_trait]
impl<S: TransferStore + ?Sized> TransferStore for Arc<S> {
    async fn read_receipts(
        &self,
        after: Option<&MovedReceipt>,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<MovedReceipt>, Error> {
        (**self).read_receipts(after, up_to, limit).await
    }

    async fn write_events(&self, events: &[RecordedEvent]) -> Result<Written, TransferError> {
        (**self).write_events(events).await
    }

    async fn write_receipts(&self, receipts: &[MovedReceipt]) -> Result<Written, TransferError> {
        (**self).write_receipts(receipts).await
    }

    async fn read_rows(
        &self,
        kind: RowKind,
        after: Option<&MovedRow>,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<MovedRow>, Error> {
        (**self).read_rows(kind, after, up_to, limit).await
    }

    async fn write_rows(&self, kind: RowKind, rows: &[MovedRow]) -> Result<Written, TransferError> {
        (**self).write_rows(kind, rows).await
    }
}

/// Holds a receipt with the key it is kept under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedReceipt {
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The client's key, or that of a command without one.
    pub key: IdempotencyKey,
    /// What is kept under it. Without a position: another database has others.
    pub receipt: Receipt,
}

/// Counts what became of what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Rows that were written.
    pub new: u64,
    /// Rows that were there already.
    pub present: u64,
}

/// Tells why nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// One of them has no place here.
    #[error("{0}")]
    Misfit(Misfit),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Says which of several has no place in this database, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Which of them, from 0.
    pub index: usize,
    /// Why.
    pub kind: MisfitKind,
}

/// Says why something has no place in this database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MisfitKind {
    /// Another event stands in its place.
    OtherEvent,
    /// The events before it are missing.
    Hole {
        /// The version of the aggregate here.
        version: u64,
    },
    /// The same event comes twice.
    Repeated,
    /// The aggregate has events of another type here.
    AggregateType {
        /// The type of the aggregate here.
        found: String,
    },
    /// Its key has another receipt.
    OtherReceipt,
    /// The event that the receipt names last is not there, or is of another command.
    ReceiptEvent,
}

impl fmt::Display for MisfitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherEvent => f.write_str("another event stands in its place"),
            Self::Hole { version } => write!(f, "events before it are missing: the aggregate is at version {version}"),
            Self::Repeated => f.write_str("the same event comes twice"),
            Self::AggregateType { found } => write!(f, "the aggregate is of type {found:?} here"),
            Self::OtherReceipt => f.write_str("its key has another receipt here"),
            Self::ReceiptEvent => f.write_str("the last event it names is not there, or is of another command"),
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} has no place here: {}", self.index + 1, self.kind)
    }
}

/// What is known of events that are to be written.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    /// Those whose place is taken, by themselves or by others.
    pub(crate) taken: Vec<usize>,
    /// Those that come behind what is there.
    pub(crate) new: Vec<usize>,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Arrivals {
    /// Tells events whose place is taken from new ones. `heads`: version and type of each aggregate that has events.
    pub(crate) fn of(events: &[RecordedEvent], heads: &HashMap<Uuid, (u64, String)>) -> Result<Self, Misfit> {
        let mut arrivals = Self::default();
        // Versions and types with what comes in this batch.
        let mut coming: HashMap<Uuid, (u64, &str)> = HashMap::with_capacity(heads.len());
        for (index, event) in events.iter().enumerate() {
            let misfit = |kind| Err(Misfit { index, kind });
            let id = event.aggregate_id();
            let head = heads.get(&id);
            let stored = head.map_or(0, |(version, _)| *version);
            let of_head = head.map(|(version, aggregate_type)| (*version, aggregate_type.as_str()));
            let (version, aggregate_type) =
                coming.entry(id).or_insert_with(|| of_head.unwrap_or((0, event.aggregate_type())));
            if *aggregate_type != event.aggregate_type() {
                return misfit(MisfitKind::AggregateType { found: (*aggregate_type).to_owned() });
            }
            match event.sequence() {
                sequence if sequence <= stored => arrivals.taken.push(index),
                sequence if sequence <= *version => return misfit(MisfitKind::Repeated),
                sequence if sequence == *version + 1 => {
                    *version = sequence;
                    arrivals.new.push(index);
                }
                _ => return misfit(MisfitKind::Hole { version: *version }),
            }
        }
        Ok(arrivals)
    }

    /// Makes sure that those whose place is taken are there themselves: `found` is what stands there.
    pub(crate) fn check(&self, events: &[RecordedEvent], found: &[RecordedEvent]) -> Result<(), Misfit> {
        let place = |event: &RecordedEvent| (event.aggregate_id(), event.sequence());
        let found: HashMap<_, _> = found.iter().map(|event| (place(event), event)).collect();
        for index in self.taken.iter().copied() {
            let event = &events[index];
            if !found.get(&place(event)).is_some_and(|found| is_same(event, found)) {
                return Err(Misfit { index, kind: MisfitKind::OtherEvent });
            }
        }
        Ok(())
    }
}

/// Whether two events are the same but for their positions.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn is_same(one: &RecordedEvent, other: &RecordedEvent) -> bool {
    let (one, other) = (one.as_ref(), other.as_ref());
    one.aggregate_type == other.aggregate_type
        && one.event_type == other.event_type
        && one.schema_version == other.schema_version
        && one.command_id == other.command_id
        && one.recorded_at == other.recorded_at
        && one.checksum == other.checksum
        && one.payload == other.payload
        && one.metadata == other.metadata
}

/// What stands where a receipt is to be written.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug)]
pub(crate) struct ReceiptPlace {
    /// The receipt under its key.
    pub(crate) found: Option<Receipt>,
    /// The command of the last event that it names.
    pub(crate) last_command_id: Option<Uuid>,
}

/// Says what is to be done about a receipt.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiptAction {
    Write,
    /// An expired one is in its way.
    Replace,
    PassOver,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl ReceiptPlace {
    pub(crate) fn action(
        &self,
        moved: &MovedReceipt,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<ReceiptAction, MisfitKind> {
        let Receipt { command_id, first_sequence, last_sequence, .. } = moved.receipt;
        let is_own = first_sequence > last_sequence || self.last_command_id == Some(command_id);
        if !is_own || (last_sequence > 0 && self.last_command_id.is_none()) {
            return Err(MisfitKind::ReceiptEvent);
        }
        let has_expired = |receipt: &Receipt| receipt.expires_at.is_some_and(|at| at <= now);
        match &self.found {
            None => Ok(ReceiptAction::Write),
            Some(found) if *found == moved.receipt => Ok(ReceiptAction::PassOver),
            Some(_) if has_expired(&moved.receipt) => Ok(ReceiptAction::PassOver),
            Some(found) if has_expired(found) => Ok(ReceiptAction::Replace),
            Some(_) => Err(MisfitKind::OtherReceipt),
        }
    }
}
