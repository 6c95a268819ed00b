//! The process: what is done about an order, and what is done when something of it cannot be done.
//!
//! ```text
//! order placed ─▶ charge ─▶ reserve each article ─▶ book the shipment ─▶ (the warehouse hands over) ─▶ hand out, mark shipped
//!                   │             │                                               │
//!                declined    out of stock                             deadline: call the shipment off
//!                   └─────────────┴───────────── undo, the last step first ───────┘ ─▶ cancel the order
//! ```

use annals::{
    Id,
    process::{Action, Inputs, Process, ProcessManager, Reaction, Reply, Signal},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    order::{Order, OrderCommand, OrderEvent, Placed, Why},
    payments::{Charge, Charged},
    shipment::{Shipment, ShipmentCommand, ShipmentEvent},
    stock::{Stock, StockCommand},
};

/// The timer of the promise: handed over by then, or cancelled.
pub const SHIP_BY: &str = "ship-by";

/// Has an order fulfilled, or leaves nothing of it behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fulfilment {
    order: Option<Placed>,
    is_paid: bool,
    is_handed_over: bool,
    why: Option<Why>,
}

/// What it reads of what has happened elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Placed(Placed),
    HandedOver { order: String, parcel: String },
}

/// What it remembers. These names and shapes are stored: they stay readable for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum FulfilmentEvent {
    FulfilmentBegun(Placed),
    PaymentReceived(Charged),
    ParcelHandedOver { parcel: String },
    FulfilmentGivenUp { why: Why },
}

/// The order of a number.
pub fn order_id(number: &str) -> Id<Order> {
    Id::natural(number)
}

pub fn shipment_id(number: &str) -> Id<Shipment> {
    Id::natural(number)
}

pub fn stock_id(article: &str) -> Id<Stock> {
    Id::natural(article)
}

pub fn process_id(number: &str) -> Id<Process<Fulfilment>> {
    Id::natural(number)
}

impl ProcessManager for Fulfilment {
    const TYPE: &'static str = "fulfilment";
    type Input = Input;
    type Event = FulfilmentEvent;

    fn inputs() -> Inputs<Input> {
        Inputs::none()
            .of(|_: Id<Order>, event| match event {
                OrderEvent::OrderPlaced(placed) => Some(Input::Placed(placed)),
                OrderEvent::OrderShipped { .. } | OrderEvent::OrderCancelled { .. } => None,
            })
            .of(|_: Id<Shipment>, event| match event {
                ShipmentEvent::ShipmentHandedOver { order, parcel } => Some(Input::HandedOver { order, parcel }),
                ShipmentEvent::ShipmentBooked { .. } | ShipmentEvent::ShipmentCalledOff => None,
            })
    }

    fn correlate(input: &Input) -> Option<Id<Process<Self>>> {
        let (Input::Placed(Placed { number: order, .. }) | Input::HandedOver { order, .. }) = input;
        Some(process_id(order))
    }

    fn react(&self, signal: Signal<'_, Input>, _: DateTime<Utc>) -> Reaction<FulfilmentEvent> {
        match (signal, &self.order) {
            (Signal::Event(Input::Placed(placed)), None) => begin(placed),
            (Signal::Event(Input::HandedOver { parcel, .. }), Some(order)) if !self.is_handed_over => {
                hand_out(order, parcel)
            }
            (Signal::Done { step: "charge", reply }, Some(order)) => pack(order, reply),
            (Signal::Done { step: "mark-shipped", .. }, _) => Reaction::nothing().complete(),
            (Signal::Refused { step: "charge", .. }, _) => give_up(Why::Declined),
            (Signal::Refused { step, .. }, _) if step.starts_with("reserve ") => give_up(Why::OutOfStock),
            // Nothing was taken from the warehouse yet, and whether the money was taken the undoing finds out.
            (Signal::Due { timer: SHIP_BY }, Some(_)) if !self.is_paid => give_up(Why::DeadlineMissed),
            // Whether the parcel was faster is for the shipment to say, which is asked once.
            (Signal::Due { timer: SHIP_BY }, Some(order)) => Reaction::nothing().then(Action::command(
                "call-off",
                shipment_id(&order.number),
                &ShipmentCommand::CallOff,
            )),
            (Signal::Done { step: "call-off", .. } | Signal::Refused { step: "book", .. }, _) => {
                give_up(Why::DeadlineMissed)
            }
            (Signal::Undone { .. }, Some(order)) => {
                let why = self.why.unwrap_or(Why::DeadlineMissed);
                Reaction::nothing().then(Action::command(
                    "cancel",
                    order_id(&order.number),
                    &OrderCommand::Cancel { why },
                ))
            }
            // What must not be refused, and was, leaves the process open: for people to look at.
            _ => Reaction::nothing(),
        }
    }

    fn evolve(&mut self, event: &FulfilmentEvent) {
        match event {
            FulfilmentEvent::FulfilmentBegun(placed) => self.order = Some(placed.clone()),
            FulfilmentEvent::PaymentReceived(_) => self.is_paid = true,
            FulfilmentEvent::ParcelHandedOver { .. } => self.is_handed_over = true,
            FulfilmentEvent::FulfilmentGivenUp { why } => self.why = Some(*why),
        }
    }
}

/// First of all the money: what is not paid is not packed.
fn begin(order: &Placed) -> Reaction<FulfilmentEvent> {
    Reaction::nothing()
        .record(FulfilmentEvent::FulfilmentBegun(order.clone()))
        .then(Action::call("charge", &Charge::of(order)).undo_by("refund"))
        .set_timer(SHIP_BY, order.ship_by)
}

/// It is paid: everything is reserved, and then the warehouse is told. A refusal on the way ends what would follow.
fn pack(order: &Placed, reply: Reply<'_>) -> Reaction<FulfilmentEvent> {
    let Ok(charged) = reply.decode::<Charged>() else { return Reaction::nothing() };
    let mut reaction = Reaction::nothing().record(FulfilmentEvent::PaymentReceived(charged));
    let number = &order.number;
    for line in &order.lines {
        let reserve = StockCommand::Reserve { order: number.clone(), quantity: line.quantity };
        let release = StockCommand::Release { order: number.clone() };
        let name = format!("reserve {}", line.article);
        reaction = reaction.then(Action::command(name, stock_id(&line.article), &reserve).undo(&release));
    }
    let book = ShipmentCommand::Book { order: number.clone() };
    reaction.then(Action::command("book", shipment_id(number), &book))
}

/// The parcel is gone: there is no way back from here.
fn hand_out(order: &Placed, parcel: &str) -> Reaction<FulfilmentEvent> {
    let parcel = parcel.to_owned();
    let mut reaction =
        Reaction::nothing().record(FulfilmentEvent::ParcelHandedOver { parcel: parcel.clone() }).cancel_timer(SHIP_BY);
    for line in &order.lines {
        let hand_out = StockCommand::HandOut { order: order.number.clone() };
        let name = format!("hand-out {}", line.article);
        reaction = reaction.then(Action::command(name, stock_id(&line.article), &hand_out));
    }
    let shipped = OrderCommand::MarkShipped { parcel };
    reaction.then(Action::command("mark-shipped", order_id(&order.number), &shipped))
}

fn give_up(why: Why) -> Reaction<FulfilmentEvent> {
    Reaction::compensate(why.as_str()).record(FulfilmentEvent::FulfilmentGivenUp { why })
}
