//! Who is compared. A contender is one file behind two small traits, and a line in [`all`].

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    order::{Order, OrderCommand, OrderEvent},
    place::{Engine, Place},
    work::Work,
};

mod annals;
mod by_hand;
mod by_hand_on_annals;
mod by_hand_on_postgres;
mod raw;

pub(crate) use by_hand::pool as sqlite_pool;

/// The contender that all others are compared with.
pub(crate) const BASELINE: &str = "by hand";

/// One way to keep orders.
#[async_trait]
pub(crate) trait Contender: Send + Sync {
    /// Its name in the table.
    fn name(&self) -> String;

    /// Why it takes no part in a piece of work, if it does not.
    fn abstains(&self, _: Work) -> Option<&'static str> {
        None
    }

    /// Makes a fresh database in an empty place.
    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>>;
}

/// The orders of one contender.
#[async_trait]
pub(crate) trait Orders: Send + Sync {
    /// Runs a command on an order, and returns when its event is durable.
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()>;

    /// Writes a ready-made history.
    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()>;

    /// Loads an order from the database.
    async fn load(&self, order: Uuid) -> Result<Order>;

    /// Closes the database, so that all it holds is in its files.
    async fn close(&self) -> Result<()>;
}

/// All contenders on one kind of database, in the order of the table.
pub(crate) fn all(engine: Engine) -> Vec<Box<dyn Contender>> {
    match engine {
        Engine::Sqlite => on_sqlite(),
        Engine::Postgres => on_postgres(),
    }
}

fn on_sqlite() -> Vec<Box<dyn Contender>> {
    use self::{
        annals::Annals, by_hand::ByHand, by_hand_on_annals::ByHandOnAnnals, raw::InsertEach, raw::InsertWaiting,
    };

    let annals = Annals::default();
    vec![
        Box::new(ByHand { connections: 4 }),
        Box::new(ByHand { connections: 1 }),
        Box::new(ByHandOnAnnals),
        Box::new(Annals { without_queue: true, ..annals }),
        Box::new(annals),
        Box::new(Annals { keys: true, ..annals }),
        Box::new(Annals { cache: true, ..annals }),
        Box::new(Annals { cache: true, keys: true, ..annals }),
        Box::new(Annals { snapshots: true, ..annals }),
        Box::new(InsertEach),
        Box::new(InsertWaiting),
    ]
}

fn on_postgres() -> Vec<Box<dyn Contender>> {
    use self::{
        annals::Annals,
        by_hand_on_postgres::{ByHandOnPostgres, InsertEach},
    };

    let annals = Annals::default();
    vec![
        Box::new(ByHandOnPostgres { connections: 16, without_pings: false }),
        Box::new(ByHandOnPostgres { connections: 4, without_pings: false }),
        Box::new(ByHandOnPostgres { connections: 64, without_pings: false }),
        Box::new(ByHandOnPostgres { connections: 16, without_pings: true }),
        Box::new(Annals { without_queue: true, ..annals }),
        Box::new(annals),
        Box::new(Annals { keys: true, ..annals }),
        Box::new(Annals { cache: true, ..annals }),
        Box::new(Annals { cache: true, keys: true, ..annals }),
        Box::new(Annals { snapshots: true, ..annals }),
        Box::new(InsertEach),
    ]
}
