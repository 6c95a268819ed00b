//! Who is compared.

use std::sync::Arc;

use anyhow::{Result, bail};
use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    order::{Order, OrderCommand, OrderEvent, Turnover},
    place::{Engine, Place},
    summary::Summary,
    work::Work,
};

/// One way to keep orders.
#[async_trait]
pub trait Contender: Send + Sync {
    /// Its name in the table.
    fn name(&self) -> String;

    /// Which version of what it is made of, where it is not ours.
    fn version(&self) -> Option<&'static str> {
        None
    }

    /// Where it keeps them.
    fn engine(&self) -> Engine;

    /// Why it takes no part in a piece of work, if it does not.
    fn abstains(&self, _: Work) -> Option<&'static str> {
        None
    }

    /// Opens the database in a place, and makes what it needs where the place is empty.
    async fn open(&self, place: &Place) -> Result<Arc<dyn Orders>>;
}

/// What a log was folded into.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Turnovers {
    /// How many events there were.
    pub events: u64,
    /// What they come to.
    pub turnover: Turnover,
}

impl Turnovers {
    /// Folds an event.
    pub fn add(&mut self, event: &OrderEvent) {
        self.events += 1;
        self.turnover.add(event);
    }
}

/// Is told of each event that a subscriber was handed.
pub type Seen = Arc<dyn Fn(Uuid, &OrderEvent) + Send + Sync>;

/// The orders of one contender.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Runs a command on an order, and returns when its event is durable.
    ///
    /// Where it met another it is run again, as the contender's own documents say or as anyone would.
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()>;

    /// Runs the command of a request that has a name, which all its retries bear.
    ///
    /// A contender that has a use for the name uses it: whoever has none runs the command as any other.
    async fn execute_request(&self, order: Uuid, command: &OrderCommand, _request: &str) -> Result<()> {
        self.execute(order, command).await
    }

    /// Writes a ready-made history of an order that does not exist yet.
    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()>;

    /// Writes the ready-made histories of many orders, none of which exists yet, in whichever way is fastest.
    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        for (order, history) in histories {
            self.fill(*order, history).await?;
        }
        Ok(())
    }

    /// Loads an order from the database: from its events, with no state kept between two loads.
    async fn load(&self, order: Uuid) -> Result<Order>;

    /// Reads all events of all orders, in the order of the log where there is one, and folds them.
    async fn read_log(&self) -> Result<Turnovers> {
        bail!("it reads no log")
    }

    /// Makes a table with a row for each order of all events, anew and from the first of them, and gives their number.
    ///
    /// It is done when the table that readers see has the effect of every event. The contender has a read side that goes
    /// through the log and writes to tables, or it abstains: nobody is measured with a loop that a user would have to write.
    async fn rebuild(&self) -> Result<u64> {
        bail!("it rebuilds nothing")
    }

    /// Reads the table that was made.
    async fn summaries(&self) -> Result<Vec<(Uuid, Summary)>> {
        bail!("it has no table")
    }

    /// Starts a subscriber that lasts as long as the orders are open, from the beginning of the log.
    async fn subscribe(&self, _seen: Seen) -> Result<()> {
        bail!("it has no subscribers")
    }

    /// Closes the database, so that all it holds is in its files.
    async fn close(&self) -> Result<()>;
}
