//! The readers of a log of orders.

use annals::{EventStore, LogQuery, PostgresStore, Selection, SqliteStore, Upcasters};
use annals_contest::{OrderEvent, Place, Turnover};
use anyhow::Result;
use uuid::Uuid;

use super::{Reader, by_hand::ByHand};
use crate::contender::Annals;

/// The kinds of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lot {
    Order,
    /// Every fourth.
    Wholesale,
}

impl Lot {
    /// Of which kind the order with this number is.
    pub(crate) const fn of(number: u64) -> Self {
        if number % 4 == 3 { Self::Wholesale } else { Self::Order }
    }

    pub(crate) const fn aggregate_type(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Wholesale => "wholesale-order",
        }
    }
}

/// What a reader makes of a log: figures of which each event changes one or more.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) events: u64,
    turnover: Turnover,
    aggregates: u128,
    positions: u64,
    last_position: u64,
}

impl Fold {
    pub(super) fn step(&mut self, position: u64, aggregate_id: Uuid, event: &OrderEvent) {
        self.events += 1;
        self.turnover.add(event);
        // Moved on with each event, so that the order counts as well.
        self.aggregates = self.aggregates.rotate_left(1) ^ aggregate_id.as_u128();
        self.positions += u64::from(position > self.last_position);
        self.last_position = position;
    }

    /// Whether each position was greater than the one before.
    pub(super) const fn is_in_order(&self) -> bool {
        self.positions == self.events
    }
}

pub(super) enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

/// The database within its directory: the one that the contender opens.
pub(crate) const FILE: &str = Annals::FILE;

impl Store {
    pub(super) async fn open(place: &Place) -> Result<Self> {
        Ok(match place {
            Place::Directory(directory) => Self::Sqlite(SqliteStore::open(directory.join(FILE)).await?),
            Place::Url(url) => Self::Postgres(PostgresStore::connect(url).await?),
        })
    }

    pub(super) fn events(&self) -> &dyn EventStore {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }

    /// Reads the log, or the orders of one kind in it, and folds it.
    async fn fold(&self, lot: Option<Lot>) -> Result<Fold> {
        let mut query = LogQuery::all();
        if let Some(lot) = lot {
            query = query.select(Selection::all().aggregate_types([lot.aggregate_type()]));
        }
        let (mut fold, upcasters) = (Fold::default(), Upcasters::none());
        self.events()
            .read_log(&query, &mut |event| {
                fold.step(event.position.get(), event.aggregate_id, &event.decode(&upcasters)?);
                Ok(())
            })
            .await?;
        Ok(fold)
    }
}

/// A reader with its database open.
pub(super) enum Opened {
    ByHand(ByHand),
    Annals(Store),
}

impl Opened {
    pub(super) async fn open(place: &Place, reader: Reader) -> Result<Self> {
        Ok(match reader {
            Reader::ByHand => Self::ByHand(ByHand::open(place, false).await?),
            Reader::ByHandAll => Self::ByHand(ByHand::open(place, true).await?),
            Reader::Annals => Self::Annals(Store::open(place).await?),
        })
    }

    pub(super) async fn fold(&mut self, lot: Option<Lot>) -> Result<Fold> {
        match self {
            Self::ByHand(by_hand) => by_hand.fold(lot).await,
            Self::Annals(store) => store.fold(lot).await,
        }
    }
}
