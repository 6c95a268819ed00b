//! An order as an aggregate of esrs.

use annals_contest::{Order, OrderCommand, OrderEvent, OrderRejection};
use esrs::Aggregate;

/// The aggregate: to esrs that is a name and two functions, the state is a type beside it.
#[derive(Debug)]
pub(crate) struct OrderAggregate;

impl Aggregate for OrderAggregate {
    const NAME: &'static str = "orders";

    type State = Order;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Error = OrderRejection;

    fn handle_command(state: &Order, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderRejection> {
        Ok(vec![state.decide(&command)?])
    }

    fn apply_event(mut state: Order, event: OrderEvent) -> Order {
        state.evolve(&event);
        state
    }
}
