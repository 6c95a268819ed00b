//! An order as a state of disintegrate, and its commands as decisions.

use annals_contest::{LineAdded, Order, OrderCommand, OrderEvent, OrderRejection, Paid, Placed, Shipped};
use disintegrate::{Decision, Event, StateMutate, StateQuery};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Its events: each bears the id that states are queried by.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
pub(crate) enum Happened {
    OrderPlaced {
        #[id]
        order_id: Uuid,
        placed: Placed,
    },
    OrderLineAdded {
        #[id]
        order_id: Uuid,
        line: LineAdded,
    },
    OrderPaid {
        #[id]
        order_id: Uuid,
        paid: Paid,
    },
    OrderShipped {
        #[id]
        order_id: Uuid,
        shipped: Shipped,
    },
}

impl Happened {
    pub(crate) fn to(order_id: Uuid, event: OrderEvent) -> Self {
        match event {
            OrderEvent::Placed(placed) => Self::OrderPlaced { order_id, placed },
            OrderEvent::LineAdded(line) => Self::OrderLineAdded { order_id, line },
            OrderEvent::Paid(paid) => Self::OrderPaid { order_id, paid },
            OrderEvent::Shipped(shipped) => Self::OrderShipped { order_id, shipped },
        }
    }

    pub(crate) fn into_parts(self) -> (Uuid, OrderEvent) {
        match self {
            Self::OrderPlaced { order_id, placed } => (order_id, OrderEvent::Placed(placed)),
            Self::OrderLineAdded { order_id, line } => (order_id, OrderEvent::LineAdded(line)),
            Self::OrderPaid { order_id, paid } => (order_id, OrderEvent::Paid(paid)),
            Self::OrderShipped { order_id, shipped } => (order_id, OrderEvent::Shipped(shipped)),
        }
    }
}

/// The state: what it is queried by, and the order that its events come to.
#[derive(Debug, Default, Clone, StateQuery, Serialize, Deserialize)]
#[state_query(Happened)]
pub(crate) struct OrderState {
    #[id]
    order_id: Uuid,
    pub(crate) order: Order,
}

impl OrderState {
    pub(crate) fn new(order_id: Uuid) -> Self {
        Self { order_id, order: Order::default() }
    }
}

impl StateMutate for OrderState {
    fn mutate(&mut self, event: Self::Event) {
        self.order.evolve(&event.into_parts().1);
    }
}

/// A command on an order.
#[derive(Debug, Clone)]
pub(crate) struct Decide {
    pub(crate) order_id: Uuid,
    pub(crate) command: OrderCommand,
}

impl Decision for Decide {
    type Event = Happened;
    type StateQuery = OrderState;
    type Error = OrderRejection;

    fn state_query(&self) -> OrderState {
        OrderState::new(self.order_id)
    }

    fn process(&self, state: &OrderState) -> Result<Vec<Happened>, OrderRejection> {
        Ok(vec![Happened::to(self.order_id, state.order.decide(&self.command)?)])
    }
}
