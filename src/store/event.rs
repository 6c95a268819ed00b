//! Events on their way in and on their way out.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{AggregateName, Error, Metadata, Position};
use crate::domain::{Aggregate, Upcasters, decode_event, encode_event};

/// Holds an event that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub(super) event_type: Cow<'static, str>,
    pub(super) schema_version: u32,
    pub(super) payload: Arc<str>,
}

impl NewEvent {
    /// Takes an event of an adjacently tagged enum.
    ///
    /// In the schema version its upcasters give it.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] where the event's type cannot be stored: mend the type.
    pub fn encode<E: Serialize + ?Sized>(event: &E, upcasters: &Upcasters) -> Result<Self, Error> {
        let encoded = encode_event(event)?;
        Ok(Self {
            event_type: Cow::Borrowed(encoded.event_type),
            schema_version: upcasters.schema_version(encoded.event_type),
            payload: encoded.payload.into(),
        })
    }

    /// Takes any value for the payload of an event of this type, in schema version 1.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] where the value cannot be written as JSON.
    pub fn new(event_type: impl Into<Cow<'static, str>>, payload: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        let payload = serde_json::to_string(payload).map_err(|source| Error::codec("a payload is not JSON", source))?;
        Ok(Self { event_type: event_type.into(), schema_version: 1, payload: payload.into() })
    }

    /// Takes JSON as it stands for the payload.
    ///
    /// It is stored byte by byte, in schema version 1.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] where the text is not JSON.
    pub fn from_json(event_type: impl Into<Cow<'static, str>>, payload: impl Into<Arc<str>>) -> Result<Self, Error> {
        let payload = payload.into();
        serde_json::from_str::<serde::de::IgnoredAny>(&payload)
            .map_err(|source| Error::codec("a payload is not JSON", source))?;
        Ok(Self { event_type: event_type.into(), schema_version: 1, payload })
    }

    /// Sets the schema version of the payload, from 1.
    #[must_use]
    pub const fn in_schema_version(mut self, schema_version: u32) -> Self {
        self.schema_version = schema_version;
        self
    }

    /// The event's type.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The shape of the payload.
    #[must_use]
    pub const fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// The payload: JSON.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// The payload, for drivers that keep what they are given.
    #[must_use]
    pub fn shared_payload(&self) -> Arc<str> {
        Arc::clone(&self.payload)
    }
}

/// Shows a stored event straight from the database's row.
#[derive(Debug, Clone, Copy)]
pub struct EventRef<'r> {
    /// The place in the global log.
    pub position: Position,
    /// The kind of aggregate.
    pub aggregate_type: &'r str,
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The place within the aggregate, from 1.
    pub sequence: u64,
    /// The event's type.
    pub event_type: &'r str,
    /// The shape of the payload, from 1.
    pub schema_version: u32,
    /// The append that wrote the event.
    pub command_id: Uuid,
    /// JSON, byte by byte as it was written.
    pub payload: &'r str,
    /// JSON object.
    pub metadata: &'r str,
    /// When the store wrote it, in whole microseconds. Information, never an order.
    pub recorded_at: DateTime<Utc>,
    /// xxh3-64 of the stored bytes, see [`event_checksum`](super::event_checksum).
    pub checksum: u64,
}

