//! All consumers of a store, by name: for whoever watches and tends them.

use std::{pin::pin, time::Duration};

use futures_util::future::select;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Progress, Reset, Start,
    parked::Pages,
    progress,
    settings::{process_owner, run_of},
    telemetry,
};
use crate::store::{
    Checkpoint, CheckpointStore, Claim, Claimed, Error, Lease, ParkedChoice, ParkedEvent, ParkedQuery, Position,
    Renewal, check_moves,
};

/// Looks after the subscriptions and projections of a store, by their names.
///
/// ```
/// # async fn example(store: annals::SqliteStore) -> Result<(), annals::Error> {
/// for progress in annals::Consumers::new(&store).list().await? {
///     println!("{}: {} events behind, {:?}", progress.consumer, progress.lag_events, progress.state);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Consumers<S> {
    store: S,
}

/// The first pause between two looks at a checkpoint that is waited for, and the longest: others may move it.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// The most parked events that are read at once.
const PARKED_PAGE: u32 = 1_000;

/// So many events are discarded between two signs of life.
const DISCARDED_PAGE: u32 = 100;

/// How long a lease is held for one write.
const SHORT_LEASE: Duration = Duration::from_secs(10);

impl<S: CheckpointStore + Clone> Consumers<S> {
    /// Looks at this store.
    pub fn new(store: &S) -> Self {
        Self { store: store.clone() }
    }

