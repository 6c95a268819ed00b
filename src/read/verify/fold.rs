//! Folds events again, to compare a snapshot with what they lead to.

use serde::Serialize;
use serde_json::Value;

use crate::{
    domain::{Aggregate, Upcasters},
    store::{Error, EventRef},
};

/// Folds the events of one aggregate type, whichever it is.
pub(super) trait Fold: Send {
    fn aggregate_type(&self) -> &'static str;

    fn snapshot_version(&self) -> u32;

    /// Begins another aggregate.
    fn begin(&mut self);

    fn step(&mut self, event: EventRef<'_>) -> Result<(), Error>;

    /// Tells whether the state is the one that was stored; an error where the state cannot be written as JSON.
    fn is_state(&self, stored: &str) -> Result<bool, serde_json::Error>;
}

pub(super) struct Refold<A> {
    state: A,
    upcasters: Upcasters,
    snapshot_version: u32,
}

impl<A: Aggregate> Refold<A> {
    pub(super) fn new(snapshot_version: u32) -> Self {
        Self { state: A::default(), upcasters: A::upcasters(), snapshot_version }
    }
}

impl<A: Aggregate + Serialize> Fold for Refold<A> {
    fn aggregate_type(&self) -> &'static str {
        A::TYPE
    }

    fn snapshot_version(&self) -> u32 {
        self.snapshot_version
    }

    fn begin(&mut self) {
        self.state = A::default();
    }

    fn step(&mut self, event: EventRef<'_>) -> Result<(), Error> {
        self.state.evolve(&event.decode(&self.upcasters)?);
        Ok(())
    }

    fn is_state(&self, stored: &str) -> Result<bool, serde_json::Error> {
        let refolded = serde_json::to_string(&self.state)?;
        // As values where the texts differ: the members of a map have no order. Both through text, so that both have
        // been through the same reading of numbers.
        Ok(refolded == stored || serde_json::from_str::<Value>(&refolded)? == serde_json::from_str::<Value>(stored)?)
    }
}
