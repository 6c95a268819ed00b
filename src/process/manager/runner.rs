//! Runs processes of one kind: routes events to them, and does what they decide.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::join3;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;

use super::{Call, UndoCall, handlers::Handlers, performer::Performer, router::Router, settings::Settings};
use crate::{
    command::Repository,
    domain::{Aggregate, Process, ProcessManager, event_types},
    process::{
        StepFailure,
        due::{DueRunner, Until},
        patience::Pauses,
    },
    read::{Attempts, BoxError, Start, Subscription, signal},
    store::{CheckpointStore, Consumer, Error, RecordedEvent, Selection, StepStore, TimerStore},
};

/// Runs the processes of a [`ProcessManager`].
///
/// It does two things. It *routes*: a [`Subscription`](crate::Subscription) hands every event to its process, which records
/// what it decides. And it *performs*: whatever has been decided is done, by the repositories and handlers it is given, and
/// what comes of it is recorded, until the process waits or has ended.
///
/// Any number of runners may run one kind of process, in any number of processes of the operating system. One routes for each
/// partition while the others stand by; all of them perform, each process being in the hands of one at a time, under a lease
/// with a fence. A runner that dies is followed by another when its leases lapse, and what was under way is done again with
/// the same keys.
///
/// ```no_run
/// # use annals::process::{Call, ProcessManager, ProcessRunner, StepFailure, UndoCall};
/// # async fn example<Payment: ProcessManager, Order: annals::Aggregate>(store: annals::SqliteStore)
/// # -> Result<(), annals::Error> where Order::Command: serde::de::DeserializeOwned {
/// # #[derive(Clone)] struct Bank;
/// # impl Bank {
/// #     async fn charge(&self, _: &str, _: u64) -> Result<Result<String, String>, std::io::Error> { Ok(Ok(String::new())) }
/// #     async fn refund(&self, _: &str, _: &str) -> Result<(), std::io::Error> { Ok(()) }
/// # }
/// # let (bank, shutdown) = (Bank, std::future::pending::<()>());
/// use annals::Repository;
///
/// let (charging, refunding) = (bank.clone(), bank);
/// ProcessRunner::<Payment, _>::new(&store)?
///     .commands(Repository::<Order>::new(&store))
///     .call("charge", move |call: Call<u64>| {
///         let bank = charging.clone();
///         async move {
///             match bank.charge(call.key.as_str(), call.request).await? {  // `?`: whether it has happened is not known
///                 Ok(charge) => Ok(charge),
///                 Err(declined) => Err(StepFailure::refused(declined)),     // for good
///             }
///         }
///     })
///     .undo("refund", move |undo: UndoCall<u64, String>| {
///         let bank = refunding.clone();
///         async move {
///             let charge = match undo.result {
///                 Some(charge) => charge,
///                 // Ask what has happened: by the same call with the same key.
///                 None => match bank.charge(undo.action_key.as_str(), undo.request).await? {
///                     Ok(charge) => charge,
///                     Err(_) => return Ok(()),
///                 },
///             };
///             Ok(bank.refund(undo.key.as_str(), &charge).await?)
///         }
///     })
///     .run(shutdown)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing until it is run"]
pub struct ProcessRunner<P: ProcessManager, S> {
    store: S,
    subscription: Subscription<S>,
    part: Consumer,
    repository: Repository<Process<P>>,
    handlers: Handlers,
    settings: Settings,
}

impl<P: ProcessManager, S: Clone> Clone for ProcessRunner<P, S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            subscription: self.subscription.clone(),
            part: self.part.clone(),
            repository: self.repository.clone(),
            handlers: self.handlers.clone(),
            settings: self.settings.clone(),
        }
    }
}

