//! An append on its way into a database, and what may stand in its way there: the same for every backend.

use std::sync::Arc;

use uuid::Uuid;

use super::{Append, Appended, Error, EventRef, NewReceipt, ReceiptOutcome, event_checksum};

/// An append with what is derived from it once.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) append: &'a Append,
    pub(crate) metadata: Arc<str>,
    pub(crate) receipt: Option<NewReceipt>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(append: &'a Append) -> Result<Self, Error> {
        let metadata: Arc<str> = append.metadata.to_json()?.into();
        Ok(Self { append, receipt: append.receipt(&metadata), metadata })
    }

    /// The sequence at which an earlier attempt would have begun, where it can be known.
    pub(crate) fn begins_at(&self) -> Option<u64> {
        self.append.expected.named().map(|version| version.saturating_add(1))
    }

    /// The sequence after the last one of an earlier attempt.
    pub(crate) fn ends_before(&self) -> u64 {
        self.begins_at().unwrap_or(1).saturating_add(self.append.events.len() as u64)
    }

    /// Compares the append with what its command id has written: the same events, or another request.
    ///
    /// `stored` is what stands from [`begins_at`](Self::begins_at) up to and including
    /// [`ends_before`](Self::ends_before).
    pub(crate) fn answer_by_attempt(&self, stored: &[EventRef<'_>]) -> Result<Appended, Error> {
        let append = self.append;
        let (own, behind) = stored.split_at(stored.len().min(append.events.len()));
        let is_same = own.iter().all(|event| event.command_id == append.command_id)
            && append.checksums(&self.metadata).eq(own.iter().map(|event| event.checksum));
        // One event more of the same id, and it was a longer append; unless it begins another one.
        let is_longer =
            behind.first().is_some_and(|event| event.command_id == append.command_id && !begins_append(event));
        match own.last() {
            Some(last) if is_same && !is_longer => Ok(Appended {
                first_sequence: self.begins_at().unwrap_or(1),
                version: last.sequence,
                position: Some(last.position),
                recorded_at: last.recorded_at,
                outcome: ReceiptOutcome::Accepted,
                replayed: true,
            }),
            _ => Err(Error::KeyReused { aggregate: append.aggregate() }),
        }
    }
}

/// Tells whether an event is the first of its append: its checksum holds its place.
fn begins_append(event: &EventRef<'_>) -> bool {
    let shape = (event.event_type, event.schema_version);
    event_checksum(event.aggregate_id, event.command_id, 0, shape, event.payload, event.metadata) == event.checksum
}

/// The end of an aggregate's stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) version: u64,
    pub(crate) aggregate_type: Option<String>,
    pub(crate) command_id: Option<Uuid>,
}

impl Head {
    /// Tells what forbids an append here, if anything does.
    pub(crate) fn refusal(&self, append: &Append) -> Option<Error> {
        if let Some(found) = self.aggregate_type.as_ref().filter(|found| **found != append.aggregate_type) {
            let aggregate = append.aggregate();
            return Some(Error::invalid(format!("{aggregate} has events already, as an aggregate of type {found}")));
        }
        let follows = append.follows.is_none() || append.follows == self.command_id;
        if append.expected.holds_at(self.version) && follows {
            return None;
        }
        let (aggregate, expected, actual) = (append.aggregate(), append.expected, self.version);
        Some(Error::Conflict { aggregate, expected, actual })
    }
}
