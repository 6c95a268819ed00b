//! The unit of work, as a value.

use std::{borrow::Cow, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    AggregateName, Error, ExpectedVersion, Fingerprint, IdempotencyKey, Metadata, NewEvent, NewReceipt, Position,
    Receipt, ReceiptOutcome, event_checksum,
};
use crate::domain::{Aggregate, Id};

/// Asks a store to write events of one aggregate.
///
/// All of them or none, and once however often it is sent.
///
/// An append is known by its `command_id`: send the same value again, after any error or none, and the first answer
/// comes back. Cheap to clone.
///
/// ```
/// # async fn example(store: impl annals::EventStore) -> Result<(), annals::Error> {
/// use annals::{Append, EventStoreExt as _, ExpectedVersion, IdempotencyKey, NewEvent};
///
/// let append = Append::new("parcel", uuid::Uuid::now_v7())
///     .expected(ExpectedVersion::New)
///     .event(NewEvent::new("parcel-handed-over", &serde_json::json!({ "carrier": "post" }))?)
///     .idempotency_key(IdempotencyKey::new("shipment-4711")?);
/// let first = store.append_one(append.clone()).await?;
/// let again = store.append_one(append).await?;
/// assert_eq!((again.version, again.position, again.replayed), (first.version, first.position, true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The kind of aggregate, kebab-case.
    pub aggregate_type: Cow<'static, str>,
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// What this append is known by.
    pub command_id: Uuid,
    /// What is expected of the aggregate.
    pub expected: ExpectedVersion,
    /// The command id of the event at the expected version.
    ///
    /// Where the append was decided on that event, before it was committed.
    pub follows: Option<Uuid>,
    /// The events, in their order.
    pub events: Arc<Vec<NewEvent>>,
    /// Kept beside each event.
    pub metadata: Metadata,
    /// The client's key, and what goes with it.
    pub key: Option<KeyRequest>,
    /// How the request ends: events, or a rejection instead.
    pub outcome: ReceiptOutcome,
}

/// Holds a client's key and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// The client's key.
    pub key: IdempotencyKey,
    /// What tells the request from another; `None`: the events and their metadata.
    pub fingerprint: Option<Fingerprint>,
    /// How long the receipt is kept; `None`: for ever.
    pub keep_for: Option<Duration>,
}

/// What the columns of an event take beside its payload and metadata, roughly.
const EVENT_COLUMNS_BYTES: usize = 128;

impl Append {
    /// Begins an append to an aggregate.
    ///
    /// At any version, with a command id of its own, and no events yet.
    #[must_use]
    pub fn new(aggregate_type: impl Into<Cow<'static, str>>, aggregate_id: Uuid) -> Self {
        Self {
            aggregate_type: aggregate_type.into(),
            aggregate_id,
            command_id: Uuid::now_v7(),
            expected: ExpectedVersion::Any,
            follows: None,
            events: Arc::default(),
            metadata: Metadata::new(),
            key: None,
            outcome: ReceiptOutcome::Accepted,
        }
    }

    /// Begins an append to the aggregate of a typed id.
    #[must_use]
    pub fn to<A: Aggregate>(id: Id<A>) -> Self {
        Self::new(A::TYPE, id.uuid())
    }

    /// States what is expected of the aggregate. Default: [`ExpectedVersion::Any`].
    #[must_use]
    pub const fn expected(mut self, expected: ExpectedVersion) -> Self {
        self.expected = expected;
        self
    }

    /// States whose event stands at the expected version.
    ///
    /// For an append decided before that one was committed.
    ///
    /// A version alone would not do: another writer's event may have taken the place, and the version would hold. Where
    /// somebody else's event stands there, that is a conflict, whose two versions may then be the same.
    #[must_use]
    pub const fn follows(mut self, command_id: Uuid) -> Self {
        self.follows = Some(command_id);
        self
    }

    /// Adds an event.
    #[must_use]
    pub fn event(mut self, event: NewEvent) -> Self {
        Arc::make_mut(&mut self.events).push(event);
        self
    }

    /// Adds events.
    #[must_use]
    pub fn events(mut self, events: impl IntoIterator<Item = NewEvent>) -> Self {
        Arc::make_mut(&mut self.events).extend(events);
        self
    }

    /// Sets the metadata, kept beside each event.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the command id, where it was made elsewhere and kept for retries.
    ///
    /// An append that names a version is known again by its id at that very version; sent at another one that holds, it
    /// is a new append. With an idempotency key the command id follows from the key.
    #[must_use]
    pub const fn command_id(mut self, command_id: Uuid) -> Self {
        self.command_id = command_id;
        self
    }

