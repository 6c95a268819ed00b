//! Every aggregate, one after another: a merge of its events, receipts and snapshot.

use uuid::Uuid;

use super::{
    Stage,
    bounds::Bounds,
    claims::{Claims, Part},
    feed::{EventItem, Feed},
    fold::Fold,
    log::Gaps,
    notes::Notes,
    receipt::ReceiptItem,
    scars::Scars,
    snapshot::SnapshotItem,
    stream::Stream,
    types::Types,
};
use crate::store::{Audit, Error, EventKey, ReceiptKey};

/// Walks through events, receipts and snapshots side by side: all three come in the order of aggregates.
pub(super) struct Streams<'c, 's> {
    audit: &'c mut dyn Audit,
    notes: &'c mut Notes<'s>,
    folds: &'c mut [Box<dyn Fold>],
    types: &'c Types,
    gaps: &'c mut Gaps,
    bounds: Bounds,
    events: Feed<EventItem>,
    receipts: Feed<ReceiptItem>,
    snapshots: Feed<SnapshotItem>,
}

impl<'c, 's> Streams<'c, 's> {
    pub(super) fn new(
        audit: &'c mut dyn Audit,
        notes: &'c mut Notes<'s>,
        (folds, types): (&'c mut [Box<dyn Fold>], &'c Types),
        gaps: &'c mut Gaps,
        bounds: Bounds,
    ) -> Self {
        let rows = bounds.page_rows;
        let (events, receipts, snapshots) = (Feed::new(None, rows), Feed::new(None, rows), Feed::new(None, rows));
        Self { audit, notes, folds, types, gaps, bounds, events, receipts, snapshots }
    }

    /// Checks every aggregate. Returns how many events there were, unless they could not be read to the end.
    pub(super) async fn check(&mut self) -> Result<Option<u64>, Error> {
        self.notes.enter(Stage::Streams);
        while let Some(aggregate_id) = self.next_aggregate().await? {
            self.check_aggregate(aggregate_id).await?;
        }
        self.notes.show_progress();
        Ok((!self.events.has_failed()).then_some(self.notes.counts.events))
    }

    /// The least aggregate that any of the three has. None once events cannot be read: nothing could be compared.
    async fn next_aggregate(&mut self) -> Result<Option<Uuid>, Error> {
        let of_events = self.events.peek(self.audit, self.notes).await?;
        if self.events.has_failed() && of_events.is_none() {
            return Ok(None);
        }
        let of_receipts = self.receipts.peek(self.audit, self.notes).await?;
        let of_snapshots = self.snapshots.peek(self.audit, self.notes).await?;
        Ok([of_events, of_receipts, of_snapshots].into_iter().flatten().min())
    }

    async fn check_aggregate(&mut self, aggregate_id: Uuid) -> Result<(), Error> {
        let mut claims = Claims::new(aggregate_id, Part::default(), self.bounds.claims);
        while let Some(receipt) = self.receipts.next_of(aggregate_id, self.audit, self.notes).await? {
            self.notes.counts.receipts += 1;
            receipt.wrong.into_iter().for_each(|finding| self.notes.take(finding));
            if let Some(claim) = receipt.claim {
                claims.add(claim, self.notes);
            }
        }
        let mut stream = Stream::new(aggregate_id, self.take_snapshot(aggregate_id).await?);
        let events_before = self.notes.counts.events;
        while let Some(item) = self.events.next_of(aggregate_id, self.audit, self.notes).await? {
            self.notes.counts.events += 1;
            stream.follow(&item, (self.folds, self.types), self.gaps, self.notes);
            if let Ok(event) = &item.event {
                claims.meet((event.sequence(), item.position), event.command_id(), stream.scars());
            }
        }
        if self.events.has_failed() {
            // How the stream ends is not known, so neither is what its receipts and its snapshot should say.
            return Ok(());
        }
        self.notes.counts.aggregates += u64::from(self.notes.counts.events > events_before);
        let postponed = claims.take_postponed();
        let version = stream.version();
        let mut last_named = claims.finish(version, stream.scars(), self.notes);
        for part in postponed {
            last_named = last_named.max(self.check_part(aggregate_id, part, version, stream.scars()).await?);
        }
        if last_named > version {
            self.gaps.add(stream.position(), i64::MAX, last_named - version);
        }
        stream.finish(last_named, self.notes);
        Ok(())
    }

    async fn take_snapshot(&mut self, aggregate_id: Uuid) -> Result<Option<super::snapshot::Snapshot>, Error> {
        let mut whole = None;
        while let Some(item) = self.snapshots.next_of(aggregate_id, self.audit, self.notes).await? {
            self.notes.counts.snapshots += 1;
            match item.snapshot {
                Ok(snapshot) => whole = Some(snapshot),
                Err(finding) => self.notes.take(finding),
            }
        }
        Ok(whole)
    }

    /// Reads an aggregate with more receipts than can be held once more, for a part of them.
    async fn check_part(&mut self, aggregate_id: Uuid, part: Part, version: u64, scars: &Scars) -> Result<u64, Error> {
        let (mut parts, mut last_named) = (vec![part], 0);
        while let Some(part) = parts.pop() {
            let id = aggregate_id.as_bytes().to_vec();
            let mut claims = Claims::new(aggregate_id, part, self.bounds.claims);
            let before = ReceiptKey { aggregate_id: id.clone(), idempotency_key: Vec::new() };
            let mut receipts = Feed::<ReceiptItem>::new(Some(before), self.bounds.page_rows);
            while let Some(receipt) = receipts.next_of(aggregate_id, self.audit, self.notes).await? {
                if let Some(claim) = receipt.claim {
                    claims.add(claim, self.notes);
                }
            }
            receipts.release(self.notes);
            let before = EventKey { aggregate_id: id, sequence: i64::MIN };
            let mut events = Feed::<EventItem>::new(Some(before), self.bounds.page_rows);
            while let Some(item) = events.next_of(aggregate_id, self.audit, self.notes).await? {
                if let Ok(event) = &item.event {
                    claims.meet((event.sequence(), item.position), event.command_id(), scars);
                }
            }
            events.release(self.notes);
            parts.extend(claims.take_postponed());
            last_named = last_named.max(claims.finish(version, scars, self.notes));
        }
        Ok(last_named)
    }
}