impl<P: ProcessManager, S: fmt::Debug> fmt::Debug for ProcessRunner<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessRunner")
            .field("process", &P::TYPE)
            .field("handlers", &self.handlers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The queue in which processes of a kind are due.
pub(super) fn queue_of(process: &str) -> Arc<str> {
    format!("process:{process}").into()
}

/// The name of the subscription that routes.
pub(super) fn router_of(process: &str) -> String {
    format!("process:{process}")
}

/// How many states are kept between two steps of a process.
const KEPT_STATES: usize = 1_000;

impl<P, S> ProcessRunner<P, S>
where
    P: ProcessManager,
    S: CheckpointStore + StepStore + TimerStore + Clone + 'static,
{
    /// Makes a runner on a store.
    ///
    /// It reads the log from its beginning: see [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the process manager reads nothing, reads its own history, or has an event whose name begins with
    /// `process-`; [`Error::Codec`]: its events are no adjacently tagged enum. Mend it.
    pub fn new(store: &S) -> Result<Self, Error> {
        let types: Vec<&str> = P::inputs().aggregate_types().collect();
        if types.is_empty() || types.contains(&P::TYPE) || P::VERSION == 0 {
            return Err(Error::invalid(format!(
                "the process manager {} has a version from 1 on, and reads events of others",
                P::TYPE
            )));
        }
        if let Some(name) = event_types::<P::Event>()?.iter().find(|name| name.starts_with("process-")) {
            return Err(Error::invalid(format!("the event {name} of {} has a name that is the runner's", P::TYPE)));
        }
        let name = router_of(P::TYPE);
        let subscription = Subscription::new(store, &name)?.select(Selection::all().aggregate_types(types)).whole_log();
        Ok(Self {
            store: store.clone(),
            subscription,
            part: Consumer::new(&name)?,
            repository: Repository::new(store).cached(KEPT_STATES),
            handlers: Handlers::default(),
            settings: Settings::default(),
        })
    }

    /// Takes commands for aggregates of this type.
    ///
    /// Each is executed there under the step's key.
    pub fn commands<A>(mut self, repository: Repository<A>) -> Self
    where
        A: Aggregate,
        A::Command: DeserializeOwned + 'static,
    {
        self.handlers.commands(repository);
        self
    }

    /// Sets the handler of this name, which calls a service.
    ///
    /// It may be called again for the same step, with the same key, and again after a crash. What it answers is recorded
    /// before anything follows from it. An error is taken to say that it may have happened; see [`StepFailure`] for others.
    pub fn call<R, T, H, F>(mut self, name: impl Into<String>, handler: H) -> Self
    where
        R: DeserializeOwned + Clone + Send + Sync + 'static,
        T: Serialize + 'static,
        H: Fn(Call<R>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, StepFailure>> + Send + 'static,
    {
        self.handlers.call(name.into(), handler);
        self
    }

    /// Sets the handler of this name, which undoes a call.
    ///
    /// `R` is what the call was asked, `T` what it answered.
    pub fn undo<R, T, H, F>(mut self, name: impl Into<String>, handler: H) -> Self
    where
        R: DeserializeOwned + Clone + Send + Sync + 'static,
        T: DeserializeOwned + 'static,
        H: Fn(UndoCall<R, T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), StepFailure>> + Send + 'static,
    {
        self.handlers.undo(name.into(), handler);
        self
    }

    /// Says how long the service behind a handler keeps its keys.
    ///
    /// Default: for as long as a process takes.
    ///
    /// A step that is older is called with [`Call::is_key_old`] set, and a warning: the service may take a repetition for a
    /// new request by then. What undoes it is told by [`UndoCall::is_key_old`].
    pub fn keys_kept_for(mut self, handler: impl Into<String>, time: Duration) -> Self {
        self.handlers.keys_kept_for(handler.into(), time);
        self
    }

    /// Sets where it begins to read, the first time it ever runs.
    ///
    /// Default: [`Start::Beginning`].
    pub fn start(mut self, start: Start) -> Self {
        self.subscription = self.subscription.start(start);
        self
    }

    /// Routes to one of several partitions of the processes, counted from 0.
    ///
    /// Each is routed to by one runner at a time, so several route at once. All of them perform for all. Into how many the
    /// processes are split is kept, as for a [`Subscription::partition`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: `partition` is to be less than `of`, and `of` 1,024 at the most.
    pub fn partition(mut self, partition: u32, of: u32) -> Result<Self, Error> {
        self.part = self.part.partition_of(partition, of)?;
        self.subscription = self.subscription.partition(partition, of)?;
        Ok(self)
    }

    /// Splits the routing into so many partitions. Whoever routes loses its lease.
    ///
    /// All go on where the last of the old ones stood: what was taken by its process is not taken again.
    ///
    /// # Errors
    ///
    /// As for [`Subscription::repartition`].
    pub async fn repartition(&self, of: u32) -> Result<(), Error> {
        self.subscription.repartition(of).await
    }

    /// Names the runner, for those who look: 1 to 200 bytes.
    ///
    /// Default: the number of the process.
    pub fn owner(mut self, owner: impl Into<Arc<str>>) -> Self {
        self.settings.owner = owner.into();
        self.subscription = self.subscription.owner(Arc::clone(&self.settings.owner));
        self
    }

    /// Sets how long a runner that is silent keeps its leases.
    ///
    /// 100 milliseconds to a day; default: 30 seconds.
    pub fn lease(mut self, length: Duration) -> Self {
        self.settings.lease = length;
        self.subscription = self.subscription.lease(length);
        self
    }

    /// Sets how many processes are worked on at once: 1 to 1,000. Default: 16.
    pub const fn concurrency(mut self, processes: usize) -> Self {
        self.settings.concurrency = processes;
        self
    }

    /// Sets how often a process that cannot go on is tried.
    ///
    /// And the pauses between: the first, and what they grow to.
    ///
    /// Default: 20 times, half a second, 5 minutes; together a little over an hour. Then it is parked:
    /// [`Processes::list_parked`](super::Processes::list_parked).
    pub const fn attempts(mut self, most: u32, first_pause: Duration, longest_pause: Duration) -> Self {
        self.settings.attempts = most;
        self.settings.pauses = Pauses::new(first_pause, longest_pause);
        self
    }

    /// Sets how long a call may take; after that its outcome is unknown.
    ///
    /// Default: 30 seconds.
    pub const fn call_timeout(mut self, within: Duration) -> Self {
        self.settings.call_timeout = within;
        self
    }

    /// Sets how often it looks for what is due. Default: a second.
    ///
    /// Where nothing wakes it sooner.
    pub const fn poll(mut self, every: Duration) -> Self {
        self.settings.poll = every;
        self
    }

    /// Sets how long it waits for steps under way when it is told to stop.
    ///
    /// Up to an hour; default: 30 seconds.
    ///
    /// What has not come to its end by then is left, and done again by another runner when the lease has lapsed.
    pub const fn drain(mut self, within: Duration) -> Self {
        self.settings.drain = within;
        self
    }

    /// Sets how long the records of steps are kept after a process has ended.
    ///
    /// Default: 30 days.
    pub const fn keep_steps_for(mut self, time: Duration) -> Self {
        self.settings.keep_steps_for = time;
        self
    }

    /// Sets how often an event is tried that a process cannot take.
    ///
    /// After that the runner ends.
    ///
    /// Default: 5 times, with growing pauses.
    pub fn input_attempts(mut self, attempts: Attempts) -> Self {
        self.subscription = self.subscription.attempts(attempts);
        self
    }

    /// Routes and performs until `shutdown` is ready, which may be any future.
    ///
    /// It then begins nothing more, waits for the steps under way, lets go of its leases and returns. Outages of the database
    /// are waited out. Dropped half-way it stops at once, and what was under way is done again when the leases have lapsed.
    ///
    /// # Errors
    ///
    /// [`Error::Handler`]: an event cannot be taken by its process, such as where it does not fit, where the reaction makes
    /// no sense, or where newer code has touched the process; mend or deploy, and run again. [`Error::Invalid`]: the
    /// settings. Others as for [`Subscription::run`].
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.settings.check()?;
        let (stopper, told) = signal();
        let runner = self.due_runner();
        let routed = async {
            let ended = self.route(told.up(), &runner.woken).await;
            stopper.raise();
            ended
        };
        let performed = async {
            let ended = runner.run(told.clone(), Until::Stopped).await;
            stopper.raise();
            ended
        };
        let stopped = async {
            told.unless(shutdown).await;
            stopper.raise();
        };
        let (routed, performed, ()) = join3(routed, performed, stopped).await;
        routed.and(performed.map(drop))
    }

    /// Does everything that can be done now, and returns.
    ///
    /// Events that are there are routed, and what is due is performed.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn catch_up(&self) -> Result<(), Error> {
        self.settings.check()?;
        let runner = self.due_runner();
        let (_stopper, told) = signal();
        loop {
            let router = self.router();
            self.subscription.catch_up_in_batches(|events| route(&router, events, &runner.woken)).await?;
            if runner.run(told.clone(), Until::Idle).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn route(&self, stopped: impl Future<Output = ()> + Send, woken: &Notify) -> Result<(), Error> {
        let router = self.router();
        self.subscription.run_in_batches(stopped, |events| route(&router, events, woken)).await
    }

    fn router(&self) -> Router<P> {
        Router {
            repository: self.repository.clone(),
            timers: Arc::new(self.store.clone()),
            inputs: Arc::new(P::inputs()),
            queue: queue_of(P::TYPE),
            part: self.part.clone(),
            concurrency: self.settings.concurrency,
        }
    }

    fn due_runner(&self) -> DueRunner<Performer<P>> {
        let Settings { owner, lease, concurrency, attempts, poll, drain, .. } = self.settings.clone();
        DueRunner {
            timers: Arc::new(self.store.clone()),
            tend: Arc::new(self.performer()),
            queue: queue_of(P::TYPE),
            owner,
            lease,
            concurrency,
            attempts,
            poll,
            drain,
            woken: Arc::default(),
        }
    }

    fn performer(&self) -> Performer<P> {
        Performer {
            repository: self.repository.clone(),
            steps: Arc::new(self.store.clone()),
            timers: Arc::new(self.store.clone()),
            handlers: Arc::new(self.handlers.clone()),
            settings: Arc::new(self.settings.clone()),
        }
    }
}

/// Routes events, and says in this process that something may be due.
async fn route<P: ProcessManager>(
    router: &Router<P>,
    events: Vec<RecordedEvent>,
    woken: &Notify,
) -> Result<(), BoxError> {
    router.route(events).await?;
    woken.notify_one();
    Ok(())
}