    /// Keeps the outcome under the client's key.
    ///
    /// Whoever sends the key again gets the first answer.
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.command_id = key.command_id(self.aggregate_id);
        self.key = Some(KeyRequest { key, fingerprint: None, keep_for: None });
        self
    }

    /// Sets what tells this request from another under the same key.
    ///
    /// Default: the events and their metadata.
    ///
    /// Without an idempotency key this does nothing.
    #[must_use]
    pub const fn fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        if let Some(request) = &mut self.key {
            request.fingerprint = Some(fingerprint);
        }
        self
    }

    /// Lets the key be used anew after this time. Default: never.
    ///
    /// Without an idempotency key this does nothing.
    #[must_use]
    pub const fn keep_receipt_for(mut self, keep_for: Duration) -> Self {
        if let Some(request) = &mut self.key {
            request.keep_for = Some(keep_for);
        }
        self
    }

    /// Records a rejection, as JSON, instead of events.
    ///
    /// Under a key, and only where the expectation holds.
    #[must_use]
    pub fn rejected(mut self, rejection: Arc<str>) -> Self {
        self.outcome = ReceiptOutcome::Rejected { rejection };
        self
    }

    /// Names the aggregate.
    #[must_use]
    pub fn aggregate(&self) -> AggregateName {
        AggregateName::new(&self.aggregate_type, self.aggregate_id)
    }

    /// The bytes of its payloads.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.events.iter().map(|event| event.payload.len()).fold(0, usize::saturating_add)
    }

    /// The bytes that it takes to keep, roughly: payloads, metadata beside each event, a rejection.
    pub(super) fn stored_bytes(&self) -> usize {
        let metadata =
            if self.metadata == Metadata::new() { 0 } else { self.metadata.to_json().map_or(0, |json| json.len()) };
        let beside = self.events.len().saturating_mul(metadata + EVENT_COLUMNS_BYTES);
        let rejection = match &self.outcome {
            ReceiptOutcome::Accepted => 0,
            ReceiptOutcome::Rejected { rejection } => rejection.len(),
        };
        self.payload_bytes().saturating_add(beside).saturating_add(rejection)
    }

    /// The receipt this append leaves.
    ///
    /// A client's key asks for one. So does an append that names no version: its command id could not be found again
    /// among the events that may have been recorded since. `metadata` is the append's own, as it is stored.
    #[must_use]
    pub fn receipt(&self, metadata: &str) -> Option<NewReceipt> {
        let (key, fingerprint, keep_for) = match &self.key {
            Some(request) => (request.key.clone(), request.fingerprint, request.keep_for),
            None if self.expected.named().is_none() => (IdempotencyKey::of_command(self.command_id), None, None),
            None => return None,
        };
        let fingerprint = fingerprint.unwrap_or_else(|| Fingerprint::of_events(&self.events, metadata));
        Some(NewReceipt { key, fingerprint, outcome: self.outcome.clone(), keep_for })
    }

    /// The checksums of its events, given the metadata as it is stored.
    pub fn checksums<'a>(&'a self, metadata: &'a str) -> impl Iterator<Item = u64> + 'a {
        (0..).zip(self.events.iter()).map(move |(index, event)| {
            let shape = (event.event_type.as_ref(), event.schema_version);
            event_checksum(self.aggregate_id, self.command_id, index, shape, &event.payload, metadata)
        })
    }
}

/// Answers an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The sequence of its first event; one above `version` where it has none.
    pub first_sequence: u64,
    /// The version of the aggregate right after it: the sequence of its last event.
    pub version: u64,
    /// The position of its last event; `None` where it has none.
    pub position: Option<Position>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// How it ended: what the receipt says, where it left one.
    pub outcome: ReceiptOutcome,
    /// Nothing was written: this is the answer an earlier attempt was given.
    pub replayed: bool,
}

impl Appended {
    /// Gives the answer that a receipt holds, where it is for the same request.
    ///
    /// # Errors
    ///
    /// [`Error::KeyReused`] where the receipt is for another request.
    pub fn replay(receipt: Receipt, fingerprint: &Fingerprint, aggregate: AggregateName) -> Result<Self, Error> {
        if receipt.fingerprint != *fingerprint {
            return Err(Error::KeyReused { aggregate });
        }
        Ok(Self {
            first_sequence: receipt.first_sequence,
            version: receipt.last_sequence,
            position: receipt.position,
            recorded_at: receipt.recorded_at,
            outcome: receipt.outcome,
            replayed: true,
        })
    }
}
