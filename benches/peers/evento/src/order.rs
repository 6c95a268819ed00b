//! An order in evento: its events, and the projection that commands decide by.

use annals_contest as contest;
use anyhow::Result;
use evento::{AggregateEvent, Executor, Projection, WriteBuilder, metadata::Event};

/// The aggregate. The macro makes a type of each event, and `OrderEvent` of all.
#[evento::aggregate(name = "contest/Order")]
pub(crate) enum Order {
    Placed { customer: String, country: String },
    LineAdded { sku: String, description: String, quantity: u64, unit_price_cents: u64 },
    Paid { method: String, amount_cents: u64 },
    Shipped { carrier: String, tracking: String },
}

/// What its events come to. No snapshot of it is kept, not in the database and not in memory.
///
/// Its documents keep what commands decide by in memory. None of the work here gains by that: what is younger than its
/// margin of a second is never kept, and the orders here live shorter.
#[evento::projection(id = id)]
#[evento::snapshot(none)]
pub(crate) struct OrderState {
    pub(crate) id: String,
    pub(crate) order: contest::Order,
}

/// How an order is loaded.
pub(crate) fn orders<E: Executor>() -> Projection<E, OrderState> {
    Projection::new::<Order>()
        .handler(on_placed())
        .handler(on_line_added())
        .handler(on_paid())
        .handler(on_shipped())
        .strict()
}

#[evento::handler]
async fn on_placed(event: Event<Placed>, state: &mut OrderState) -> Result<()> {
    state.id.clone_from(&event.aggregate_id);
    state.order.evolve(&OrderEvent::Placed(event.data).into());
    Ok(())
}

#[evento::handler]
async fn on_line_added(event: Event<LineAdded>, state: &mut OrderState) -> Result<()> {
    state.order.evolve(&OrderEvent::LineAdded(event.data).into());
    Ok(())
}

#[evento::handler]
async fn on_paid(event: Event<Paid>, state: &mut OrderState) -> Result<()> {
    state.order.evolve(&OrderEvent::Paid(event.data).into());
    Ok(())
}

#[evento::handler]
async fn on_shipped(event: Event<Shipped>, state: &mut OrderState) -> Result<()> {
    state.order.evolve(&OrderEvent::Shipped(event.data).into());
    Ok(())
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
