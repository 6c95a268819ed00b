//! The outbox: recorded events leave as messages.
//!
//! The log itself is the outbox: an event and its message are one row. An [`Envelope`] makes a [`Message`] of an event, a
//! [`Publisher`] takes it to where it is wanted, and a [`Relay`] sees to it that all are taken there.

mod attribute;
mod cloud_event;
mod envelope;
mod message;
mod publisher;
mod sending;

use std::{sync::Arc, time::Duration};

use self::sending::Sending;
pub use self::{
    cloud_event::CloudEvent,
    envelope::Envelope,
    message::Message,
    publisher::{PublishError, Publisher},
};
use crate::{
    read::{Attempts, OnFailure, ParkedRun, Progress, Start, Subscription},
    store::{CheckpointStore, Error, Position, Selection},
};

/// Publishes recorded events, each **at least once**, in order per aggregate.
///
/// Named, durable and leased as a [`Subscription`] is: the checkpoint moves behind an event once the receiver has acknowledged
/// it and all before it. A message has the event's name for its id, `<aggregate_id>-<sequence>`, each time it is sent; so a
/// receiver can drop what it has already.
///
/// Of one aggregate one message is under way at a time: the next is sent when the one before it is acknowledged. Those of
/// different aggregates go side by side. While the receiver is away the relay waits, as long as it takes, and its
/// [`progress`](Self::progress) shows how far it is behind; appends do not wait for it.
///
/// ```
/// # async fn example(store: annals::SqliteStore, broker: impl annals::process::Publisher + 'static)
/// # -> Result<(), annals::Error> {
/// use annals::process::Relay;
///
/// let shutdown = async { /* any future: a signal, a channel, a token */ };
/// Relay::new(&store, "orders-to-nats", broker)?.source("/orders")?.run(shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is run"]
pub struct Relay<S> {
    name: Arc<str>,
    subscription: Subscription<S>,
    publisher: Arc<dyn Publisher>,
    envelope: Envelope,
}

/// Where messages come from, by default.
const SOURCE: &str = "/annals";

/// How many events are taken up at once, by default.
const BATCH_EVENTS: usize = 200;

