//! The outbox: recorded events leave as messages.
//!
//! The log itself is the outbox: an event and its message are one row. An [`Envelope`] makes a [`Message`] of an event, a
//! [`Publisher`] takes it to where it is wanted.

mod attribute;
mod cloud_event;
mod envelope;
mod message;
mod publisher;

pub use cloud_event::CloudEvent;
pub use envelope::Envelope;
pub use message::Message;
pub use publisher::{PublishError, Publisher};