    /// Tells how far all consumers are, by name and partition.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn list(&self) -> Result<Vec<Progress>, Error> {
        self.progress_of(self.store.checkpoints(None).await?).await
    }

    /// Tells how far a consumer is, each of its partitions; empty where it never ran.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn progress(&self, name: &str) -> Result<Vec<Progress>, Error> {
        self.progress_of(self.store.checkpoints(Some(name)).await?).await
    }

    async fn progress_of(&self, checkpoints: Vec<Checkpoint>) -> Result<Vec<Progress>, Error> {
        let mut all = Vec::with_capacity(checkpoints.len());
        for checkpoint in checkpoints {
            all.push(progress::of_checkpoint(&self.store, checkpoint).await?);
        }
        Ok(all)
    }

    /// Waits until a consumer has handled every event up to a position.
    ///
    /// To read one's own writes.
    ///
    /// All its partitions, and no event up to there is parked. Woken at once where the same store runs it; else it looks,
    /// every 100 milliseconds at the latest.
    ///
    /// # Errors
    ///
    /// [`Error::Behind`] after the time given: wait again, or see what holds it up. [`Error::Invalid`]: there is still no such
    /// consumer then. A failed read.
    pub async fn wait_until(&self, name: &str, position: Position, within: Duration) -> Result<(), Error> {
        // None: beyond the end of time.
        let deadline = Instant::now().checked_add(within);
        let (mut seen, mut pause) = (0, LOOK_EVERY.0);
        loop {
            let reached = self.reached(name).await?;
            if reached.is_some_and(|reached| reached >= position) {
                return Ok(());
            }
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(reached.map_or_else(
                    || unknown(name),
                    |reached| Error::Behind { consumer: name.to_owned(), awaited: position, reached },
                ));
            }
            // Whichever comes first: it looks once more.
            let _ = select(pin!(self.store.moved(&mut seen)), pin!(sleep(pause.min(left)))).await;
            pause = (pause * 2).min(LOOK_EVERY.1);
        }
    }

    /// Up to where everything was handled; `None` where there is no such consumer.
    async fn reached(&self, name: &str) -> Result<Option<Position>, Error> {
        // In this order: what a checkpoint has passed by parking it is parked by then.
        let checkpoints = self.store.checkpoints(Some(name)).await?;
        let query = ParkedQuery { name: name.to_owned(), aggregate_id: None, after: Position::START, limit: 1 };
        let parked = self.store.parked(&query).await?.pop();
        let Some(first) = checkpoints.first() else {
            return Ok(None);
        };
        let is_whole = checkpoints.len() == first.consumer.of() as usize;
        let least = checkpoints.iter().map(|checkpoint| checkpoint.cursor.position).min().filter(|_| is_whole);
        // Everything before the parked event was handled; how far that is, only the store could tell.
        let before_parked = parked.map(|parked| Position::new(parked.position.get().saturating_sub(1)));
        let reached = least.unwrap_or(Position::START);
        Ok(Some(before_parked.map_or(reached, |before| before.min(reached))))
    }

    /// Pauses a consumer: whoever runs it loses the lease at once, and nobody gets it.
    ///
    /// Runners stand by; what they had under way is told again.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: there is no such consumer. A failed write: call again.
    pub async fn pause(&self, name: &str) -> Result<(), Error> {
        self.store.set_paused(name, true).await?.then(|| telemetry::changed(name, "pause")).ok_or_else(|| unknown(name))
    }

    /// Lets a paused consumer run again. Runners that stand by go on within a second.
    ///
    /// # Errors
    ///
    /// As for [`pause`](Self::pause).
    pub async fn resume(&self, name: &str) -> Result<(), Error> {
        self.store
            .set_paused(name, false)
            .await?
            .then(|| telemetry::changed(name, "resume"))
            .ok_or_else(|| unknown(name))
    }

    /// Forgets a consumer: its checkpoints and parked events. Its name is free again.
    ///
    /// A runner that is still there begins anew: end it first.
    ///
    /// # Errors
    ///
    /// As for [`pause`](Self::pause). [`Error::Invalid`] for a projection that has tables, too: whoever knows them removes it
    /// with [`Projector::remove`](crate::Projector::remove).
    pub async fn forget(&self, name: &str) -> Result<(), Error> {
        if self.store.checkpoints(Some(name)).await?.iter().any(|checkpoint| checkpoint.build > 0) {
            return Err(Error::invalid(format!("{name} is a projection with tables: remove it with its Projector")));
        }
        self.store.forget(name).await?.then(|| telemetry::changed(name, "forget")).ok_or_else(|| unknown(name))
    }

    /// Reads the parked events of a consumer, in the order of the log.
    ///
    /// 1,000 at the most, after a position.
    ///
    /// # Errors
    ///
    /// A failed read.
    pub async fn parked(&self, name: &str, after: Position) -> Result<Vec<ParkedEvent>, Error> {
        self.store.parked(&ParkedQuery { name: name.to_owned(), aggregate_id: None, after, limit: PARKED_PAGE }).await
    }

    /// Discards a parked event: it is never handled.
    ///
    /// Those behind it stay parked, until they are replayed or discarded.
    ///
    /// It takes the lease from whoever runs the consumer, for a moment.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: there is no such consumer, or the event is not parked. [`Error::Contention`]: somebody else took
    /// the lease meanwhile; call again.
    pub async fn discard(&self, name: &str, aggregate_id: Uuid, sequence: u64) -> Result<(), Error> {
        let checkpoints = self.store.checkpoints(Some(name)).await?;
        let found = checkpoints.into_iter().find(|checkpoint| checkpoint.consumer.has(aggregate_id));
        let checkpoint = found.ok_or_else(|| unknown(name))?;
        if !self.is_parked(name, aggregate_id, sequence).await? {
            return Err(not_parked(name, aggregate_id, sequence));
        }
        let lease = self.take_briefly(&checkpoint).await?;
        let is_out = self.store.unpark(&lease, aggregate_id, sequence).await;
        // One that is not let go lapses by itself.
        drop(self.store.release(&lease).await);
        if !is_out? {
            return Err(Error::Contention { source: None });
        }
        telemetry::event_discarded(name, aggregate_id, sequence);
        Ok(())
    }

    /// Discards parked events, and says how many: they are never handled.
    ///
    /// Of an aggregate all that are parked now, or of the whole consumer. It takes the lease from whoever runs it, for as
    /// long as that takes.
    ///
    /// # Errors
    ///
    /// As for [`discard`](Self::discard); what was discarded by then is.
    pub async fn discard_all(&self, name: &str, choice: ParkedChoice) -> Result<u64, Error> {
        let of = match choice {
            ParkedChoice::Event { aggregate_id, sequence } => {
                return self.discard(name, aggregate_id, sequence).await.map(|()| 1);
            }
            ParkedChoice::Aggregate(aggregate_id) => Some(aggregate_id),
            ParkedChoice::All => None,
        };
        let checkpoints = self.store.checkpoints(Some(name)).await?;
        if checkpoints.is_empty() {
            return Err(unknown(name));
        }
        let mut discarded = 0;
        for checkpoint in checkpoints.iter().filter(|checkpoint| of.is_none_or(|id| checkpoint.consumer.has(id))) {
            let lease = self.take_briefly(checkpoint).await?;
            let done = self.discard_under(&lease, of, &mut discarded).await;
            // One that is not let go lapses by itself.
            drop(self.store.release(&lease).await);
            done?;
        }
        Ok(discarded)
    }

    async fn discard_under(&self, lease: &Lease, of: Option<Uuid>, discarded: &mut u64) -> Result<(), Error> {
        let name = lease.consumer.name();
        let mut pages = Pages::of(name, of, DISCARDED_PAGE);
        while let Some(page) = pages.next(&self.store).await? {
            if self.store.renew(lease).await? == Renewal::Lost {
                return Err(Error::Contention { source: None });
            }
            for parked in page.iter().filter(|parked| lease.consumer.has(parked.aggregate_id)) {
                if !self.store.unpark(lease, parked.aggregate_id, parked.sequence).await? {
                    return Err(Error::Contention { source: None });
                }
                *discarded += 1;
                telemetry::event_discarded(name, parked.aggregate_id, parked.sequence);
            }
        }
        Ok(())
    }

    /// Asks whoever runs a consumer to handle parked events again; says how many.
    ///
    /// Its runner does so within a second, between live events, in the order of the log; or the next one, where nobody runs
    /// it now. One event is asked for together with the earlier ones of its aggregate, since they come first; what only
    /// stands behind those that are handled then follows by itself. One that fails again stays parked with its new error, as
    /// do those of its aggregate behind it, until they are asked for anew. Killed half-way it is done all the same.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: there is no such consumer, or nothing of that is parked. A failed write: call again.
    pub async fn request_replay(&self, name: &str, choice: ParkedChoice) -> Result<u64, Error> {
        if let ParkedChoice::Event { aggregate_id, sequence } = choice
            && !self.is_parked(name, aggregate_id, sequence).await?
        {
            return Err(self.not_parked(name, aggregate_id, sequence).await);
        }
        let requested = self.store.request_replay(name, choice).await?;
        if requested == 0 {
            return Err(match self.store.checkpoints(Some(name)).await?.is_empty() {
                true => unknown(name),
                false => Error::invalid(format!("nothing of that is parked by {name}")),
            });
        }
        telemetry::changed(name, "request-replay");
        Ok(requested)
    }

    async fn not_parked(&self, name: &str, aggregate_id: Uuid, sequence: u64) -> Error {
        match self.store.checkpoints(Some(name)).await {
            Ok(checkpoints) if checkpoints.is_empty() => unknown(name),
            Ok(_) => not_parked(name, aggregate_id, sequence),
            Err(error) => error,
        }
    }

    /// Tells what [`reset`](Self::reset) would do now, and changes nothing.
    ///
    /// # Errors
    ///
    /// As for [`reset`](Self::reset).
    pub async fn plan_reset(&self, name: &str, to: Start) -> Result<Reset, Error> {
        let checkpoints = self.store.checkpoints(Some(name)).await?;
        if checkpoints.is_empty() {
            return Err(unknown(name));
        }
        check_moves(&checkpoints)?;
        if let Start::After(position) = to {
            let head = self.store.head().await?;
            if position > head {
                let up_to = format!("the log can be read up to position {head}");
                return Err(Error::invalid(format!("no event can be read at position {position}: {up_to}")));
            }
        }
        let cursor = to.cursor(&self.store).await?;
        if let (Start::After(position), None) = (to, cursor.event)
            && position > Position::START
        {
            return Err(Error::invalid(format!("there is no event at position {position}")));
        }
        Reset::plan(&self.store, cursor, &checkpoints).await
    }

    /// Moves a subscription to another place in the log, all its partitions.
    ///
    /// Back: the events behind that place are told again, **all of them**, also those that were handled. Forward: what lies
    /// between is passed over, and never told. Whoever runs it loses its lease at once and goes on from there; what it had
    /// under way may be told once more, and what it still moves is refused. Parked events behind the place are parked no
    /// longer, since they are told again; those up to it stay parked.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: there is no such subscription, or no event at that position; or it is a projection, which is
    /// [rebuilt](crate::Projector::rebuild) instead. A failed write: call again.
    pub async fn reset(&self, name: &str, to: Start) -> Result<Reset, Error> {
        let reset = self.plan_reset(name, to).await?;
        if !self.store.reset(name, &reset.to).await? {
            return Err(unknown(name));
        }
        telemetry::changed(name, "reset");
        Ok(reset)
    }

    async fn is_parked(&self, name: &str, aggregate_id: Uuid, sequence: u64) -> Result<bool, Error> {
        let mut pages = Pages::of(name, Some(aggregate_id), PARKED_PAGE);
        while let Some(page) = pages.next(&self.store).await? {
            if page.iter().any(|parked| parked.sequence == sequence) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the lease of a consumer by force, for one write.
    async fn take_briefly(&self, checkpoint: &Checkpoint) -> Result<Lease, Error> {
        let Checkpoint { consumer, kind, version, .. } = checkpoint;
        let claim = Claim {
            consumer: consumer.clone(),
            kind: *kind,
            version: *version,
            start: None,
            owner: run_of(&process_owner()),
            length: SHORT_LEASE,
            by_force: true,
        };
        match self.store.claim(&claim).await? {
            Claimed::Taken(taken) => Ok(Lease { consumer: consumer.clone(), fence: taken.fence, length: SHORT_LEASE }),
            Claimed::Refused(_) => Err(Error::invalid(format!("{consumer} is paused: resume it first"))),
        }
    }
}

fn not_parked(name: &str, aggregate_id: Uuid, sequence: u64) -> Error {
    Error::invalid(format!("event {sequence} of aggregate {aggregate_id} is not parked by {name}"))
}

/// There is no consumer of that name.
pub(super) fn unknown(name: &str) -> Error {
    Error::invalid(format!("there is no subscription or projection {name:?}"))
}
