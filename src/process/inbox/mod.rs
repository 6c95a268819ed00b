//! The inbox: messages that come more than once are handled once.

mod handling;
mod message;
mod outcome;

use std::{pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
pub use handling::Handling;
pub use message::IncomingMessage;
pub use outcome::{Handled, InboxError};
use tokio::time::{Instant, sleep};

use super::{patience::Pauses, telemetry};
use crate::{
    command::Retry,
    read::BoxError,
    store::{
        CheckpointWork, Consumer, Error, InboxMessage, InboxStore, InboxWork, Received, Transactional, Work as _,
        beneath, telemetry as told,
    },
};

/// What the effects of a message come to, in a box.
pub type Effects<'w, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'w>>;

/// How long messages are remembered if nothing else is said: 30 days.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often a message is begun again, if nothing else is said.
const ATTEMPTS: u32 = 20;

/// The longest time for all attempts, a day: no clock overflows.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Handles each message once, however often it is delivered.
///
/// What was handled is remembered in the transaction of the effects: either both are there or none. Each consumer has
/// an inbox of its own. Acknowledge a message after [`Handled::is_over`], and never before.
///
/// ```
/// # async fn example(store: &annals::SqliteStore, body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// use annals::{Handled, Inbox, IncomingMessage, Work as _};
///
/// let inbox = Inbox::new(store, "billing")?;
/// let message = IncomingMessage::new("evt_1", body)?;
/// let handled = inbox
///     .handle(&message, |work| {
///         Box::pin(async {
///             let paid = sqlx::query("INSERT INTO payments (body) VALUES (?)").bind(body);
///             paid.execute(work.connection()).await?;
///             Ok("paid")
///         })
///     })
///     .await?;
/// match handled {
///     Handled::New(what) => println!("{what}"),
///     Handled::Duplicate { .. } => println!("known"),
///     Handled::Changed { .. } => println!("another message has this id: set it aside"),
///     Handled::Early { expected } => println!("{expected} comes first: do not acknowledge"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// A message that is one command to one aggregate needs no inbox: see [`IncomingMessage::idempotency_key`]. What goes beyond the
/// database, such as a call of another service, is no effect that a transaction can hold: use [`Steps`](super::Steps).
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is given messages"]
pub struct Inbox<S> {
    store: S,
    consumer: Arc<str>,
    keep_for: Option<Duration>,
    retry: Retry,
}

/// Why an attempt has failed.
struct Failed {
    error: InboxError,
    /// Whether another attempt may fare better.
    is_passing: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { is_passing: is_passing(&error), error: InboxError::Store(error) }
    }
}

/// Tells whether the whole may be done again. After an unknown outcome that is also how to find it out.
const fn is_passing(error: &Error) -> bool {
    error.is_retryable() || error.is_outcome_unknown() || error.is_conflict()
}

impl<S> Inbox<S> {
    /// Opens the inbox of a consumer, named by 1 to 200 visible ASCII characters.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: choose another name.
    pub fn new(store: &S, consumer: &str) -> Result<Self, Error>
    where
        S: Clone,
    {
        let consumer = Consumer::new(consumer)?.name().into();
        let retry = Retry { max_attempts: ATTEMPTS, ..Retry::default() };
        Ok(Self { store: store.clone(), consumer, keep_for: Some(KEPT), retry })
    }

    /// Remembers messages for so long, 1 ms to 10 years. Default: 30 days.
    ///
    /// Choose more than the longest time after which one may come again, that of a dead-letter queue included. Later it is
    /// handled anew, unless its [place](IncomingMessage::placed) tells. [`Sweeper`](super::Sweeper) deletes what is forgotten.
    pub const fn keep_for(mut self, time: Duration) -> Self {
        self.keep_for = Some(time);
        self
    }

    /// Remembers messages for ever.
    pub const fn keep_for_ever(mut self) -> Self {
        self.keep_for = None;
        self
    }

    /// Bounds how a message is begun again.
    ///
    /// It is, after conflicts, lost replies and a database that was busy. Default: as [`Retry`], with 20 attempts.
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The consumer's name.
    #[must_use]
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// Tells when a message was handled; `None`: not yet, or it is forgotten.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn handled_at(&self, message: &IncomingMessage) -> Result<Option<DateTime<Utc>>, Error>
    where
        S: InboxStore,
    {
        self.store.received_at(&self.consumer, message.id()).await
    }

