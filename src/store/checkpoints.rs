//! The port of checkpoints, leases and parked events.

use std::{error::Error as StdError, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Checkpoint, Claim, Claimed, Consumer, Cursor, Error, EventStore, Lease, NewParkedEvent, ParkedChoice, ParkedEvent,
    ParkedQuery, Position, Renewal, Step, Transactional, Work,
};

/// Keeps the checkpoints, leases and parked events of consumers beside the events.
///
/// What [`Subscription`](crate::Subscription) asks of a store; object-safe. Every write states the fence it rests on, and
/// does nothing where that is no longer the consumer's.
#[async_trait]
pub trait CheckpointStore: EventStore {
    /// Reads a checkpoint; `None` where the consumer never ran.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn checkpoint(&self, consumer: &Consumer) -> Result<Option<Checkpoint>, Error>;

    /// Reads the checkpoints of all partitions of a name, or of all names: 10,000 at the most, by name and partition.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn checkpoints(&self, name: Option<&str>) -> Result<Vec<Checkpoint>, Error>;

    /// Takes the lease of a consumer, if it is free, has lapsed, or is the caller's already.
    ///
    /// Makes the checkpoint where there is none. In one statement, so that of several that ask at once one gets it.
    /// Where a transaction of an earlier holder is still open, it waits for its end: so what it answers is final, also
    /// after a commit whose reply was lost.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`] and [`Error::Unavailable`]: ask again. [`Error::OutcomeUnknown`]: ask again, too.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, Error>;

    /// Gives a sign of life. Never waits for a batch of the same consumer.
    ///
    /// # Errors
    ///
    /// A failed write: try again before the lease lapses.
    async fn renew(&self, lease: &Lease) -> Result<Renewal, Error>;

    /// Lets go of a lease, so that others need not wait until it lapses. Does nothing where it is no longer held.
    ///
    /// # Errors
    ///
    /// A failed write: the lease lapses by itself.
    async fn release(&self, lease: &Lease) -> Result<(), Error>;

