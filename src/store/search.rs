//! Looks into a store: events by what they are, and how the requests of an aggregate ended.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::time::Duration;
use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Direction, Error, EventStore, IdempotencyKey, Position, Receipt, Selection, Visit};

/// Finds events and receipts for whoever looks into a store. Object-safe.
///
/// For people and their tools. Whoever follows the log reads it with [`EventStore::read_log`].
#[async_trait]
pub trait Search: EventStore {
    /// Visits the events that a search asks for, as they are stored: their checksums are not looked at.
    ///
    /// Up to the head of the log as it was when the search began. Events are read page by page, with bounded memory. By
    /// position they are found at once; by all else every event between the two positions is looked at.
    ///
    /// # Errors
    ///
    /// The visitor's error, as it is; [`Error::Invalid`]: mend the search; a failed read, never fewer events that look like all.
    async fn find_events(&self, search: &EventSearch, visit: Visit<'_>) -> Result<EventsFound, Error>;

    /// Lists receipts of an aggregate in the order of their keys, those that have expired as well.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: mend the query; a failed read.
    async fn list_receipts(&self, query: &ReceiptQuery) -> Result<Vec<KeyedReceipt>, Error>;
}

/// Asks for events of the log by what they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventSearch {
    /// By aggregate type and event type.
    pub selection: Selection,
    /// Events after this position.
    pub after: Position,
    /// Events up to and including this position; `None`: up to the head of the log.
    pub until: Option<Position>,
    /// Events recorded at this time or later; `None`: whenever.
    ///
    /// Times are information, never an order: a clock that was set back leaves earlier times behind later ones.
    pub recorded_from: Option<DateTime<Utc>>,
    /// Events recorded before this time; `None`: whenever.
    pub recorded_before: Option<DateTime<Utc>>,
    /// Events whose metadata name this correlation; `None`: any, or none.
    pub correlation_id: Option<String>,
    /// Oldest first, or newest first.
    pub direction: Direction,
    /// The most events; `None`: no bound.
    pub limit: Option<u64>,
}

/// The most bytes of a correlation id that is searched for.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const CORRELATION_BYTES: usize = 64 << 10;

impl EventSearch {
    /// Asks for every event, oldest first.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Asks for the event at a position.
    #[must_use]
    pub fn at(position: Position) -> Self {
        Self::all().after(Position::new(position.get().saturating_sub(1))).until(position)
    }

    /// Chooses by aggregate type and event type.
    #[must_use]
    pub fn select(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Leaves out events up to and including this position.
    #[must_use]
    pub const fn after(mut self, position: Position) -> Self {
        self.after = position;
        self
    }

    /// Leaves out events after this position.
    #[must_use]
    pub const fn until(mut self, position: Position) -> Self {
        self.until = Some(position);
        self
    }

    /// Leaves out events recorded before this time.
    #[must_use]
    pub const fn recorded_from(mut self, time: DateTime<Utc>) -> Self {
        self.recorded_from = Some(time);
        self
    }

    /// Leaves out events recorded at this time or later.
    #[must_use]
    pub const fn recorded_before(mut self, time: DateTime<Utc>) -> Self {
        self.recorded_before = Some(time);
        self
    }

    /// Chooses events whose metadata name this correlation.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Finds the newest first.
    #[must_use]
    pub const fn newest_first(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// Finds this many events at the most.
    #[must_use]
    pub const fn limit(mut self, events: u64) -> Self {
        self.limit = Some(events);
        self
    }

    /// Makes sure that the search can be sent to any database.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn check(&self) -> Result<(), Error> {
        let types = [&self.selection.aggregate_types, &self.selection.event_types];
        let types = types.into_iter().flatten().flatten();
        if types.chain(&self.correlation_id).any(|text| text.contains('\0')) {
            return Err(Error::invalid("what is searched for cannot hold a zero character"));
        }
        let bytes = self.correlation_id.as_ref().map_or(0, String::len);
        super::limits::bounded("bytes in a correlation id", bytes, CORRELATION_BYTES)
    }

    /// Tells whether rows are left out by anything but their positions.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn is_filtered(&self) -> bool {
        let is_by_time = self.recorded_from.is_some() || self.recorded_before.is_some();
        is_by_time || self.correlation_id.is_some() || self.selection != Selection::all()
    }
}

/// Answers an [`EventSearch`] beside the events that were visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsFound {
    /// How many were visited.
    pub events: u64,
    /// The head of the log when the search began: no event after it was looked at.
    pub head: Position,
}

