//! Events as they are stored: a type name and a JSON payload.
//!
//! serde's adjacent tagging splits an event enum for us: the tag becomes the column `event_type`, the content the
//! payload. Neither direction goes through a [`serde_json::Value`].

mod decode;
mod encode;

use std::error::Error;

use serde::{Serialize, de::DeserializeOwned};

use super::{Upcasters, without_data};

/// Carries an event's type name and its JSON payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedEvent {
    /// The tag of the event's variant.
    pub event_type: &'static str,
    /// The content of the variant as JSON; `null` for a variant without fields.
    pub payload: String,
}

/// Tells why an event could not be written down or read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The type is not an adjacently tagged enum.
    #[error("an event must be an enum with #[serde(tag = \"type\", content = \"data\")]: {0}")]
    NotAdjacentlyTagged(String),
    /// No variant of the event enum has this name: it was renamed or removed, or newer code has written it.
    #[error("unknown event type {event_type:?}; known: {}", known.join(", "))]
    UnknownType {
        /// The name that is stored.
        event_type: String,
        /// The names the event enum has.
        known: &'static [&'static str],
    },
    /// Newer code has written this event.
    #[error("event type {event_type:?} is stored in schema version {stored}, this code knows up to {known}")]
    NewerSchema {
        /// The event's type.
        event_type: String,
        /// The schema version it was stored in.
        stored: u32,
        /// The latest one known here.
        known: u32,
    },
    /// An upcaster refused what is stored.
    #[error("upcasting event type {event_type:?} from schema version {from} failed")]
    Upcast {
        /// The event's type.
        event_type: String,
        /// The schema version that was to be lifted.
        from: u32,
        /// What the upcaster said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The payload is not the JSON the event's type asks for, or the event cannot be written as JSON.
    #[error("payload of event type {event_type:?} does not fit")]
    Payload {
        /// The event's type; empty where it is not known yet.
        event_type: String,
        /// What serde_json said, without the data it said it of.
        source: serde_json::Error,
    },
}

/// Splits an event into its type name and its payload.
///
/// # Errors
///
/// [`EventError::NotAdjacentlyTagged`] or [`EventError::Payload`]: the event's type has to be mended; nothing was
/// written.
pub fn encode_event<E: Serialize + ?Sized>(event: &E) -> Result<EncodedEvent, EventError> {
    encode::encode(event)
}

/// Puts an event together from what is stored, lifted to today's shape.
///
/// # Errors
///
/// Any [`EventError`]: the stored event and this code do not fit; no retry will help.
pub fn decode_event<E: DeserializeOwned>(
    upcasters: &Upcasters,
    event_type: &str,
    schema_version: u32,
    payload: &str,
) -> Result<E, EventError> {
    let known = upcasters.schema_version(event_type);
    match schema_version {
        stored if stored == known => decode::decode(event_type, payload),
        stored if stored > known || stored == 0 => {
            Err(EventError::NewerSchema { event_type: event_type.to_owned(), stored, known })
        }
        stored => decode::decode(event_type, &lift(upcasters, event_type, stored, payload)?),
    }
}

/// Lists the type names of an event enum, in the order of its variants.
///
/// # Errors
///
/// [`EventError::NotAdjacentlyTagged`], where `E` is not an adjacently tagged enum.
pub fn event_types<E: DeserializeOwned>() -> Result<&'static [&'static str], EventError> {
    decode::variants::<E>()
}

/// Runs the upcasters from `stored` on. The rare path, so it may go through a `Value`.
fn lift(upcasters: &Upcasters, event_type: &str, stored: u32, payload: &str) -> Result<String, EventError> {
    let unfit = |error| EventError::Payload { event_type: event_type.to_owned(), source: without_data(error) };
    let mut value = serde_json::from_str(payload).map_err(unfit)?;
    for (from, step) in (1..).zip(upcasters.steps(event_type)).filter(|(from, _)| *from >= stored) {
        value = step(value).map_err(|source| EventError::Upcast { event_type: event_type.to_owned(), from, source })?;
    }
    serde_json::to_string(&value).map_err(unfit)
}
