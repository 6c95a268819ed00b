//! The same, kept in memory between two commands: so evento's documents keep what commands decide by.
//!
//! What is younger than its margin of a second is not kept yet. Nothing that is kept is ever let go.

use annals_contest as contest;
use anyhow::Result;
use evento::{Executor, Projection, metadata::Event};

use crate::order::{LineAdded, Order, OrderEvent, Paid, Placed, Shipped};

/// An order, as it stood when it was last seen.
#[evento::projection(id = id)]
#[evento::snapshot(memory)]
pub(crate) struct KeptOrder {
    pub(crate) id: String,
    pub(crate) order: contest::Order,
}

/// How an order is loaded.
pub(crate) fn orders<E: Executor>() -> Projection<E, KeptOrder> {
    Projection::new::<Order>()
        .handler(on_placed())
        .handler(on_line_added())
        .handler(on_paid())
        .handler(on_shipped())
        .strict()
}

#[evento::handler]
async fn on_placed(event: Event<Placed>, state: &mut KeptOrder) -> Result<()> {
    state.id.clone_from(&event.aggregate_id);
    state.order.evolve(&OrderEvent::Placed(event.data).into());
    Ok(())
}

#[evento::handler]
async fn on_line_added(event: Event<LineAdded>, state: &mut KeptOrder) -> Result<()> {
    state.order.evolve(&OrderEvent::LineAdded(event.data).into());
    Ok(())
}

#[evento::handler]
async fn on_paid(event: Event<Paid>, state: &mut KeptOrder) -> Result<()> {
    state.order.evolve(&OrderEvent::Paid(event.data).into());
    Ok(())
}

#[evento::handler]
async fn on_shipped(event: Event<Shipped>, state: &mut KeptOrder) -> Result<()> {
    state.order.evolve(&OrderEvent::Shipped(event.data).into());
    Ok(())
}