    /// Moves a checkpoint and parks events, in one commit. `false`: the lease is lost, or the checkpoint stands elsewhere.
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`]: [`claim`](Self::claim) again, and go on from where the checkpoint stands then.
    async fn advance(&self, lease: &Lease, step: &Step<'_>) -> Result<bool, Error>;

    /// Notes that an event is begun, after a crash; says how often it was, this time included.
    ///
    /// `None`: the lease is lost. So an event that kills its runners can be told from one that nobody has begun.
    ///
    /// # Errors
    ///
    /// A failed write.
    async fn begin_attempt(&self, lease: &Lease, position: Position) -> Result<Option<u32>, Error>;

    /// Notes beside the checkpoint what went wrong.
    ///
    /// # Errors
    ///
    /// A failed write.
    async fn note_failure(&self, lease: &Lease, message: &str) -> Result<(), Error>;

    /// Reads parked events.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn parked(&self, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, Error>;

    /// Counts the parked events of a name.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn count_parked(&self, name: &str) -> Result<u64, Error>;

    /// Takes one event out of the parked ones. `false`: the lease is lost, or the event is not parked.
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`]: look whether it is still parked.
    async fn unpark(&self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<bool, Error>;

    /// Notes that a parked event has failed again. `false`: the lease is lost, or the event is not parked.
    ///
    /// With the time of the request it was told for: what was asked for of its aggregate up to then is done with.
    ///
    /// # Errors
    ///
    /// A failed write.
    async fn park_again(
        &self,
        lease: &Lease,
        event: &NewParkedEvent,
        requested_at: Option<DateTime<Utc>>,
    ) -> Result<bool, Error>;

    /// Asks whoever runs a consumer to tell parked events again; says how many.
    ///
    /// One event is asked for together with the earlier ones of its aggregate, since those come first. Asked for anew is
    /// asked for later.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn request_replay(&self, name: &str, choice: ParkedChoice) -> Result<u64, Error>;

    /// Reads the parked events that were asked for, in the order of their positions, behind one: of all partitions.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn requested_replays(&self, name: &str, after: Position, limit: u32) -> Result<Vec<ParkedEvent>, Error>;

    /// Notes that a parked event is begun again, after a crash; says how often it was since it was asked for.
    ///
    /// This time included. `None`: the lease is lost, or the event is not parked.
    ///
    /// # Errors
    ///
    /// A failed write.
    async fn begin_replay(&self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<Option<u32>, Error>;

    /// Pauses all partitions of a name, or lets them run again. Who runs one loses its lease at once.
    ///
    /// `false`: there is no such consumer.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn set_paused(&self, name: &str, is_paused: bool) -> Result<bool, Error>;

    /// Removes the checkpoints and parked events of a name, whoever runs it. `false`: there is no such consumer.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn forget(&self, name: &str) -> Result<bool, Error>;

    /// Splits a subscription into so many partitions, all of which go on where the last of the old ones stood.
    ///
    /// In one commit, whoever runs it: runners of the old partitions lose their leases. `false`: there is no such consumer.
    ///
    /// # Errors
    ///
    /// A failed write: call again.
    async fn repartition(&self, name: &str, of: u32) -> Result<bool, Error>;

    /// Moves all partitions of a subscription to one place, forward or back; whoever runs it loses its leases.
    ///
    /// In one commit: what such a runner still moves is refused. Parked events behind the place are parked no longer, since
    /// they are told again; those up to it stay. `false`: there is no such consumer.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: it is a projection. A failed write: call again.
    async fn reset(&self, name: &str, to: &Cursor) -> Result<bool, Error>;

    /// Counts the events that a reader may see after a position: up to a million, then a million.
    ///
    /// # Errors
    ///
    /// A failed read.
    async fn count_after(&self, position: Position) -> Result<u64, Error>;

    /// The store's time, by which leases last.
    fn now(&self) -> DateTime<Utc>;

    /// Waits until a checkpoint was moved through this store, or a clone of it.
    ///
    /// One that others move it does not tell of: look now and then. Ask for it before looking: what is moved between asking
    /// and waiting is told of.
    async fn moved(&self, seen: &mut u64);
}

/// Moves a checkpoint within a transaction that also takes a projection's rows.
///
/// What [`Projector`](crate::Projector) asks of a [`Work`].
#[async_trait]
pub trait CheckpointWork: Work {
    /// Makes sure that the lease still holds, before work is done in vain. `false`: it is lost.
    ///
    /// Lets the database end the transaction if its runner falls silent for longer than the lease.
    ///
    /// # Errors
    ///
    /// A failed statement: drop the transaction.
    async fn hold(&mut self, lease: &Lease) -> Result<bool, Error>;

    /// Moves a checkpoint and parks events. `false`: the lease is lost; drop the transaction.
    ///
    /// # Errors
    ///
    /// A failed statement: drop the transaction.
    async fn advance(&mut self, lease: &Lease, step: &Step<'_>) -> Result<bool, Error>;

    /// Takes one event out of the parked ones. `false`: the lease is lost, or the event is not parked; drop the transaction.
    ///
    /// # Errors
    ///
    /// A failed statement: drop the transaction.
    async fn unpark(&mut self, lease: &Lease, aggregate_id: Uuid, sequence: u64) -> Result<bool, Error>;

    /// Reads a checkpoint, and keeps everybody from moving it until the transaction ends.
    ///
    /// # Errors
    ///
    /// A failed statement: drop the transaction.
    async fn lock_checkpoint(&mut self, consumer: &Consumer) -> Result<Option<Checkpoint>, Error>;

    /// Runs statements that make or remove the tables of a projection.
    ///
    /// Made of texts of the code and of checked names alone, never of data.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] with what the database said; drop the transaction.
    async fn run_script(&mut self, script: &str) -> Result<(), Error>;

    /// Shows a table under a view's name, instead of the one that the view has shown so far.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] where the name belongs to something else than a view; drop the transaction.
    async fn show_table(&mut self, view: &str, table: &str) -> Result<(), Error>;

    /// Tells whether what a statement of the application's has failed with passes by itself.
    ///
    /// A lock that others hold, a deadlock, a connection that is gone; as the driver's error or beneath another.
    fn is_passing(&self, error: &(dyn StdError + 'static)) -> bool;

    /// Removes one checkpoint and its parked events, whoever runs it.
    ///
    /// # Errors
    ///
    /// A failed statement: drop the transaction.
    async fn remove_checkpoint(&mut self, consumer: &Consumer) -> Result<(), Error>;

    /// Notes which build of a projection its tables are, and of which version.
    ///
    /// `false`: the lease is lost; drop the transaction.
    ///
    /// # Errors
    ///
    /// A failed statement: drop the transaction.
    async fn set_build(&mut self, lease: &Lease, build: u32, version: u32) -> Result<bool, Error>;

    /// Puts a projection that was built anew in the place of the one that is shown.
    ///
    /// Its build, version and parked events; the checkpoint stays where it is, and must be where the new one is. Its runner
    /// loses the lease, and the checkpoint of the rebuild is removed. `false`: the lease of the rebuild is lost; drop the
    /// transaction.
    ///
    /// # Errors
    ///
    /// A failed statement: drop the transaction.
    async fn swap_build(&mut self, rebuild: &Lease, shown: &Consumer) -> Result<bool, Error>;
}

/// What a [`Projector`](crate::Projector) asks of a store.
///
/// Any store that keeps checkpoints and can move them within a transaction.
pub trait ProjectionStore: CheckpointStore + Transactional<Work: CheckpointWork> + Clone + 'static {}

impl<S: CheckpointStore + Transactional<Work: CheckpointWork> + Clone + 'static> ProjectionStore for S {}

/// Implements [`CheckpointStore`] by handing every call on to the store inside.
macro_rules! forward_checkpoint_store {
    ([$($generic:ident)?] $outer:ty, $self:ident => $inner:expr) => {
        #[async_trait::async_trait]
        impl$(<$generic: $crate::store::CheckpointStore + ?Sized>)? $crate::store::CheckpointStore for $outer {
            async fn checkpoint(
                &$self,
                consumer: &$crate::store::Consumer,
            ) -> Result<Option<$crate::store::Checkpoint>, $crate::store::Error> {
                $inner.checkpoint(consumer).await
            }

            async fn checkpoints(
                &$self,
                name: Option<&str>,
            ) -> Result<Vec<$crate::store::Checkpoint>, $crate::store::Error> {
                $inner.checkpoints(name).await
            }

            async fn claim(
                &$self,
                claim: &$crate::store::Claim,
            ) -> Result<$crate::store::Claimed, $crate::store::Error> {
                $inner.claim(claim).await
            }

            async fn renew(
                &$self,
                lease: &$crate::store::Lease,
            ) -> Result<$crate::store::Renewal, $crate::store::Error> {
                $inner.renew(lease).await
            }

            async fn release(&$self, lease: &$crate::store::Lease) -> Result<(), $crate::store::Error> {
                $inner.release(lease).await
            }

            async fn advance(
                &$self,
                lease: &$crate::store::Lease,
                step: &$crate::store::Step<'_>,
            ) -> Result<bool, $crate::store::Error> {
                $inner.advance(lease, step).await
            }

            async fn begin_attempt(
                &$self,
                lease: &$crate::store::Lease,
                position: $crate::store::Position,
            ) -> Result<Option<u32>, $crate::store::Error> {
                $inner.begin_attempt(lease, position).await
            }

            async fn note_failure(
                &$self,
                lease: &$crate::store::Lease,
                message: &str,
            ) -> Result<(), $crate::store::Error> {
                $inner.note_failure(lease, message).await
            }

            async fn parked(
                &$self,
                query: &$crate::store::ParkedQuery,
            ) -> Result<Vec<$crate::store::ParkedEvent>, $crate::store::Error> {
                $inner.parked(query).await
            }

            async fn count_parked(&$self, name: &str) -> Result<u64, $crate::store::Error> {
                $inner.count_parked(name).await
            }

            async fn unpark(
                &$self,
                lease: &$crate::store::Lease,
                aggregate_id: uuid::Uuid,
                sequence: u64,
            ) -> Result<bool, $crate::store::Error> {
                $inner.unpark(lease, aggregate_id, sequence).await
            }

            async fn park_again(
                &$self,
                lease: &$crate::store::Lease,
                event: &$crate::store::NewParkedEvent,
                requested_at: Option<chrono::DateTime<chrono::Utc>>,
            ) -> Result<bool, $crate::store::Error> {
                $inner.park_again(lease, event, requested_at).await
            }

            async fn request_replay(
                &$self,
                name: &str,
                choice: $crate::store::ParkedChoice,
            ) -> Result<u64, $crate::store::Error> {
                $inner.request_replay(name, choice).await
            }

            async fn requested_replays(
                &$self,
                name: &str,
                after: $crate::store::Position,
                limit: u32,
            ) -> Result<Vec<$crate::store::ParkedEvent>, $crate::store::Error> {
                $inner.requested_replays(name, after, limit).await
            }

            async fn begin_replay(
                &$self,
                lease: &$crate::store::Lease,
                aggregate_id: uuid::Uuid,
                sequence: u64,
            ) -> Result<Option<u32>, $crate::store::Error> {
                $inner.begin_replay(lease, aggregate_id, sequence).await
            }

            async fn set_paused(&$self, name: &str, is_paused: bool) -> Result<bool, $crate::store::Error> {
                $inner.set_paused(name, is_paused).await
            }

            async fn forget(&$self, name: &str) -> Result<bool, $crate::store::Error> {
                $inner.forget(name).await
            }

            async fn repartition(&$self, name: &str, of: u32) -> Result<bool, $crate::store::Error> {
                $inner.repartition(name, of).await
            }

            async fn reset(
                &$self,
                name: &str,
                to: &$crate::store::Cursor,
            ) -> Result<bool, $crate::store::Error> {
                $inner.reset(name, to).await
            }

            async fn count_after(&$self, position: $crate::store::Position) -> Result<u64, $crate::store::Error> {
                $inner.count_after(position).await
            }

            fn now(&$self) -> chrono::DateTime<chrono::Utc> {
                $inner.now()
            }

            async fn moved(&$self, seen: &mut u64) {
                $inner.moved(seen).await;
            }
        }
    };
}

forward_checkpoint_store!([S] Arc<S>, self => (**self));
