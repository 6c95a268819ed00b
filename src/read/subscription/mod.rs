//! Subscriptions: a handler that is told every event.

mod acks;
mod batches;
mod telling;

use std::{sync::Arc, time::Duration};

pub(crate) use self::batches::{TellBatch, ToldBatch};
use self::{
    batches::{Batches, Whole},
    telling::Telling,
};
use super::{
    Attempts, BoxError, Consumers, OnFailure, ParkedRun, Progress, Start, parked, runner::Runner, settings::Settings,
};
use crate::store::{CheckpointStore, Consumer, ConsumerKind, Error, Position, RecordedEvent, Selection};

/// Tells a handler every event of the log, in order, and follows it.
///
/// Named and durable: it catches up with what was recorded, follows on without a seam, and after a restart goes on where
/// it stood. Each event is told **at least once**, in the order of the log: after a crash, or where a lease was lost, the
/// events since the checkpoint was last moved are told again, so a handler has to bear that ([`RecordedEvent::name`] is the
/// event's name for ever). Effects in the store's own database are had exactly once by a [`Projector`](crate::Projector).
///
/// Of all that run one name, in however many processes, one works and the others stand by. It holds a lease; when it dies
/// another takes over as soon as the lease has lapsed, and what the late holder still does to the checkpoint is refused.
///
/// ```
/// # async fn example(store: annals::SqliteStore) -> Result<(), Box<dyn std::error::Error>> {
/// use annals::{Selection, Subscription};
///
/// let shutdown = async { /* any future: a signal, a channel, a token */ };
/// Subscription::new(&store, "receipt-mail")?
///     .select(Selection::all().aggregate_types(["order"]).event_types(["order-paid"]))
///     .run(shutdown, |event| async move {
///         println!("{} of {}", event.event_type(), event.aggregate_id());
///         Ok::<(), std::io::Error>(())
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is run"]
pub struct Subscription<S> {
    runner: Runner<S>,
    is_at_most_once: bool,
    handler_timeout: Option<Duration>,
}

