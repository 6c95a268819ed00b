//! Who, why, and on whose behalf.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Error, RecordedEvent};
use crate::domain::without_data;

/// Says where events came from.
///
/// Kept beside each event of an append, never looked at by the store.
///
/// Stored as one JSON object. The names `correlation_id`, `causation_id` and `actor` are spoken for; anything else may
/// be added with [`with`](Self::with).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The request, conversation or process this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The message that led to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The application's own members.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Metadata {
    /// No metadata.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues from an event: it is the cause, and its correlation goes on.
    ///
    /// The cause is named `<aggregate_id>-<sequence>`; an event without a correlation becomes the first of one.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] where the event's own metadata cannot be read.
    pub fn caused_by(event: &RecordedEvent) -> Result<Self, Error> {
        let cause = event.name();
        let correlation = event.metadata()?.correlation_id.unwrap_or_else(|| cause.clone());
        Ok(Self::new().correlation_id(correlation).causation_id(cause))
    }

    /// Names the request, conversation or process this belongs to.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Names the message that led to this.
    #[must_use]
    pub fn causation_id(mut self, id: impl Into<String>) -> Self {
        self.causation_id = Some(id.into());
        self
    }

    /// Names who did it.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Adds a member of the application's own.
    ///
    /// The three reserved names are set as their methods would, where the value is a string, and are dropped otherwise.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        let reserved = match name.as_str() {
            "correlation_id" => &mut self.correlation_id,
            "causation_id" => &mut self.causation_id,
            "actor" => &mut self.actor,
            _ => {
                self.other.insert(name, value);
                return self;
            }
        };
        *reserved = value.as_str().map(str::to_owned);
        self
    }

    /// Writes the metadata as it is stored.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] where it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|source| Error::codec("metadata cannot be written", source))
    }

    /// Reads stored metadata.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] where the text is not metadata.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let unfit = |error| Error::codec("stored metadata cannot be read", without_data(error));
        serde_json::from_str(json).map_err(unfit)
    }
}
