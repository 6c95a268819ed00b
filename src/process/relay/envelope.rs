//! What makes messages of events.

use std::sync::Arc;

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Message, attribute};
use crate::store::{Error, Metadata, RecordedEvent};

/// Makes messages of recorded events: CloudEvents 1.0 in their JSON format.
///
/// | Attribute | is |
/// |---|---|
/// | `id` | `<aggregate_id>-<sequence>`, the event's name for ever |
/// | `source` | what was set |
/// | `type` | the event's type, behind the prefix that was set |
/// | `subject` | the aggregate's id |
/// | `time` | when the event was recorded |
/// | `data` | the payload, byte by byte as it is stored |
/// | `aggregatetype`, `schemaversion` | as they are stored |
/// | `sequence`, `position` | the places, in 20 digits: ordered as texts |
/// | `correlationid`, `causationid`, `traceparent`, `tracestate` | from the metadata, where they are there and can be attributes |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    source: Arc<str>,
    type_prefix: Arc<str>,
}

/// The longest source and the longest prefix, in bytes.
const LONGEST_BYTES: usize = 1_024;

impl Envelope {
    /// Names where messages come from, such as `/orders`.
    ///
    /// A URI-reference of up to 1,024 bytes. With the id it tells a message from all others: one source for each database.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: choose another source.
    pub fn new(source: &str) -> Result<Self, Error> {
        if source.len() > LONGEST_BYTES || !attribute::is_uri_reference(source) {
            return Err(Error::invalid(format!("a source is a URI-reference of 1 to {LONGEST_BYTES} bytes")));
        }
        Ok(Self { source: source.into(), type_prefix: "".into() })
    }

    pub(super) fn with_source(self, source: &str) -> Result<Self, Error> {
        Ok(Self { source: Self::new(source)?.source, ..self })
    }

    /// Puts this before the types of events, such as `com.example.`. Default: nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: up to 1,024 bytes, without control characters.
    pub fn type_prefix(mut self, prefix: &str) -> Result<Self, Error> {
        if prefix.len() > LONGEST_BYTES || !attribute::is_text(prefix) {
            return Err(Error::invalid(format!(
                "a prefix of types has up to {LONGEST_BYTES} bytes and no control characters"
            )));
        }
        self.type_prefix = prefix.into();
        Ok(self)
    }

    /// Makes the message of an event: each time the same.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`], [`Error::Invalid`]: other code has stored what is no JSON, or names that cannot be attributes.
    pub fn wrap(&self, event: &RecordedEvent) -> Result<Message, Error> {
        let unfit = |source| Error::codec(format!("event {} cannot be made a message", event.name()), source);
        let data: &RawValue = serde_json::from_str(event.payload()).map_err(unfit)?;
        let event_type = format!("{}{}", self.type_prefix, event.event_type());
        attribute::check_required("type", &event_type)?;
        attribute::check_required("aggregatetype", event.aggregate_type())?;
        let metadata = event.metadata()?;
        let id = event.name();
        let sent = Sent {
            specversion: "1.0",
            id: &id,
            source: &self.source,
            event_type: &event_type,
            subject: event.aggregate_id().to_string(),
            time: event.recorded_at().to_rfc3339_opts(SecondsFormat::Micros, true),
            datacontenttype: "application/json",
            aggregatetype: event.aggregate_type(),
            schemaversion: i32::try_from(event.schema_version())
                .map_err(|_| Error::invalid("the schema version is no 32-bit integer"))?,
            sequence: attribute::ordered(event.sequence()),
            position: attribute::ordered(event.position().get()),
            correlationid: fit(metadata.correlation_id.as_deref()),
            causationid: fit(metadata.causation_id.as_deref()),
            traceparent: text_of(&metadata, "traceparent").filter(|text| attribute::is_traceparent(text)),
            tracestate: fit(text_of(&metadata, "tracestate")),
            data,
        };
        let cloud_event = serde_json::to_string(&sent).map_err(unfit)?;
        Ok(Message::new(event, id, cloud_event))
    }
}

fn text_of<'m>(metadata: &'m Metadata, name: &str) -> Option<&'m str> {
    metadata.other.get(name)?.as_str()
}

/// What a CloudEvent cannot carry is left out: the event is worth more than what stands beside it.
fn fit(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty() && attribute::is_text(text))
}

/// In the order in which it is written.
#[derive(Serialize)]
struct Sent<'e> {
    specversion: &'static str,
    id: &'e str,
    source: &'e str,
    #[serde(rename = "type")]
    event_type: &'e str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    aggregatetype: &'e str,
    schemaversion: i32,
    sequence: String,
    position: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'e str>,
    data: &'e RawValue,
}
