//! What the events of an order come to, folded anew for each load.

use annals_contest as contest;
use anyhow::Result;
use evento::{Executor, Projection, metadata::Event};

use crate::order::{LineAdded, Order, OrderEvent, Paid, Placed, Shipped};

/// An order. No snapshot of it is kept, not in the database and not in memory.
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
