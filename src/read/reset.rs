//! What it means to move a subscription.

use chrono::{DateTime, Utc};

use crate::store::{Checkpoint, CheckpointStore, Cursor, Error, ParkedQuery, Position};

/// Says what moving a subscription does: as of one look.
///
/// Events are those of the log, chosen by its selection or not, of all partitions. They are counted up to a million.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reset {
    pub(super) to: Cursor,
    /// Events that are told again.
    pub told_again: u64,
    /// Events that are never told.
    pub passed_over: u64,
    /// Parked events that are told again, and parked no longer: counted up to 10,000.
    pub unparked: u64,
}

/// As far as events are counted.
const COUNTED: u64 = 1_000_000;

/// As far as parked events are counted.
const COUNTED_PARKED: u32 = 10_000;

impl Reset {
    /// Where all its partitions stand then: events behind it are told.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.to.position
    }

    /// When the event there was recorded; `None` where there is none.
    #[must_use]
    pub fn recorded_at(&self) -> Option<DateTime<Utc>> {
        self.to.event.map(|event| event.recorded_at)
    }

    /// There are at least so many events, and more than can be counted.
    #[must_use]
    pub const fn is_more(&self) -> bool {
        self.told_again >= COUNTED || self.passed_over >= COUNTED
    }

    pub(super) async fn plan<S: CheckpointStore>(
        store: &S,
        to: Cursor,
        partitions: &[Checkpoint],
    ) -> Result<Self, Error> {
        let positions = || partitions.iter().map(|checkpoint| checkpoint.cursor.position);
        let (least, greatest) = (positions().min().unwrap_or_default(), positions().max().unwrap_or_default());
        let behind = store.count_after(to.position).await?;
        let told_again = match to.position < greatest {
            // More than can be counted lie behind it: how many of them were told, nobody knows.
            true if behind >= COUNTED => COUNTED,
            true => behind.saturating_sub(store.count_after(greatest).await?),
            false => 0,
        };
        let passed_over = match least < to.position {
            true => match store.count_after(least).await? {
                all if all >= COUNTED => COUNTED,
                all => all.saturating_sub(behind),
            },
            false => 0,
        };
        let name = partitions.first().map_or("", |checkpoint| checkpoint.consumer.name()).to_owned();
        let query = ParkedQuery { name, aggregate_id: None, after: to.position, limit: COUNTED_PARKED };
        let unparked = store.parked(&query).await?.len() as u64;
        Ok(Self { to, told_again, passed_over, unparked })
    }
}
