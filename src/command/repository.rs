//! Aggregates by their ids.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

use super::{Execute, Executed, Outcome, Retry, cache::Cache, forestall, snapshots::Snapshots};
use crate::{
    domain::{Aggregate, Id, Upcasters, without_data},
    store::{
        Error, EventRef, EventStore, IdempotencyKey, LoadQuery, LoadVisitor, SnapshotRef, StreamQuery, StreamRead,
        telemetry,
    },
};

/// Loads aggregates of one type and runs commands on them.
///
/// Cheap to clone, and shared between tasks whatever `A` is.
///
/// ```
/// # async fn example<Order: annals::Aggregate>(command: Order::Command) -> Result<(), Box<dyn std::error::Error>> {
/// use annals::{Id, IdempotencyKey, Repository, SqliteStore};
///
/// let store = SqliteStore::open_in_memory().await?;
/// let orders = Repository::<Order>::new(&store);
/// let id = Id::natural("537434");
/// let done = orders.execute(id, &command).idempotency_key(IdempotencyKey::new("request-1")?).await?;
/// let order = orders.load(id).await?;
/// assert_eq!(order.version, done.version);
/// # Ok(())
/// # }
/// ```
pub struct Repository<A: Aggregate> {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) upcasters: Arc<Upcasters>,
    pub(super) retry: Retry,
    pub(super) cache: Option<Arc<Cache<A>>>,
    snapshots: Option<Snapshots<A>>,
    snapshot_version: u32,
}

