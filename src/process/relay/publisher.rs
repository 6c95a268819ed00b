//! What takes messages away, and how it can fail.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::Message;

/// What lies beneath an error.
type Source = Arc<dyn StdError + Send + Sync>;

/// Takes messages to a broker, or to whoever else wants them. Object-safe.
#[async_trait]
pub trait Publisher: fmt::Debug + Send + Sync {
    /// Publishes messages, and answers for each of them, in their order.
    ///
    /// At least one, and no two of one aggregate: they may be sent side by side, in any order. `Ok` says that the receiver has
    /// the message for good. A message whose fate is not known is [`PublishError::Unavailable`]: it comes again under the same
    /// id, before any later one of its aggregate. May be dropped half-way, with the same consequence.
    ///
    /// It has to come to an end: a receiver that does not answer within a time of the publisher's own is away.
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>>;
}

/// Tells why a message is not known to have arrived.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The receiver is away, or asks for patience. Says nothing about the message.
    ///
    /// It is sent again, for as long as it takes. What is not known to have arrived belongs here, too.
    #[error("the receiver is away")]
    Unavailable {
        /// What was met.
        source: Source,
        /// How long the receiver asks to be left alone, where it does.
        retry_after: Option<Duration>,
    },
    /// The receiver has failed at this message, and may not another time.
    ///
    /// It is sent again as often as [`Attempts`](crate::read::Attempts) say, and then has failed for good.
    #[error("the receiver has failed at the message")]
    Failed {
        /// What was met.
        source: Source,
    },
    /// The message is refused for good, as one that is too large. It is never sent again.
    ///
    /// It is parked, or ends the relay, as [`OnFailure`](crate::read::OnFailure) says.
    #[error("the message was refused")]
    Refused {
        /// Why.
        source: Source,
    },
    /// The receiver wants no more messages, ever. The relay ends.
    #[error("the receiver wants no more messages")]
    Gone {
        /// What was met.
        source: Source,
    },
}

impl PublishError {
    /// Makes an [`Unavailable`](Self::Unavailable).
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into().into(), retry_after: None }
    }

    /// Makes an [`Unavailable`](Self::Unavailable) that says when to come back.
    pub fn unavailable_for(retry_after: Duration, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into().into(), retry_after: Some(retry_after) }
    }

    /// Makes a [`Failed`](Self::Failed).
    pub fn failed(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Failed { source: source.into().into() }
    }

    /// Makes a [`Refused`](Self::Refused).
    pub fn refused(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused { source: source.into().into() }
    }

    /// Makes a [`Gone`](Self::Gone).
    pub fn gone(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Gone { source: source.into().into() }
    }
}

#[async_trait]
impl<P: Publisher + ?Sized> Publisher for Arc<P> {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        (**self).publish(messages).await
    }
}
