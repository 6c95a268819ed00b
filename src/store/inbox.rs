//! The port of messages that were taken in.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Fingerprint, Work};

/// A message as the inbox knows it: whose it is, and what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// Who handles it: 1 to 200 visible ASCII characters.
    ///
    /// Each consumer has its own inbox.
    pub consumer: Arc<str>,
    /// The message's own id, 1 to 255 bytes without control characters.
    pub message_id: Arc<str>,
    /// The hash of what it says: the same id with something else in it is found out.
    pub content: Fingerprint,
    /// Where it stands among the messages of its source, if its source counts them.
    pub place: Option<MessagePlace>,
    /// How long it is remembered, 1 ms to 10 years; `None`: for ever.
    pub keep_for: Option<Duration>,
}

/// Where a message stands among those of one source, such as an aggregate.
///
/// The source's last place is remembered for ever, and however late a message comes again it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessagePlace {
    /// The source: an aggregate's id.
    pub source: Uuid,
    /// The place: an event's sequence, from 1.
    pub sequence: u64,
    /// Whether there is a message for every sequence.
    ///
    /// One that comes before its turn is then refused.
    pub is_dense: bool,
}

impl MessagePlace {
    /// What is known of a message from its place alone; `None`: it is new.
    #[cfg(feature = "sqlite")]
    pub(crate) const fn against(self, last: u64) -> Option<Received> {
        if self.sequence <= last {
            return Some(Received::Duplicate { received_at: None });
        }
        if self.is_dense && self.sequence > last + 1 {
            return Some(Received::Early { expected: last + 1 });
        }
        None
    }
}

/// Says what the inbox knows of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// It is new. It is taken in with the transaction's commit: have its effects in the same one.
    New,
    /// It was handled before, or a later one of its source was. Acknowledge it, and do nothing else.
    Duplicate {
        /// When it was handled; `None` where that is known from its place alone.
        received_at: Option<DateTime<Utc>>,
    },
    /// Another message was handled under the same id. Set it aside: one of the two is lost.
    Changed {
        /// When the other was handled.
        received_at: DateTime<Utc>,
    },
    /// One before it is missing. Do not acknowledge it: it has to come again after the one that is expected.
    Early {
        /// The place that is next.
        expected: u64,
    },
}

/// Transactions in which messages are taken in.
#[async_trait]
pub trait InboxWork: Work {
    /// Takes a message in, within the transaction.
    ///
    /// While another transaction holds the same message this one waits for its end. Only after [`Received::New`] is there
    /// anything to commit.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: nothing was sent; the transaction goes on. [`Error::Contention`]: another transaction has held
    /// the message for too long; begin again. After any other the transaction can only be dropped.
    async fn receive(&mut self, message: &InboxMessage) -> Result<Received, Error>;
}

/// Looks into inboxes. Object-safe.
#[async_trait]
pub trait InboxStore: fmt::Debug + Send + Sync {
    /// Tells when a message was handled; `None`: not yet, or it is forgotten.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn received_at(&self, consumer: &str, message_id: &str) -> Result<Option<DateTime<Utc>>, Error>;
}

#[async_trait]
impl<S: InboxStore + ?Sized> InboxStore for Arc<S> {
    async fn received_at(&self, consumer: &str, message_id: &str) -> Result<Option<DateTime<Utc>>, Error> {
        (**self).received_at(consumer, message_id).await
    }
}