#[expect(
    clippy::manual_async_fn,
    reason = "that a future is Send is declared where handlers come in: found out at the caller's, it fails for boxed errors"
)]
impl<S: CheckpointStore + Clone + 'static> Subscription<S> {
    /// Names a subscription: 1 to 200 visible ASCII characters.
    ///
    /// Kept with its checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: choose another name.
    pub fn new(store: &S, name: &str) -> Result<Self, Error> {
        let settings = Settings::new(Consumer::new(name)?, ConsumerKind::Subscription, 0, Selection::all());
        Ok(Self { runner: Runner { store: store.clone(), settings }, is_at_most_once: false, handler_timeout: None })
    }

    /// Tells these events only. Default: all.
    ///
    /// Not kept with the checkpoint: what another selection has passed over stays passed over.
    pub fn select(mut self, selection: Selection) -> Self {
        self.runner.settings.selection = selection;
        self
    }

    /// Sets where it begins, the first time it ever runs.
    ///
    /// Default: [`Start::Beginning`].
    pub const fn start(mut self, start: Start) -> Self {
        self.runner.settings.start = start;
        self
    }

    /// Runs one of several partitions, counted from 0.
    ///
    /// Each aggregate belongs to one, and keeps its order.
    ///
    /// Each partition is run by one runner at a time, so several work at once; a process may run several of them, or try to
    /// run all. Into how many the name is split is kept: see [`repartition`](Self::repartition).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: `partition` is to be less than `of`, and `of` 1,024 at the most.
    pub fn partition(mut self, partition: u32, of: u32) -> Result<Self, Error> {
        let settings = &mut self.runner.settings;
        settings.consumer = settings.consumer.clone().partition_of(partition, of)?;
        Ok(self)
    }

    /// Tells a partition the events of all aggregates, not of its share alone: the handler chooses.
    ///
    /// For handlers that are split by something else than the aggregate. Nothing can be parked.
    pub(crate) const fn whole_log(mut self) -> Self {
        self.runner.settings.is_whole_log = true;
        self
    }

    /// Names the runner, for those who look.
    ///
    /// 1 to 200 bytes. Default: the number of the process.
    pub fn owner(mut self, owner: impl Into<Arc<str>>) -> Self {
        self.runner.settings.owner = owner.into();
        self
    }

    /// Sets how long a runner that is silent keeps the lease.
    ///
    /// 100 milliseconds to a day. Default: 30 seconds.
    ///
    /// So long it takes others to take over when it dies. Clocks of several machines should agree to a fraction of it;
    /// where they do not, the lease changes hands too often or too late, and nothing else is wrong.
    pub const fn lease(mut self, length: Duration) -> Self {
        self.runner.settings.lease = length;
        self
    }

    /// Moves the checkpoint once for so many events: 1 to 1,000. Default: 100.
    ///
    /// Sooner where no more are there, and where a second has passed. As many are told again after a crash.
    pub const fn batch_events(mut self, events: usize) -> Self {
        self.runner.settings.batch_events = events;
        self
    }

    /// Sets how often an event is tried on which the handler fails.
    ///
    /// Default: 5 times, with growing pauses.
    ///
    /// A handler whose error is that of a store that is away, or has it beneath, has not failed: it is called again until
    /// the store is back.
    pub const fn attempts(mut self, attempts: Attempts) -> Self {
        self.runner.settings.attempts = attempts;
        self
    }

    /// Sets what becomes of an event on which all attempts have failed.
    ///
    /// Default: [`OnFailure::Stop`].
    ///
    /// With [`OnFailure::Park`] an event at which as many runners in a row were killed or have crashed is parked, too.
    pub const fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.runner.settings.on_failure = on_failure;
        self
    }

    /// Sets how long the handler may take for one event, or one batch.
    ///
    /// Default: as long as it likes. After that it is dropped, and has failed. Without it one that hangs keeps the lease, and shows by its lag alone.
    pub const fn handler_timeout(mut self, within: Duration) -> Self {
        self.handler_timeout = Some(within);
        self
    }

    /// Tells each event **at most once**.
    ///
    /// The checkpoint is moved before an event is told, instead of after.
    ///
    /// What a crash interrupts is not told again, and no event is tried twice: one that has failed is parked, or ends the
    /// runner, as [`on_failure`](Self::on_failure) says. One write for each event. [`wait_until`](Self::wait_until) then waits
    /// until an event is told, not until it is handled.
    pub const fn at_most_once(mut self) -> Self {
        self.is_at_most_once = true;
        self
    }

    /// Tells events until `shutdown` is ready, which may be any future.
    ///
    /// It then finishes the event it is at, moves the checkpoint, lets go of the lease and returns. Outages of the database
    /// are waited out. Dropped half-way it stops at once, and the events since the last move of the checkpoint are told
    /// again.
    ///
    /// # Errors
    ///
    /// [`Error::Handler`]: the handler has failed for good; mend it and run again. [`Error::CheckpointDiverged`]: the log was
    /// set back. [`Error::Invalid`]: the settings, or the name belongs to something else. Others: page someone.
    pub fn run<H, F, E>(
        &self,
        shutdown: impl Future<Output = ()> + Send,
        handler: H,
    ) -> impl Future<Output = Result<(), Error>> + Send
    where
        H: FnMut(RecordedEvent) -> F + Send,
        F: Future<Output = Result<(), E>> + Send,
        E: Into<BoxError>,
    {
        async move { self.runner.run(shutdown, None, &mut self.telling(handler)).await }
    }

    /// Tells the events that are there now, and returns.
    ///
    /// Where somebody else runs it, it waits until they have come as far, or takes over.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn catch_up<H, F, E>(&self, handler: H) -> impl Future<Output = Result<(), Error>> + Send
    where
        H: FnMut(RecordedEvent) -> F + Send,
        F: Future<Output = Result<(), E>> + Send,
        E: Into<BoxError>,
    {
        async move { self.runner.catch_up(&mut self.telling(handler)).await }
    }

    /// Tells events in batches until `shutdown` is ready.
    ///
    /// As [`run`](Self::run), with many at once: a batch has as many events as [`batch_events`](Self::batch_events) says, in the order of the log; fewer where no more
    /// are there. The checkpoint moves behind a batch as a whole. Where the handler fails, the events of the batch are told
    /// again one by one, each in a batch of its own, so that the one that fails is found.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run). [`Error::Invalid`]: what is told at most once is told one by one.
    pub fn run_in_batches<H, F, E>(
        &self,
        shutdown: impl Future<Output = ()> + Send,
        handler: H,
    ) -> impl Future<Output = Result<(), Error>> + Send
    where
        H: FnMut(Vec<RecordedEvent>) -> F + Send,
        F: Future<Output = Result<(), E>> + Send,
        E: Into<BoxError>,
    {
        let handler = Whole { handler, handler_timeout: self.handler_timeout };
        async move { self.run_telling(shutdown, handler).await }
    }

    /// Tells the events that are there now in batches, and returns.
    ///
    /// Where somebody else runs it, it waits until they have come as far, or takes over.
    ///
    /// # Errors
    ///
    /// As for [`run_in_batches`](Self::run_in_batches).
    pub fn catch_up_in_batches<H, F, E>(&self, handler: H) -> impl Future<Output = Result<(), Error>> + Send
    where
        H: FnMut(Vec<RecordedEvent>) -> F + Send,
        F: Future<Output = Result<(), E>> + Send,
        E: Into<BoxError>,
    {
        let handler = Whole { handler, handler_timeout: self.handler_timeout };
        async move { self.catch_up_telling(handler).await }
    }

    /// Tells batches to who can say how far it has come in each.
    pub(crate) async fn run_telling(
        &self,
        shutdown: impl Future<Output = ()> + Send,
        tell: impl TellBatch,
    ) -> Result<(), Error> {
        self.runner.run(shutdown, None, &mut self.batches(tell)?).await
    }

    pub(crate) async fn catch_up_telling(&self, tell: impl TellBatch) -> Result<(), Error> {
        self.runner.catch_up(&mut self.batches(tell)?).await
    }

    pub(crate) async fn replay_parked_telling(&self, tell: impl TellBatch) -> Result<ParkedRun, Error> {
        parked::replay(&self.runner, &mut self.batches(tell)?).await
    }

    /// Tells the parked events again and takes those out that are handled.
    ///
    /// In their order.
    ///
    /// It takes the lease from whoever runs the subscription, who then stands by; so whatever is behind is told in order.
    /// One that fails again stays parked, with those of its aggregate.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`]: somebody else took the lease; call again. Others as for [`run`](Self::run).
    pub fn replay_parked<H, F, E>(&self, handler: H) -> impl Future<Output = Result<ParkedRun, Error>> + Send
    where
        H: FnMut(RecordedEvent) -> F + Send,
        F: Future<Output = Result<(), E>> + Send,
        E: Into<BoxError>,
    {
        async move { parked::replay(&self.runner, &mut self.telling(handler)).await }
    }

    /// Splits the subscription into so many partitions.
    ///
    /// Whoever runs it loses its lease.
    ///
    /// All go on where the last of the old ones stood, so some events are told again, discarded ones among them. Runners of
    /// the old partitions end with [`Error::Invalid`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: 1 to 1,024 partitions; or there is no such subscription.
    pub async fn repartition(&self, of: u32) -> Result<(), Error> {
        let consumer = self.runner.settings.consumer.clone().partition_of(0, of)?;
        if self.runner.store.repartition(consumer.name(), of).await? {
            super::telemetry::changed(consumer.name(), "repartition");
            return Ok(());
        }
        Err(super::consumers::unknown(consumer.name()))
    }

    /// Tells how far it is, and who runs it; `None` where it never ran.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn progress(&self) -> Result<Option<Progress>, Error> {
        super::progress::of(&self.runner.store, &self.runner.settings.consumer).await
    }

    /// Waits until all events up to a position were handled.
    ///
    /// By all partitions, and with none parked.
    ///
    /// # Errors
    ///
    /// As for [`Consumers::wait_until`].
    pub async fn wait_until(&self, position: Position, within: Duration) -> Result<(), Error> {
        Consumers::new(&self.runner.store).wait_until(self.runner.settings.consumer.name(), position, within).await
    }

    fn telling<H>(&self, handler: H) -> Telling<'_, S, H> {
        let Self { is_at_most_once, handler_timeout, .. } = *self;
        Telling { store: &self.runner.store, handler, is_at_most_once, handler_timeout }
    }

    fn batches<T: TellBatch>(&self, tell: T) -> Result<Batches<'_, S, T>, Error> {
        if self.is_at_most_once {
            return Err(Error::invalid("what is told at most once is told one by one"));
        }
        Ok(Batches { store: &self.runner.store, tell })
    }
}
