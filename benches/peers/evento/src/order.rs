//! The events of an order in evento.

use annals_contest as contest;
use evento::{AggregateEvent, WriteBuilder};

/// The aggregate. The macro makes a type of each event, and `OrderEvent` of all.
#[evento::aggregate(name = "contest/Order")]
pub(crate) enum Order {
    Placed { customer: String, country: String },
    LineAdded { sku: String, description: String, quantity: u64, unit_price_cents: u64 },
    Paid { method: String, amount_cents: u64 },
    Shipped { carrier: String, tracking: String },
}

/// Adds an event to what is to be written.
pub(crate) fn add(to: &mut WriteBuilder, event: contest::OrderEvent) {
    match event.into() {
        OrderEvent::Placed(placed) => to.event(&placed),
        OrderEvent::LineAdded(line) => to.event(&line),
        OrderEvent::Paid(paid) => to.event(&paid),
        OrderEvent::Shipped(shipped) => to.event(&shipped),
    };
}

/// An event as the store keeps it: its name and its bytes.
pub(crate) fn encoded(event: contest::OrderEvent) -> (&'static str, Vec<u8>) {
    fn named<E: AggregateEvent + bitcode::Encode>(event: &E) -> (&'static str, Vec<u8>) {
        (E::event_name(), bitcode::encode(event))
    }
    match event.into() {
        OrderEvent::Placed(placed) => named(&placed),
        OrderEvent::LineAdded(line) => named(&line),
        OrderEvent::Paid(paid) => named(&paid),
        OrderEvent::Shipped(shipped) => named(&shipped),
    }
}

impl From<contest::OrderEvent> for OrderEvent {
    fn from(event: contest::OrderEvent) -> Self {
        match event {
            contest::OrderEvent::Placed(contest::Placed { customer, country }) => {
                Self::Placed(Placed { customer, country })
            }
            contest::OrderEvent::LineAdded(contest::LineAdded { sku, description, quantity, unit_price_cents }) => {
                Self::LineAdded(LineAdded { sku, description, quantity, unit_price_cents })
            }
            contest::OrderEvent::Paid(contest::Paid { method, amount_cents }) => {
                Self::Paid(Paid { method, amount_cents })
            }
            contest::OrderEvent::Shipped(contest::Shipped { carrier, tracking }) => {
                Self::Shipped(Shipped { carrier, tracking })
            }
        }
    }
}

impl From<OrderEvent> for contest::OrderEvent {
    fn from(event: OrderEvent) -> Self {
        match event {
            OrderEvent::Placed(Placed { customer, country }) => Self::Placed(contest::Placed { customer, country }),
            OrderEvent::LineAdded(LineAdded { sku, description, quantity, unit_price_cents }) => {
                Self::LineAdded(contest::LineAdded { sku, description, quantity, unit_price_cents })
            }
            OrderEvent::Paid(Paid { method, amount_cents }) => Self::Paid(contest::Paid { method, amount_cents }),
            OrderEvent::Shipped(Shipped { carrier, tracking }) => Self::Shipped(contest::Shipped { carrier, tracking }),
        }
    }
}