    /// Takes a message in within a transaction of one's own.
    ///
    /// Have its effects in the same one after [`Received::New`], and drop it after anything else. Nothing is done again.
    ///
    /// # Errors
    ///
    /// As for [`InboxWork::receive`].
    pub async fn receive<W: InboxWork>(&self, work: &mut W, message: &IncomingMessage) -> Result<Received, Error>
    where
        S: Sync,
    {
        let received = work.receive(&self.known_as(message)).await;
        match &received {
            Ok(Received::New) => {}
            Ok(received) => telemetry::message(&self.consumer, word(received)),
            Err(error) => telemetry::message_failed(&self.consumer, error),
        }
        received
    }

    fn known_as(&self, message: &IncomingMessage) -> InboxMessage {
        InboxMessage {
            consumer: Arc::clone(&self.consumer),
            message_id: message.id().into(),
            content: message.fingerprint(),
            place: message.place(),
            keep_for: self.keep_for,
        }
    }
}

impl<S> Inbox<S>
where
    S: Transactional,
    S::Work: InboxWork + CheckpointWork,
{
    /// Handles a message: takes it in, has its effects and commits both, or neither.
    ///
    /// `effects` run in the transaction, and may run several times: after a conflict, a deadlock, a lost reply. Only the
    /// last time counts, so nothing they do may reach beyond it. Keep it short: on SQLite it is the one that writes.
    ///
    /// Where a commit's reply was lost and the message is then found handled, the answer is [`Handled::Duplicate`], be it
    /// by this call or by another.
    ///
    /// # Errors
    ///
    /// [`InboxError::Effects`]: what the effects said; nothing of them is left, and the message is new again.
    /// [`InboxError::Store`]: as for [`Transactional::begin`], [`InboxWork::receive`] and
    /// [`Work::commit`](crate::Work::commit). In either case do not acknowledge: have it delivered again.
    pub async fn handle<'e, T, F>(&self, message: &IncomingMessage, mut effects: F) -> Result<Handled<T>, InboxError>
    where
        T: Send,
        F: for<'w> FnMut(&'w mut Handling<'e, S::Work>) -> Effects<'w, T> + Send,
    {
        let known_as = self.known_as(message);
        let ends = Instant::now() + self.retry.max_time.min(LONGEST);
        let mut pauses = Pauses::new(self.retry.min_delay, self.retry.max_delay).begin();
        for attempt in 1.. {
            match self.attempt(&known_as, &mut effects).await {
                Ok(handled) => {
                    telemetry::message(&self.consumer, handled.word());
                    return Ok(handled);
                }
                Err(Failed { error, is_passing }) => {
                    let pause = pauses.next().unwrap_or_default();
                    if !is_passing || attempt >= self.retry.max_attempts || Instant::now() + pause > ends {
                        telemetry::message_failed(&self.consumer, &error);
                        return Err(error);
                    }
                    if let InboxError::Store(error) = &error {
                        told::retry("message", attempt, pause, error);
                    }
                    sleep(pause).await;
                }
            }
        }
        Err(InboxError::Store(Error::Contention { source: None }))
    }

    async fn attempt<'e, T, F>(&self, message: &InboxMessage, effects: &mut F) -> Result<Handled<T>, Failed>
    where
        T: Send,
        F: for<'w> FnMut(&'w mut Handling<'e, S::Work>) -> Effects<'w, T> + Send,
    {
        let mut handling = Handling::new(self.store.begin().await?);
        match handling.receive(message).await? {
            Received::New => {}
            Received::Duplicate { received_at } => return Ok(Handled::Duplicate { received_at }),
            Received::Changed { received_at } => return Ok(Handled::Changed { received_at }),
            Received::Early { expected } => return Ok(Handled::Early { expected }),
        }
        match effects(&mut handling).await {
            Ok(value) => {
                handling.into_work().commit().await?;
                Ok(Handled::New(value))
            }
            Err(error) => {
                let is_passing = handling.is_passing(&*error)
                    || beneath(&*error).any(|error| error.downcast_ref::<Error>().is_some_and(is_passing));
                Err(Failed { error: InboxError::Effects(error), is_passing })
            }
        }
    }
}

const fn word(received: &Received) -> &'static str {
    match received {
        Received::New => "new",
        Received::Duplicate { .. } => "duplicate",
        Received::Changed { .. } => "changed",
        Received::Early { .. } => "early",
    }
}
