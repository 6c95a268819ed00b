//! What a process manager reads.

use std::fmt;

use uuid::Uuid;

use crate::domain::{Aggregate, EventError, Id, Upcasters, decode_event};

type Read<I> = dyn Fn(Uuid, &str, u32, &str) -> Result<Option<I>, EventError> + Send + Sync;

/// Says which events a process manager reads, and what it makes of them.
pub struct Inputs<I> {
    sources: Vec<(&'static str, Box<Read<I>>)>,
}

impl<I: 'static> Inputs<I> {
    /// Reads nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { sources: Vec::new() }
    }

    /// Reads the events of an aggregate type. `None`: it has no use for this one.
    ///
    /// Given twice for a type, the later one counts.
    #[must_use]
    pub fn of<A: Aggregate>(mut self, read: impl Fn(Id<A>, A::Event) -> Option<I> + Send + Sync + 'static) -> Self {
        let upcasters: Upcasters = A::upcasters();
        let read = move |id, event_type: &str, schema_version, payload: &str| {
            let event = decode_event::<A::Event>(&upcasters, event_type, schema_version, payload)?;
            Ok(read(Id::from_uuid(id), event))
        };
        self.sources.retain(|(aggregate_type, _)| *aggregate_type != A::TYPE);
        self.sources.push((A::TYPE, Box::new(read)));
        self
    }

    /// The aggregate types it reads.
    pub fn aggregate_types(&self) -> impl Iterator<Item = &'static str> {
        self.sources.iter().map(|(aggregate_type, _)| *aggregate_type)
    }

    /// Makes an input of a stored event; `None`: there is no use for it.
    ///
    /// # Errors
    ///
    /// Any [`EventError`]: the stored event and this code do not fit; no retry will help.
    pub fn read(
        &self,
        aggregate_type: &str,
        aggregate_id: Uuid,
        event_type: &str,
        schema_version: u32,
        payload: &str,
    ) -> Result<Option<I>, EventError> {
        match self.sources.iter().find(|(source, _)| *source == aggregate_type) {
            Some((_, read)) => read(aggregate_id, event_type, schema_version, payload),
            None => Ok(None),
        }
    }
}

impl<I: 'static> fmt::Debug for Inputs<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.aggregate_types()).finish()
    }
}