impl EventRef<'_> {
    /// Decodes the event, lifted to today's shape.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`], naming the event: the stored event and this code do not fit.
    pub fn decode<E: DeserializeOwned>(&self, upcasters: &Upcasters) -> Result<E, Error> {
        decode_event(upcasters, self.event_type, self.schema_version, self.payload).map_err(|source| {
            let aggregate = AggregateName::new(self.aggregate_type, self.aggregate_id);
            Error::codec(format!("event {} of {aggregate} cannot be read", self.sequence), source)
        })
    }

    /// Decodes an event of an aggregate, lifted to today's shape by its upcasters.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: it is of another kind of aggregate, so select; [`Error::Codec`], naming the event: the stored event
    /// and this code do not fit.
    pub fn decode_as<A: Aggregate>(&self) -> Result<A::Event, Error> {
        if self.aggregate_type != A::TYPE {
            let aggregate = AggregateName::new(self.aggregate_type, self.aggregate_id);
            return Err(Error::invalid(format!("event {} of {aggregate} is not of {}", self.sequence, A::TYPE)));
        }
        self.decode(&A::upcasters())
    }

    /// Copies the event out of the row.
    #[must_use]
    pub fn to_recorded(&self) -> RecordedEvent {
        RecordedEvent(Arc::new(Owned {
            position: self.position,
            aggregate_type: self.aggregate_type.into(),
            aggregate_id: self.aggregate_id,
            sequence: self.sequence,
            event_type: self.event_type.into(),
            schema_version: self.schema_version,
            command_id: self.command_id,
            payload: self.payload.into(),
            metadata: self.metadata.into(),
            recorded_at: self.recorded_at,
            checksum: self.checksum,
        }))
    }
}

/// Holds a stored event: immutable, and cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent(Arc<Owned>);

#[derive(Debug, PartialEq, Eq)]
struct Owned {
    position: Position,
    aggregate_type: Box<str>,
    aggregate_id: Uuid,
    sequence: u64,
    event_type: Box<str>,
    schema_version: u32,
    command_id: Uuid,
    payload: Box<str>,
    metadata: Box<str>,
    recorded_at: DateTime<Utc>,
    checksum: u64,
}

impl RecordedEvent {
    /// The place in the global log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.0.position
    }

    /// The kind of aggregate.
    #[must_use]
    pub fn aggregate_type(&self) -> &str {
        &self.0.aggregate_type
    }

    /// The aggregate.
    #[must_use]
    pub fn aggregate_id(&self) -> Uuid {
        self.0.aggregate_id
    }

    /// The place within the aggregate, from 1.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// The event's type.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.0.event_type
    }

    /// The shape of the payload, from 1.
    #[must_use]
    pub fn schema_version(&self) -> u32 {
        self.0.schema_version
    }

    /// The append that wrote the event.
    #[must_use]
    pub fn command_id(&self) -> Uuid {
        self.0.command_id
    }

    /// The payload: JSON, byte by byte as it was written.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.0.payload
    }

    /// When the store wrote it, in whole microseconds. Information, never an order.
    #[must_use]
    pub fn recorded_at(&self) -> DateTime<Utc> {
        self.0.recorded_at
    }

    /// xxh3-64 of the stored bytes, see [`event_checksum`](super::event_checksum).
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.0.checksum
    }

    /// The event's own name, the same for ever: `<aggregate_id>-<sequence>`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.0.aggregate_id, self.0.sequence)
    }

    /// The metadata.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] where other code has stored what is not metadata.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        Metadata::from_json(&self.0.metadata)
    }

    /// Shows the event as a row would.
    #[must_use]
    pub fn as_ref(&self) -> EventRef<'_> {
        let event = &*self.0;
        EventRef {
            position: event.position,
            aggregate_type: &event.aggregate_type,
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: &event.event_type,
            schema_version: event.schema_version,
            command_id: event.command_id,
            payload: &event.payload,
            metadata: &event.metadata,
            recorded_at: event.recorded_at,
            checksum: event.checksum,
        }
    }

    /// Decodes an event of an aggregate, lifted to today's shape by its upcasters.
    ///
    /// # Errors
    ///
    /// As for [`EventRef::decode_as`].
    pub fn decode_as<A: Aggregate>(&self) -> Result<A::Event, Error> {
        self.as_ref().decode_as::<A>()
    }

    /// Decodes the event, lifted to today's shape.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`], naming the event: the stored event and this code do not fit.
    pub fn decode<E: DeserializeOwned>(&self, upcasters: &Upcasters) -> Result<E, Error> {
        self.as_ref().decode(upcasters)
    }
}
