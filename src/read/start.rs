//! Where a consumer begins that has no checkpoint yet.

use chrono::{DateTime, Utc};

use crate::store::{Cursor, Error, EventStore, LogQuery, Position};

/// Says where a consumer begins, the first time it ever runs.
///
/// From then on it goes on where its checkpoint stands, whatever is said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Start {
    /// With the first event of the log.
    #[default]
    Beginning,
    /// With what is recorded from now on.
    Now,
    /// With the first event after this position.
    After(Position),
    /// With the first event that was recorded at this time or later.
    ///
    /// And all behind it in the log.
    ///
    /// Found by reading the log up to there. Behind it there can be events of earlier times, where clocks differ.
    Since(DateTime<Utc>),
}

/// How many events of the log are read at once, to find the first of a time.
const PAGE_EVENTS: u64 = 10_000;

impl Start {
    /// Finds the place in the log.
    pub(super) async fn cursor(self, store: &impl EventStore) -> Result<Cursor, Error> {
        match self {
            Self::Beginning => Ok(Cursor::START),
            Self::Now => at(store, store.head().await?).await,
            Self::After(position) => at(store, position).await,
            Self::Since(time) => before(store, time).await,
        }
    }
}

/// The place of a position, with the event there, if there is one.
async fn at(store: &impl EventStore, position: Position) -> Result<Cursor, Error> {
    let mut cursor = Cursor { position, event: None };
    // Whatever stands between this and the position asked for: nothing does.
    let query = LogQuery::all().after(Position::new(position.get().saturating_sub(1))).limit(1);
    let visit = &mut |event: crate::store::EventRef<'_>| {
        if event.position == position {
            cursor = Cursor::from(&event);
        }
        Ok(())
    };
    store.read_log(&query, visit).await?;
    Ok(cursor)
}

/// The place before the first event of a time or later.
async fn before(store: &impl EventStore, time: DateTime<Utc>) -> Result<Cursor, Error> {
    let (mut cursor, mut is_found) = (Cursor::START, false);
    loop {
        let query = LogQuery::all().after_cursor(cursor).limit(PAGE_EVENTS);
        let mut visited = 0;
        let visit = &mut |event: crate::store::EventRef<'_>| {
            visited += 1;
            is_found |= event.recorded_at >= time;
            if !is_found {
                cursor = Cursor::from(&event);
            }
            Ok(())
        };
        store.read_log(&query, visit).await?;
        if is_found || visited < PAGE_EVENTS {
            return Ok(cursor);
        }
    }
}
