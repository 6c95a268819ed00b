//! What runs a projection.

mod batch;
mod rebuild;

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use self::batch::Applying;
use super::{
    Attempts, Consumers, OnFailure, ParkedRun, Progress, Projection, Start, parked,
    projection::{self, Build},
    runner::Runner,
    settings::Settings,
};
use crate::store::{CheckpointWork, Consumer, ConsumerKind, Error, Position, ProjectionStore, Transactional, Work};

/// The connection of a store's transactions.
pub(super) type ConnectionOf<S> = <<S as Transactional>::Work as Work>::Connection;

/// Runs a [`Projection`]: each event takes effect **exactly once**.
///
/// Rows and checkpoint move in one transaction.
///
/// Of all that run one name one works and the others stand by, as with a [`Subscription`](crate::Subscription): a lease with a
/// fence, and a late holder's batch is rolled back. One projector serves every store whose connection its projection takes.
/// Clones share the projection.
///
/// ```
/// # async fn example<P: annals::Projection<sqlx::SqliteConnection>>(store: annals::SqliteStore, sales: P)
/// # -> Result<(), annals::Error> {
/// use std::time::Duration;
///
/// use annals::{EventStore as _, Projector};
///
/// let projector = Projector::new(&store, sales)?;
/// projector.catch_up().await?; // or, for as long as the service runs: projector.run(shutdown)
/// projector.wait_until(store.head().await?, Duration::from_secs(1)).await?; // to read one's own writes
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing until it is run"]
pub struct Projector<S: ProjectionStore, P> {
    runner: Runner<S>,
    projection: Arc<P>,
    _connection: PhantomData<fn(ConnectionOf<S>)>,
}

/// How many events share a transaction, by default.
const BATCH_EVENTS: usize = 500;

impl<S: ProjectionStore, P: Projection<ConnectionOf<S>>> Projector<S, P> {
    /// Takes a projection to run on a store.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: its name, its version or its tables cannot be.
    pub fn new(store: &S, projection: P) -> Result<Self, Error> {
        projection::check(&projection.tables())?;
        if projection.version() == 0 {
            return Err(Error::invalid("versions of a projection begin at 1"));
        }
        let consumer = Consumer::new(projection.name())?;
        let mut settings =
            Settings::new(consumer, ConsumerKind::Projection, projection.version(), projection.selection());
        settings.batch_events = BATCH_EVENTS;
        Ok(Self {
            runner: Runner { store: store.clone(), settings },
            projection: Arc::new(projection),
            _connection: PhantomData,
        })
    }

    /// Sets where it begins, the first time it ever runs.
    ///
    /// Default: [`Start::Beginning`].
    ///
    /// A rebuild begins with the first event in any case.
    pub const fn start(mut self, start: Start) -> Self {
        self.runner.settings.start = start;
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
    /// See [`Subscription::lease`](crate::Subscription::lease).
    pub const fn lease(mut self, length: Duration) -> Self {
        self.runner.settings.lease = length;
        self
    }

    /// Applies so many events in a transaction: 1 to 1,000. Default: 500.
    ///
    /// Fewer where no more are there, and where a tenth of a second has passed: others wait for what it writes, on SQLite
    /// everybody who writes.
    pub const fn batch_events(mut self, events: usize) -> Self {
        self.runner.settings.batch_events = events;
        self
    }

    /// Sets how often an event is tried on which the projection fails.
    ///
    /// Default: 5 times, with growing pauses.
    ///
    /// Each time in a transaction of its own. While the database cannot be reached nothing counts as a try.
    pub const fn attempts(mut self, attempts: Attempts) -> Self {
        self.runner.settings.attempts = attempts;
        self
    }

    /// Sets what becomes of an event on which all attempts have failed.
    ///
    /// Default: [`OnFailure::Stop`].
    pub const fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.runner.settings.on_failure = on_failure;
        self
    }