impl<A: Aggregate> Repository<A> {
    /// Makes a repository on a store, which is shared and not copied.
    pub fn new<S: EventStore + Clone + 'static>(store: &S) -> Self {
        Self {
            store: Arc::new(store.clone()),
            upcasters: Arc::new(A::upcasters()),
            retry: Retry::default(),
            cache: None,
            snapshots: None,
            snapshot_version: 1,
        }
    }

    /// Sets how commands are retried. See [`Retry`] for the defaults.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Keeps the states of this many aggregates between commands. Default: 0.
    ///
    /// Those that were used last.
    ///
    /// A command on an aggregate whose state is kept needs no read. What is kept may be old, if another process writes:
    /// the database then answers with a conflict, the rest of the history is read, and the command is decided again; a
    /// rejection that no key asks to be recorded is confirmed by a read before it is returned. Commands that wait for one
    /// aggregate are decided one after the other and share a commit. Clones share what is kept.
    #[must_use]
    pub fn cached(mut self, aggregates: usize) -> Self {
        self.cache = NonZeroUsize::new(aggregates).map(|aggregates| Arc::new(Cache::new(aggregates)));
        self
    }

    /// Keeps a snapshot of each aggregate every so many events. Default: 0, never.
    ///
    /// It is taken when a command takes the aggregate past a multiple of that number.
    ///
    /// Commands that run [`within`](Execute::within) a transaction keep none.
    ///
    /// Loading then reads the last snapshot and what came after it, so it does not grow with the history. Snapshots are
    /// disposable: one that is damaged, of another shape or of another past is passed over, and replaced by the next.
    /// Worth it from some hundred events on.
    #[must_use]
    pub fn snapshot_every(mut self, events: u64) -> Self
    where
        A: Serialize + DeserializeOwned,
    {
        self.snapshots = NonZeroU64::new(events).map(Snapshots::every);
        self
    }

    /// Sets the shape of the state in snapshots, from 1, the default.
    ///
    /// Raise it with every change to the state or to
    /// `evolve`: older snapshots are then passed over.
    #[must_use]
    pub const fn snapshot_version(mut self, version: u32) -> Self {
        self.snapshot_version = if version == 0 { 1 } else { version };
        self
    }

    /// Loads an aggregate. One without events is its default at version 0.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`]: an event does not fit this code; [`Error::Backend`] with
    /// [`Fault::Corrupt`](crate::Fault::Corrupt): an event is damaged or missing; else a failed read, try again.
    pub async fn load(&self, id: Id<A>) -> Result<Loaded<A>, Error> {
        self.load_answered(id, None).await.map(|(loaded, _)| loaded)
    }

    /// Reads what came after a state that is known.
    pub(crate) async fn refresh(&self, id: Id<A>, known: Loaded<A>) -> Result<Loaded<A>, Error> {
        let from = known.version;
        let (loaded, read) = self.fold(Some(known), &StreamQuery::of(id).from_sequence(from + 1)).await?;
        // The database was set back behind our back: what was known is of another history.
        if read.version < from { self.load(id).await } else { Ok(loaded) }
    }

    /// Loads an aggregate as it was at a version.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: there is no such version yet; else as for [`load`](Self::load).
    pub async fn load_at(&self, id: Id<A>, version: u64) -> Result<Loaded<A>, Error> {
        let (loaded, read) = self.fold(None, &StreamQuery::of(id).to_sequence(version)).await?;
        if loaded.version < version {
            return Err(Error::invalid(format!(
                "{} {id} has no version {version}, it is at version {}",
                A::TYPE,
                read.version
            )));
        }
        Ok(loaded)
    }

    /// Loads an aggregate as it was at a time.
    ///
    /// After its longest history recorded up to then.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub async fn load_until(&self, id: Id<A>, time: DateTime<Utc>) -> Result<Loaded<A>, Error> {
        self.fold(None, &StreamQuery::of(id).recorded_until(time)).await.map(|(loaded, _)| loaded)
    }

    /// Replays an aggregate's history: visits each event with the state right after it.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub async fn replay(&self, id: Id<A>, mut visit: impl FnMut(Step<'_, A>) + Send) -> Result<Loaded<A>, Error> {
        let mut fold = Fold::new(&self.upcasters, None);
        self.store
            .read_stream(&StreamQuery::of(id), &mut |stored| {
                let event = fold.step(stored)?;
                visit(Step { stored, event: &event, state: &fold.loaded.state });
                Ok(())
            })
            .await?;
        Ok(fold.loaded)
    }

    /// Runs a command, when what it returns is awaited.
    ///
    /// Loads, decides, appends, and retries what can be retried safely.
    #[must_use = "a command runs when it is awaited"]
    pub fn execute<'a>(&'a self, id: Id<A>, command: &'a A::Command) -> Execute<'a, A> {
        Execute::new(self, id, command)
    }

    /// Tells whether the command under a key was carried out, and what the answer was.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`]: the stored rejection does not fit this code; else a failed read, try again.
    pub async fn outcome(&self, id: Id<A>, key: &IdempotencyKey) -> Result<Option<Outcome<A::Rejection>>, Error> {
        let receipt = self.store.receipt(id.uuid(), key).await?;
        receipt.map(|receipt| forestall::outcome::<A>(&receipt)).transpose()
    }

    /// Makes sure that the command under a key is not carried out from now on.
    ///
    /// Tells how it ended if it was.
    ///
    /// What is on its way, or is sent later, finds the key taken: [`Error::KeyReused`]. For whoever undoes a command whose
    /// outcome is not known: after this it is.
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`] and what [`is_retryable`](Error::is_retryable): call again.
    pub async fn forestall(&self, id: Id<A>, key: &IdempotencyKey) -> Result<Outcome<A::Rejection>, Error> {
        forestall::forestall(self, id, key).await
    }

    pub(super) fn read_rejection(json: &str) -> Result<A::Rejection, Error> {
        serde_json::from_str(json).map_err(|error| {
            Error::codec(format!("a stored rejection of {} cannot be read", A::TYPE), without_data(error))
        })
    }

    /// Loads from the snapshot on, if snapshots are kept; asks first for the receipt under a key.
    pub(super) async fn load_answered(
        &self,
        id: Id<A>,
        receipt_of: Option<IdempotencyKey>,
    ) -> Result<(Loaded<A>, StreamRead), Error> {
        let Some(snapshots) = &self.snapshots else {
            return self.fold(None, &StreamQuery { receipt_of, ..StreamQuery::of(id) }).await;
        };
        let mut fold = Fold { snapshots: Some(snapshots), ..Fold::new(&self.upcasters, None) };
        let query = LoadQuery { aggregate_id: id.uuid(), snapshot_version: self.snapshot_version, receipt_of };
        let read = self.store.load(&query, &mut fold).await?;
        Ok((fold.loaded, read))
    }

    /// Keeps a snapshot after a command that recorded events, if one is due. Going on without one is no failure.
    pub(super) async fn snapshot_after(&self, id: Id<A>, executed: &Executed) {
        let is_due = |snapshots: &&Snapshots<A>| snapshots.is_due(executed.first_sequence - 1, executed.version);
        if let Some(snapshots) = self.snapshots.as_ref().filter(is_due)
            && let Err(error) = self.take_snapshot(id, snapshots).await
        {
            telemetry::snapshot_not_kept(&error);
        }
    }

    /// Takes a snapshot of what is in the database: never of events that are still on their way there.
    async fn take_snapshot(&self, id: Id<A>, snapshots: &Snapshots<A>) -> Result<(), Error> {
        let loaded = self.load(id).await?;
        let unfit = |source| Error::codec(format!("a state of {} cannot be written", A::TYPE), source);
        let state = (snapshots.write)(&loaded.state).map_err(unfit)?;
        let (snapshot_version, sequence) = (self.snapshot_version, loaded.version);
        let snapshot = SnapshotRef { aggregate_id: id.uuid(), snapshot_version, sequence, state: &state };
        self.store.save_snapshot(snapshot).await
    }

    /// Folds what a query finds onto a state that is known, or onto none.
    pub(super) async fn fold(
        &self,
        known: Option<Loaded<A>>,
        query: &StreamQuery,
    ) -> Result<(Loaded<A>, StreamRead), Error> {
        let mut fold = Fold::new(&self.upcasters, known);
        let read = self.store.read_stream(query, &mut |stored| fold.step(stored).map(drop)).await?;
        Ok((fold.loaded, read))
    }
}

/// Folds stored events into a state, one by one.
pub(super) struct Fold<'u, A> {
    pub(super) loaded: Loaded<A>,
    upcasters: &'u Upcasters,
    snapshots: Option<&'u Snapshots<A>>,
}

impl<'u, A: Aggregate> Fold<'u, A> {
    /// Begins with a state that is known, or with none.
    pub(super) fn new(upcasters: &'u Upcasters, known: Option<Loaded<A>>) -> Self {
        Self { loaded: known.unwrap_or_else(|| Loaded { state: A::default(), version: 0 }), upcasters, snapshots: None }
    }

    /// Decodes the next event, folds it and returns it.
    pub(super) fn step(&mut self, stored: EventRef<'_>) -> Result<A::Event, Error> {
        if stored.aggregate_type != A::TYPE {
            let (id, found) = (stored.aggregate_id, stored.aggregate_type);
            return Err(Error::invalid(format!("aggregate {id} is of type {found}, not {}", A::TYPE)));
        }
        let event = stored.decode(self.upcasters)?;
        self.loaded.state.evolve(&event);
        self.loaded.version = stored.sequence;
        Ok(event)
    }
}

impl<A: Aggregate> LoadVisitor for Fold<'_, A> {
    fn visit_snapshot(&mut self, snapshot: SnapshotRef<'_>) -> bool {
        let state = self.snapshots.and_then(|snapshots| (snapshots.read)(snapshot.state).ok());
        let Some(state) = state else {
            return false;
        };
        self.loaded = Loaded { state, version: snapshot.sequence };
        true
    }

    fn visit_event(&mut self, event: EventRef<'_>) -> Result<(), Error> {
        self.step(event).map(drop)
    }
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            upcasters: Arc::clone(&self.upcasters),
            retry: self.retry,
            cache: self.cache.clone(),
            snapshots: self.snapshots,
            snapshot_version: self.snapshot_version,
        }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("aggregate", &A::TYPE).field("store", &self.store).finish_non_exhaustive()
    }
}

/// Holds an aggregate as it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<A> {
    /// The state: all events up to `version`, folded.
    pub state: A,
    /// The sequence of the last event folded; 0 where there is none.
    pub version: u64,
}

impl<A> Loaded<A> {
    /// Tells whether anything has happened to the aggregate.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.version > 0
    }
}

/// Shows one step of a replay.
#[derive(Debug)]
pub struct Step<'s, A: Aggregate> {
    /// The event as it is stored; its sequence is the version.
    pub stored: EventRef<'s>,
    /// The event, decoded and lifted to today's shape.
    pub event: &'s A::Event,
    /// The state right after the event.
    pub state: &'s A,
}
