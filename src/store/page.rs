//! The beginnings of several streams, read together.

use std::fmt;

use uuid::Uuid;

use super::{Error, IdempotencyKey, LoadQuery, LoadVisitor, StreamQuery, StreamRead};

/// Asks for the beginning of a stream, beside others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// Events after this sequence; 0: all.
    pub after: u64,
    /// The shape of state from which to begin, where there is such a snapshot.
    ///
    /// `None`: no snapshot.
    pub snapshot_version: Option<u32>,
    /// The key whose receipt is asked for first.
    pub receipt_of: Option<IdempotencyKey>,
}

impl PageQuery {
    /// Asks for the same as a query for all events of a stream from some sequence on; `None`: that asks for less.
    pub(super) fn of_stream(query: &StreamQuery) -> Option<Self> {
        let StreamQuery { aggregate_id, from, .. } = *query;
        let rest = StreamQuery { from, receipt_of: query.receipt_of.clone(), ..StreamQuery::of(aggregate_id) };
        (*query == rest).then(|| Self {
            aggregate_id,
            after: from.saturating_sub(1),
            snapshot_version: None,
            receipt_of: rest.receipt_of,
        })
    }

    /// Asks for the same as a query for a snapshot and the events after it.
    pub(super) fn of_load(query: &LoadQuery) -> Self {
        let LoadQuery { aggregate_id, snapshot_version, receipt_of } = query.clone();
        Self { aggregate_id, after: 0, snapshot_version: Some(snapshot_version), receipt_of }
    }
}

/// Holds what a [`PageQuery`] brought, not yet decoded.
///
/// Decoding is the caller's part, on the caller's own time.
pub trait Page: fmt::Debug + Send + Sync {
    /// Visits the snapshot, if there is one that fits, and the events.
    ///
    /// `None` where the page is not the whole of what was asked for, or the visitor refuses the snapshot: then no event
    /// was visited, and the caller loads by itself.
    ///
    /// # Errors
    ///
    /// The visitor's error, as it is; damage, as for [`EventStore::load`](super::EventStore::load).
    fn visit(&self, visitor: &mut dyn LoadVisitor) -> Result<Option<StreamRead>, Error>;
}