    /// Applies events until `shutdown` is ready, which may be any future.
    ///
    /// It then commits what it has applied, lets go of the lease and returns. Outages of the database are waited out. Dropped
    /// half-way it stops at once: what was not committed is rolled back.
    ///
    /// The first time it makes the projection's tables.
    ///
    /// # Errors
    ///
    /// [`Error::Handler`]: the projection has failed for good; mend it and run again. [`Error::Schema`]: its tables cannot be
    /// made, or are those of another version: [`rebuild`](Self::rebuild), or run the newer code.
    /// [`Error::CheckpointDiverged`]: the log was set back; rebuild. [`Error::Invalid`]: the settings, or the name belongs to
    /// something else. Others: page someone.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.runner.run(shutdown, None, &mut self.applying()).await
    }

    /// Applies the events that are there now, and returns.
    ///
    /// Where somebody else runs it, it waits until they have come as far, or takes over.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn catch_up(&self) -> Result<(), Error> {
        self.runner.catch_up(&mut self.applying()).await
    }

    /// Applies the parked events again and takes those out that succeed.
    ///
    /// In their order.
    ///
    /// It takes the lease from whoever runs the projection, who then stands by; so whatever is behind is applied in order.
    /// One that fails again stays parked, with those of its aggregate.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`]: somebody else took the lease; call again. Others as for [`run`](Self::run).
    pub async fn replay_parked(&self) -> Result<ParkedRun, Error> {
        parked::replay(&self.runner, &mut self.applying()).await
    }

    /// Tells how far it is, and who runs it; `None` where it never ran.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn progress(&self) -> Result<Option<Progress>, Error> {
        super::progress::of(&self.runner.store, &self.runner.settings.consumer).await
    }

    /// Tells how far a rebuild is; `None` where there is none.
    ///
    /// Under way or interrupted.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn rebuild_progress(&self) -> Result<Option<Progress>, Error> {
        super::progress::of(&self.runner.store, &self.runner.settings.consumer.rebuild()).await
    }

    /// Waits until all events up to a position are in the rows.
    ///
    /// To read one's own writes.
    ///
    /// # Errors
    ///
    /// As for [`Consumers::wait_until`].
    pub async fn wait_until(&self, position: Position, within: Duration) -> Result<(), Error> {
        Consumers::new(&self.runner.store).wait_until(self.runner.settings.consumer.name(), position, within).await
    }

    /// Removes the projection: its views and tables, and its checkpoint.
    ///
    /// Its parked events too, and what there is of a rebuild.
    ///
    /// End its runners first: one that is still there begins anew.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`]: the database keeps a view or a table, since others depend on it. A failed write: call again.
    pub async fn remove(&self) -> Result<(), Error> {
        let consumer = &self.runner.settings.consumer;
        let store = &self.runner.store;
        let mut work = store.begin().await?;
        let shown = work.lock_checkpoint(consumer).await?;
        let rebuild = work.lock_checkpoint(&consumer.rebuild()).await?;
        if shown.is_none() && rebuild.is_none() {
            return Err(super::consumers::unknown(consumer.name()));
        }
        let builds = [&shown, &rebuild].into_iter().flatten().map(|checkpoint| checkpoint.build);
        for build in builds.filter(|build| *build > 0) {
            let build = Build::new(build, self.projection.tables());
            work.run_script(&build.hiding()).await?;
            work.run_script(&build.removal()).await?;
        }
        work.remove_checkpoint(consumer).await?;
        work.remove_checkpoint(&consumer.rebuild()).await?;
        work.commit().await?;
        super::telemetry::changed(consumer.name(), "remove");
        Ok(())
    }

    fn applying(&self) -> Applying<S, P> {
        Applying::new(self.runner.store.clone(), Arc::clone(&self.projection), false)
    }
}

impl<S: ProjectionStore, P> Clone for Projector<S, P> {
    fn clone(&self) -> Self {
        Self { runner: self.runner.clone(), projection: Arc::clone(&self.projection), _connection: PhantomData }
    }
}

impl<S: ProjectionStore, P> fmt::Debug for Projector<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projector").field("consumer", &self.runner.settings.consumer).finish_non_exhaustive()
    }
}
