//! A recorded event on its way out.

use std::sync::Arc;

use uuid::Uuid;

use crate::store::RecordedEvent;

/// A recorded event as it is published.
///
/// Itself, its id, and the CloudEvent that is sent. Cheap to clone. An [`Envelope`](super::Envelope) makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    event: RecordedEvent,
    id: Arc<str>,
    cloud_event: Arc<str>,
}

impl Message {
    pub(super) fn new(event: &RecordedEvent, id: String, cloud_event: String) -> Self {
        Self { event: event.clone(), id: id.into(), cloud_event: cloud_event.into() }
    }

    /// The message's id, the same for ever: `<aggregate_id>-<sequence>`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The kind of aggregate.
    #[must_use]
    pub fn aggregate_type(&self) -> &str {
        self.event.aggregate_type()
    }

    /// The aggregate.
    #[must_use]
    pub fn aggregate_id(&self) -> Uuid {
        self.event.aggregate_id()
    }

    /// The place of the event within the aggregate, from 1.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.event.sequence()
    }

    /// The event's type, as it is stored: the CloudEvent's may have a prefix.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.event.event_type()
    }

    /// The event.
    #[must_use]
    pub const fn event(&self) -> &RecordedEvent {
        &self.event
    }

    /// The CloudEvent, in its JSON format.
    ///
    /// A body of the type `application/cloudevents+json`. Byte by byte the same each time, as long as the envelope is.
    #[must_use]
    pub fn cloud_event(&self) -> &str {
        &self.cloud_event
    }

    /// The CloudEvent, for clients that keep what they are given.
    #[must_use]
    pub fn shared_cloud_event(&self) -> Arc<str> {
        Arc::clone(&self.cloud_event)
    }
}
