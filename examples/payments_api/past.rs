//! Aggregates as they were at a version, with the times at which it happened.

use annals::{Aggregate, Error, EventRef, EventStore, Id, StreamQuery};
use chrono::{DateTime, Utc};

/// An aggregate right after one of its events.
///
/// What is shown of it is the same whenever it is asked for: times are those that the store recorded, and what came later
/// is left out. So an answer that was lost is made again, byte by byte.
#[derive(Debug)]
pub struct Past<A: Aggregate> {
    pub id: Id<A>,
    pub state: A,
    pub version: u64,
    /// When the first of its events was recorded.
    pub created: DateTime<Utc>,
    /// When the last of them was.
    pub changed: DateTime<Utc>,
}

impl<A: Aggregate> Past<A> {
    /// The aggregate as it is now. `None`: nothing has happened to it, or it is another kind of thing.
    pub async fn now(store: &dyn EventStore, id: Id<A>) -> Result<Option<Self>, Error> {
        Self::read(store, id, &StreamQuery::of(id)).await
    }

    /// The aggregate at the version of a receipt, as `Repository::load_at` would load it, with the times besides.
    pub async fn at(store: &dyn EventStore, id: Id<A>, version: u64) -> Result<Self, Error> {
        match Self::read(store, id, &StreamQuery::of(id).to_sequence(version)).await? {
            Some(past) if past.version == version => Ok(past),
            _ => Err(Error::invalid(format!("{} {id} has no version {version}", A::TYPE))),
        }
    }

    async fn read(store: &dyn EventStore, id: Id<A>, query: &StreamQuery) -> Result<Option<Self>, Error> {
        let mut past: Option<Self> = None;
        let mut fold = |stored: EventRef<'_>| {
            // A UUID is of one kind of aggregate: under this id there is another.
            if stored.aggregate_type != A::TYPE {
                return Ok(());
            }
            let event = stored.decode_as::<A>()?;
            let (version, changed) = (stored.sequence, stored.recorded_at);
            let past = past.get_or_insert_with(|| Self { id, state: A::default(), version, created: changed, changed });
            past.state.evolve(&event);
            (past.version, past.changed) = (version, changed);
            Ok(())
        };
        store.read_stream(query, &mut fold).await?;
        Ok(past)
    }
}
