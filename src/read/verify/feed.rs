//! Rows of one table, read ahead page by page.

use std::{collections::VecDeque, ops::ControlFlow};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Finding, FindingKind, bounds::PAGE_BYTES, notes::Notes};
use crate::store::{Audit, Error, EventKey, EventRow, RecordedEvent};

/// What a table's row becomes: a value, or what is wrong with it where not even its aggregate can be told.
pub(super) type Taken<T> = Result<T, Finding>;

/// Takes a row, its key and its bytes.
pub(super) type Take<'t, T> = &'t mut (dyn FnMut(Taken<T>, <T as Item>::Key, usize) -> ControlFlow<()> + Send);

/// Knows one table that is read in the order of aggregates.
#[async_trait]
pub(super) trait Item: Send + Sized {
    const TABLE: &'static str;
    type Key: Ord + Clone + Send + Sync;

    async fn read(audit: &mut dyn Audit, after: Option<&Self::Key>, take: Take<'_, Self>) -> Result<(), Error>;

    fn aggregate_id(&self) -> Uuid;

    /// Says behind which row a read ended, as ` behind event 5`. Nothing that is secret.
    fn behind(key: &Self::Key) -> String;
}

/// An id as its row has it.
pub(super) fn shown_id(bytes: &[u8]) -> String {
    Uuid::from_slice(bytes).map_or_else(|_| "?".to_owned(), |id| id.to_string())
}

/// Reads ahead in one table.
#[derive(Debug)]
pub(super) struct Feed<T: Item> {
    rows: VecDeque<Taken<T>>,
    after: Option<T::Key>,
    page_rows: usize,
    is_at_end: bool,
    has_failed: bool,
}

impl<T: Item> Feed<T> {
    pub(super) const fn new(after: Option<T::Key>, page_rows: u32) -> Self {
        let page_rows = page_rows as usize;
        Self { rows: VecDeque::new(), after, page_rows, is_at_end: false, has_failed: false }
    }

    /// The table could not be read to its end.
    pub(super) const fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The aggregate of the next row; `None` at the end.
    pub(super) async fn peek(&mut self, audit: &mut dyn Audit, notes: &mut Notes<'_>) -> Result<Option<Uuid>, Error> {
        loop {
            match self.rows.front() {
                Some(Ok(item)) => return Ok(Some(item.aggregate_id())),
                Some(Err(_)) => {
                    notes.released(1);
                    self.rows.pop_front().into_iter().filter_map(Result::err).for_each(|finding| notes.take(finding));
                }
                None if self.is_at_end => return Ok(None),
                None => self.fill(audit, notes).await?,
            }
        }
    }

    /// The next row, if it is of this aggregate.
    pub(super) async fn next_of(
        &mut self,
        aggregate_id: Uuid,
        audit: &mut dyn Audit,
        notes: &mut Notes<'_>,
    ) -> Result<Option<T>, Error> {
        if self.peek(audit, notes).await? != Some(aggregate_id) {
            return Ok(None);
        }
        notes.released(1);
        Ok(self.rows.pop_front().and_then(Result::ok))
    }

    /// Lets go of what was read ahead.
    pub(super) fn release(self, notes: &mut Notes<'_>) {
        notes.released(self.rows.len());
    }

    async fn fill(&mut self, audit: &mut dyn Audit, notes: &mut Notes<'_>) -> Result<(), Error> {
        let (page_rows, mut bytes, mut last) = (self.page_rows, 0, None);
        let rows = &mut self.rows;
        let mut take = |row: Taken<T>, key: T::Key, row_bytes: usize| {
            rows.push_back(row);
            last = Some(key);
            bytes += row_bytes;
            if rows.len() < page_rows && bytes < PAGE_BYTES {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let read = T::read(audit, self.after.as_ref(), &mut take).await;
        notes.holds(self.rows.len());
        notes.show_progress();
        self.is_at_end = self.rows.len() < page_rows && bytes < PAGE_BYTES;
        // Rows that came before an error are sound. A damaged index must not lead in circles.
        let behind = last.as_ref().or(self.after.as_ref()).map(T::behind).unwrap_or_default();
        let read = read.and_then(|()| match last {
            Some(last) if self.after.as_ref().is_some_and(|after| *after >= last) => {
                Err(Error::corrupt("its rows do not come in the order of their keys"))
            }
            Some(last) => {
                self.after = Some(last);
                Ok(())
            }
            None => Ok(()),
        });
        read.or_else(|error| {
            (self.is_at_end, self.has_failed) = (true, true);
            notes.take_failure(T::TABLE, &behind, error)
        })
    }
}

/// Holds an event that was read, or what of its row could be.
#[derive(Debug)]
pub(super) struct EventItem {
    pub(super) aggregate_id: Uuid,
    pub(super) sequence: i64,
    pub(super) position: i64,
    pub(super) event: Result<RecordedEvent, String>,
}

#[async_trait]
impl Item for EventItem {
    const TABLE: &'static str = "annals_events";
    type Key = EventKey;

    async fn read(audit: &mut dyn Audit, after: Option<&EventKey>, take: Take<'_, Self>) -> Result<(), Error> {
        let mut visit = |row: EventRow<'_>| {
            let key = EventKey { aggregate_id: row.aggregate_id.to_owned(), sequence: row.sequence };
            let bytes = row.event.as_ref().map_or(0, |event| event.payload.len() + event.metadata.len());
            let item = Uuid::from_slice(row.aggregate_id)
                .map(|aggregate_id| Self {
                    aggregate_id,
                    sequence: row.sequence,
                    position: row.position,
                    event: row.event.map(|event| event.to_recorded()),
                })
                .map_err(|_| {
                    let (sequence, position) = (row.sequence, row.position);
                    let message = format!(
                        "event {sequence} at position {position} cannot be read: its aggregate id is not 16 bytes"
                    );
                    Finding::new(FindingKind::EventUnreadable, message).in_log_at(position)
                });
            take(item, key, bytes)
        };
        audit.events(after, &mut visit).await
    }

    fn aggregate_id(&self) -> Uuid {
        self.aggregate_id
    }

    fn behind(key: &EventKey) -> String {
        format!(" behind event {} of aggregate {}", key.sequence, shown_id(&key.aggregate_id))
    }
}