impl<S: CheckpointStore + Clone + 'static> Relay<S> {
    /// Names a relay: 1 to 200 visible ASCII characters.
    ///
    /// Kept with its checkpoint, and no subscription or projection may have the same.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: choose another name.
    pub fn new(store: &S, name: &str, publisher: impl Publisher + 'static) -> Result<Self, Error> {
        Ok(Self {
            name: name.into(),
            subscription: Subscription::new(store, name)?.batch_events(BATCH_EVENTS),
            publisher: Arc::new(publisher),
            envelope: Envelope::new(SOURCE)?,
        })
    }

    /// Publishes these events only. Default: all.
    ///
    /// Not kept with the checkpoint: what another selection has passed over stays passed over.
    pub fn select(mut self, selection: Selection) -> Self {
        self.subscription = self.subscription.select(selection);
        self
    }

    /// Sets where it begins, the first time it ever runs.
    ///
    /// Default: [`Start::Beginning`].
    pub fn start(mut self, start: Start) -> Self {
        self.subscription = self.subscription.start(start);
        self
    }

    /// Runs one of several partitions, counted from 0: see [`Subscription::partition`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: `partition` is to be less than `of`, and `of` 1,024 at the most.
    pub fn partition(mut self, partition: u32, of: u32) -> Result<Self, Error> {
        self.subscription = self.subscription.partition(partition, of)?;
        if of > 1 {
            self.name = format!("{} ({partition} of {of})", self.name).into();
        }
        Ok(self)
    }

    /// Names the runner, for those who look.
    ///
    /// 1 to 200 bytes. Default: the number of the process.
    pub fn owner(mut self, owner: impl Into<Arc<str>>) -> Self {
        self.subscription = self.subscription.owner(owner);
        self
    }

    /// Sets how long a runner that is silent keeps the lease.
    ///
    /// 100 milliseconds to a day. Default: 30 seconds. It is kept while the receiver is away, too.
    pub fn lease(mut self, length: Duration) -> Self {
        self.subscription = self.subscription.lease(length);
        self
    }

    /// Takes up so many events at once: 1 to 1,000. Default: 200.
    ///
    /// So many messages are under way at the most, one of each aggregate; the checkpoint moves once for them. As many are sent
    /// again after a crash.
    pub fn batch_events(mut self, events: usize) -> Self {
        self.subscription = self.subscription.batch_events(events);
        self
    }

    /// Sets how often a message is sent at which the receiver fails.
    ///
    /// Default: 5 times, with growing pauses. Being away is no failure, and one that is refused is sent once.
    pub fn attempts(mut self, attempts: Attempts) -> Self {
        self.subscription = self.subscription.attempts(attempts);
        self
    }

    /// Sets what becomes of a message that was refused, or has failed too often.
    ///
    /// Default: [`OnFailure::Stop`]. With [`OnFailure::Park`] later events of its aggregate wait behind it.
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.subscription = self.subscription.on_failure(on_failure);
        self
    }

    /// Names where messages come from: a URI-reference, such as `/orders`.
    ///
    /// Default: `/annals`.
    ///
    /// One for each database.
    ///
    /// # Errors
    ///
    /// As for [`Envelope::new`].
    pub fn source(mut self, source: &str) -> Result<Self, Error> {
        self.envelope = self.envelope.with_source(source)?;
        Ok(self)
    }

    /// Puts this before the types of events, such as `com.example.`. Default: nothing.
    ///
    /// # Errors
    ///
    /// As for [`Envelope::type_prefix`].
    pub fn type_prefix(mut self, prefix: &str) -> Result<Self, Error> {
        self.envelope = self.envelope.type_prefix(prefix)?;
        Ok(self)
    }

    /// Publishes events until `shutdown` is ready, which may be any future.
    ///
    /// It then waits a second at the most for what is under way, moves the checkpoint behind what was acknowledged, lets go of
    /// the lease and returns. Outages of the database and of the receiver are waited out. Dropped half-way it stops at once,
    /// and what the checkpoint does not stand behind is sent again.
    ///
    /// # Errors
    ///
    /// [`Error::Handler`]: a message was refused or has failed for good, or the receiver wants no more; its source is the
    /// [`PublishError`]. [`Error::CheckpointDiverged`]: the log was set back. [`Error::Invalid`]: the settings, or the name
    /// belongs to something else. Others: page someone.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.subscription.run_telling(shutdown, self.sending()).await
    }

    /// Publishes the events that are there now, and returns.
    ///
    /// Where somebody else runs it, it waits until they have come as far, or takes over.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn catch_up(&self) -> Result<(), Error> {
        self.subscription.catch_up_telling(self.sending()).await
    }

    /// Publishes the parked events and takes those out that are acknowledged.
    ///
    /// In their order. It takes the lease from whoever runs the relay, who then stands by.
    ///
    /// # Errors
    ///
    /// As for [`Subscription::replay_parked`].
    pub async fn replay_parked(&self) -> Result<ParkedRun, Error> {
        self.subscription.replay_parked_telling(self.sending()).await
    }

    /// Splits the relay into so many partitions: see [`Subscription::repartition`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn repartition(&self, of: u32) -> Result<(), Error> {
        self.subscription.repartition(of).await
    }

    /// Tells how far it is, and who runs it; `None` where it never ran.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn progress(&self) -> Result<Option<Progress>, Error> {
        self.subscription.progress().await
    }

    /// Waits until all events up to a position were acknowledged.
    ///
    /// By all partitions, and with none parked.
    ///
    /// # Errors
    ///
    /// As for [`Subscription::wait_until`].
    pub async fn wait_until(&self, position: Position, within: Duration) -> Result<(), Error> {
        self.subscription.wait_until(position, within).await
    }

    fn sending(&self) -> Sending<'_> {
        Sending::new(Arc::clone(&self.name), &*self.publisher, &self.envelope)
    }
}