/// Asks for the receipts of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptQuery {
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// Receipts under keys after this one, byte by byte; `None`: from the first.
    pub after: Option<IdempotencyKey>,
    /// Those of rejected requests only.
    pub rejected_only: bool,
    /// The most receipts, 1 to 1,000.
    pub limit: u32,
}

impl ReceiptQuery {
    /// The most receipts of one answer.
    pub const MAX_RECEIPTS: u32 = 1_000;

    /// Asks for the first 1,000 receipts of an aggregate.
    #[must_use]
    pub fn of(aggregate_id: impl Into<Uuid>) -> Self {
        Self { aggregate_id: aggregate_id.into(), after: None, rejected_only: false, limit: Self::MAX_RECEIPTS }
    }

    /// Goes on after a key.
    #[must_use]
    pub fn after(mut self, key: IdempotencyKey) -> Self {
        self.after = Some(key);
        self
    }

    /// Leaves out the receipts of accepted requests.
    #[must_use]
    pub const fn rejected_only(mut self) -> Self {
        self.rejected_only = true;
        self
    }

    /// Lists this many receipts at the most, 1 to 1,000.
    #[must_use]
    pub const fn limit(mut self, receipts: u32) -> Self {
        self.limit = receipts;
        self
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(1..=Self::MAX_RECEIPTS).contains(&self.limit) {
            return Err(Error::invalid(format!("1 to {} receipts are listed at once", Self::MAX_RECEIPTS)));
        }
        Ok(())
    }

    /// The outcome that is asked for; `None`: any.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn outcome(&self) -> Option<&'static str> {
        self.rejected_only.then_some("rejected")
    }

    /// The key after which the list begins. Every key is longer than none.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn after_key(&self) -> &str {
        self.after.as_ref().map_or("", IdempotencyKey::as_str)
    }
}

/// Holds a receipt and the key it is kept under.
///
/// `Debug` shows neither key nor rejection: both stay out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyedReceipt {
    /// The client's key, or the store's own: see [`IdempotencyKey::is_own`].
    pub key: IdempotencyKey,
    /// The receipt.
    pub receipt: Receipt,
}

impl fmt::Debug for KeyedReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command_id = &self.receipt.command_id;
        f.debug_struct("KeyedReceipt").field("key", &self.key).field("command_id", command_id).finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: Search + ?Sized> Search for Arc<S> {
    async fn find_events(&self, search: &EventSearch, visit: Visit<'_>) -> Result<EventsFound, Error> {
        (**self).find_events(search, visit).await
    }

    async fn list_receipts(&self, query: &ReceiptQuery) -> Result<Vec<KeyedReceipt>, Error> {
        (**self).list_receipts(query).await
    }
}

/// The most events that one statement reads.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const PAGE_EVENTS: u64 = 4_096;

/// How many positions the first statement of a search looks through for what is rare, and the fewest that any does.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const FIRST_POSITIONS: u64 = 1 << 16;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const FEWEST_POSITIONS: u64 = 1 << 10;

/// A statement that is done sooner is followed by one that looks through twice as much; one that takes longer, by half.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const SHORT: Duration = Duration::from_millis(200);
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const LONG: Duration = Duration::from_secs(1);

/// Divides a search into statements, each with a bound on what it reads and looks through.
///
/// So that no statement runs into a time-out, however rare is what is searched for and however large the log; nor does
/// it take a thousand of them where an index finds it at once.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug)]
pub(crate) struct SearchPages {
    /// What is left to be looked through: after the one, up to the other.
    after: Position,
    to: Position,
    direction: Direction,
    left: u64,
    /// How many positions the next statement looks through.
    positions: u64,
    is_filtered: bool,
    found: EventsFound,
}

