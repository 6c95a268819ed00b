//! Snapshots of one aggregate type: when they are taken, and how they are written and read.

use std::{fmt, num::NonZeroU64};

use serde::{Serialize, de::DeserializeOwned};

/// When snapshots are taken, and how states are written and read.
///
/// Functions, so that only who takes snapshots needs a state that serde knows.
pub(super) struct Snapshots<A> {
    every: NonZeroU64,
    pub(super) write: fn(&A) -> serde_json::Result<String>,
    pub(super) read: fn(&str) -> serde_json::Result<A>,
}

impl<A: Serialize + DeserializeOwned> Snapshots<A> {
    pub(super) fn every(events: NonZeroU64) -> Self {
        Self { every: events, write: |state| serde_json::to_string(state), read: |json| serde_json::from_str(json) }
    }
}

impl<A> Snapshots<A> {
    /// Tells whether an append went past a multiple of the interval.
    pub(super) const fn is_due(&self, before: u64, after: u64) -> bool {
        before / self.every.get() < after / self.every.get()
    }
}

impl<A> Clone for Snapshots<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Snapshots<A> {}

impl<A> fmt::Debug for Snapshots<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("every", &self.every).finish_non_exhaustive()
    }
}
