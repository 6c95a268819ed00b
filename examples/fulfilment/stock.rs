//! The stock of one article: what is free, and what is kept for orders.

use std::collections::{BTreeMap, BTreeSet};

use annals::Aggregate;
use serde::{Deserialize, Serialize};

/// The stock of an article. Nothing is ever lost in it: what came in is free, reserved or handed out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    pub received: u64,
    pub free: u64,
    pub handed_out: u64,
    /// By the order's number.
    pub reserved: BTreeMap<String, u32>,
    /// Orders whose release has come before their reservation, which therefore must not come any more.
    pub released_early: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StockCommand {
    Receive {
        quantity: u32,
    },
    Reserve {
        order: String,
        quantity: u32,
    },
    /// Undoes a reservation, also one that has not come yet.
    Release {
        order: String,
    },
    /// What was reserved leaves the house.
    HandOut {
        order: String,
    },
}

/// What can have happened to a stock. These names and shapes are stored: they stay readable for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[expect(clippy::enum_variant_names, reason = "a stored name says whose event it is")]
pub enum StockEvent {
    StockReceived { quantity: u32 },
    StockReserved { order: String, quantity: u32 },
    StockReleased { order: String, quantity: u32 },
    StockReleasedEarly { order: String },
    StockHandedOut { order: String, quantity: u32 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum StockRejection {
    #[error("a quantity is at least 1")]
    NoQuantity,
    #[error("{free} are left, not {asked}")]
    OutOfStock { free: u64, asked: u32 },
    #[error("it is reserved for the order already")]
    AlreadyReserved,
    #[error("the reservation was released before it came")]
    ReleasedEarly,
    #[error("nothing is reserved for the order")]
    NotReserved,
}

impl Aggregate for Stock {
    const TYPE: &'static str = "stock";
    type Command = StockCommand;
    type Event = StockEvent;
    type Rejection = StockRejection;

    fn decide(&self, command: &StockCommand) -> Result<Vec<StockEvent>, StockRejection> {
        Ok(vec![match command {
            StockCommand::Receive { quantity: 0 } | StockCommand::Reserve { quantity: 0, .. } => {
                return Err(StockRejection::NoQuantity);
            }
            StockCommand::Receive { quantity } => StockEvent::StockReceived { quantity: *quantity },
            StockCommand::Reserve { order, quantity } => self.reserve(order, *quantity)?,
            StockCommand::Release { order } => match self.reserved.get(order) {
                Some(quantity) => StockEvent::StockReleased { order: order.clone(), quantity: *quantity },
                None if self.released_early.contains(order) => return Ok(Vec::new()),
                None => StockEvent::StockReleasedEarly { order: order.clone() },
            },
            StockCommand::HandOut { order } => {
                let quantity = *self.reserved.get(order).ok_or(StockRejection::NotReserved)?;
                StockEvent::StockHandedOut { order: order.clone(), quantity }
            }
        }])
    }

    fn evolve(&mut self, event: &StockEvent) {
        match event {
            StockEvent::StockReceived { quantity } => {
                self.received += u64::from(*quantity);
                self.free += u64::from(*quantity);
            }
            StockEvent::StockReserved { order, quantity } => {
                self.free -= u64::from(*quantity);
                self.reserved.insert(order.clone(), *quantity);
            }
            StockEvent::StockReleased { order, quantity } => {
                self.reserved.remove(order);
                self.free += u64::from(*quantity);
            }
            StockEvent::StockReleasedEarly { order } => {
                self.released_early.insert(order.clone());
            }
            StockEvent::StockHandedOut { order, quantity } => {
                self.reserved.remove(order);
                self.handed_out += u64::from(*quantity);
            }
        }
    }
}

impl Stock {
    fn reserve(&self, order: &str, quantity: u32) -> Result<StockEvent, StockRejection> {
        if self.reserved.contains_key(order) {
            return Err(StockRejection::AlreadyReserved);
        }
        if self.released_early.contains(order) {
            return Err(StockRejection::ReleasedEarly);
        }
        if u64::from(quantity) > self.free {
            return Err(StockRejection::OutOfStock { free: self.free, asked: quantity });
        }
        Ok(StockEvent::StockReserved { order: order.to_owned(), quantity })
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::Scenario;

    use super::*;

    fn received(quantity: u32) -> StockEvent {
        StockEvent::StockReceived { quantity }
    }

    fn reserved(order: &str, quantity: u32) -> StockEvent {
        StockEvent::StockReserved { order: order.to_owned(), quantity }
    }

    fn released(order: &str, quantity: u32) -> StockEvent {
        StockEvent::StockReleased { order: order.to_owned(), quantity }
    }

    fn reserve(order: &str, quantity: u32) -> StockCommand {
        StockCommand::Reserve { order: order.to_owned(), quantity }
    }

    fn release(order: &str) -> StockCommand {
        StockCommand::Release { order: order.to_owned() }
    }

    fn hand_out(order: &str) -> StockCommand {
        StockCommand::HandOut { order: order.to_owned() }
    }

    #[test]
    fn what_is_free_can_be_reserved_and_no_more() {
        let given = || Scenario::<Stock>::given([received(3), reserved("1", 2)]);
        given().when(reserve("2", 1)).then([reserved("2", 1)]);
        given().when(reserve("2", 2)).then_rejected(StockRejection::OutOfStock { free: 1, asked: 2 });
        given().when(reserve("1", 1)).then_rejected(StockRejection::AlreadyReserved);
        given().when(reserve("2", 0)).then_rejected(StockRejection::NoQuantity);
        Scenario::<Stock>::given([])
            .when(StockCommand::Receive { quantity: 0 })
            .then_rejected(StockRejection::NoQuantity);
    }

    #[test]
    fn what_is_released_is_free_again() {
        let given = || Scenario::<Stock>::given([received(3), reserved("1", 2)]);
        given().when(release("1")).then([released("1", 2)]).then_state(|stock| stock.free == 3);
        let handed_out = StockEvent::StockHandedOut { order: "1".to_owned(), quantity: 2 };
        given().when(hand_out("1")).then([handed_out]).then_state(|stock| (stock.free, stock.handed_out) == (1, 2));
        given().when(hand_out("2")).then_rejected(StockRejection::NotReserved);
        let released = given().and_given([released("1", 2)]);
        released.when(hand_out("1")).then_rejected(StockRejection::NotReserved);
    }

    #[test]
    fn a_release_that_overtakes_its_reservation_refuses_it() {
        let early = StockEvent::StockReleasedEarly { order: "1".to_owned() };
        let given = || Scenario::<Stock>::given([received(3)]);
        given().when(release("1")).then([early.clone()]);
        let overtaken = || given().and_given([early.clone()]);
        overtaken().when(release("1")).then_nothing();
        overtaken().when(reserve("1", 1)).then_rejected(StockRejection::ReleasedEarly);
        overtaken().when(reserve("2", 1)).then([reserved("2", 1)]);
    }
}