/// What one statement reads.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SearchPage {
    pub(crate) after: Position,
    pub(crate) to: Position,
    pub(crate) events: u64,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl SearchPages {
    /// Divides a search of a log that ends here.
    pub(crate) fn of(search: &EventSearch, head: Position) -> Self {
        Self {
            after: search.after,
            to: search.until.map_or(head, |until| until.min(head)),
            direction: search.direction,
            left: search.limit.unwrap_or(u64::MAX),
            positions: FIRST_POSITIONS,
            is_filtered: search.is_filtered(),
            found: EventsFound { events: 0, head },
        }
    }

    /// The next statement; `None` where there is nothing left.
    pub(crate) fn next(&self) -> Option<SearchPage> {
        if self.after >= self.to || self.left == 0 {
            return None;
        }
        let positions = if self.is_filtered { self.positions } else { u64::MAX };
        let (after, to) = match self.direction {
            Direction::Forward => (self.after, Position::new(self.after.get().saturating_add(positions)).min(self.to)),
            Direction::Backward => (Position::new(self.to.get().saturating_sub(positions)).max(self.after), self.to),
        };
        Some(SearchPage { after, to, events: self.left.min(PAGE_EVENTS) })
    }

    /// Notes what a statement has read: how many events, and where the last of them stands.
    pub(crate) fn turn(&mut self, page: SearchPage, (events, last): (u64, Position), took: Duration) {
        self.left -= events.min(self.left);
        self.found.events += events;
        let is_full = events >= page.events;
        match self.direction {
            Direction::Forward => self.after = if is_full { last } else { page.to },
            Direction::Backward => self.to = if is_full { Position::new(last.get() - 1) } else { page.after },
        }
        if took <= SHORT {
            self.positions = self.positions.saturating_mul(2);
        } else if took >= LONG {
            self.positions = (self.positions / 2).max(FEWEST_POSITIONS);
        }
    }

    /// What there is to say of the whole search.
    pub(crate) const fn found(&self) -> EventsFound {
        self.found
    }
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
mod tests {
    use super::*;

    /// Goes through a log of so many events, of which every so-many-th is found, and returns the positions in their order
    /// and how many statements it took.
    fn walk(search: &EventSearch, head: u64, every: u64, took: Duration) -> (Vec<u64>, u64) {
        let mut pages = SearchPages::of(search, Position::new(head));
        let (mut found, mut statements) = (Vec::new(), 0);
        while let Some(page) = pages.next() {
            let among = (page.after.get() + 1..=page.to.get()).filter(|position| position.is_multiple_of(every));
            let most = usize::try_from(page.events).unwrap();
            let read: Vec<u64> = match search.direction {
                Direction::Forward => among.take(most).collect(),
                Direction::Backward => among.rev().take(most).collect(),
            };
            let last = read.last().map_or(Position::START, |last| Position::new(*last));
            pages.turn(page, (read.len() as u64, last), took);
            found.extend(read);
            statements += 1;
        }
        assert_eq!(pages.found(), EventsFound { events: found.len() as u64, head: Position::new(head) });
        (found, statements)
    }

    #[test]
    fn a_search_finds_everything_once_whichever_way_it_goes() {
        let rare = EventSearch::all().correlation_id("c");
        for (search, every) in [(EventSearch::all(), 1), (rare.clone(), 3), (rare, 70_001)] {
            let all: Vec<u64> = (1..=200_000).filter(|position: &u64| position.is_multiple_of(every)).collect();
            assert_eq!(walk(&search, 200_000, every, SHORT).0, all);
            let mut back = walk(&search.clone().newest_first(), 200_000, every, SHORT).0;
            back.reverse();
            assert_eq!(back, all);
            let few = search.clone().after(Position::new(10)).until(Position::new(9_000)).limit(7);
            let among: Vec<u64> = all.iter().copied().filter(|at| (11..=9_000).contains(at)).collect();
            assert_eq!(walk(&few, 200_000, every, SHORT).0, among[..among.len().min(7)]);
            let newest: Vec<u64> = among.iter().rev().take(7).copied().collect();
            assert_eq!(walk(&few.newest_first(), 200_000, every, SHORT).0, newest);
        }
        assert_eq!(walk(&EventSearch::all(), 0, 1, SHORT), (vec![], 0));
        assert_eq!(walk(&EventSearch::all().limit(0), 9, 1, SHORT), (vec![], 0));
        assert_eq!(walk(&EventSearch::all().after(Position::new(u64::MAX)).newest_first(), 9, 1, SHORT), (vec![], 0));
    }

    #[test]
    fn statements_grow_where_they_are_quick_and_shrink_where_they_are_slow() {
        let rare = EventSearch::all().correlation_id("c");
        let (_, quick) = walk(&rare, 10_000_000, 1 << 40, SHORT);
        assert!(quick <= 8, "{quick}");
        let (_, slow) = walk(&rare, 1_000_000, 1 << 40, LONG);
        assert!(slow > 500, "{slow}");
    }
}
