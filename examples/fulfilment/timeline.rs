//! What has happened to an order, at all services, read back from their recorded histories.

use std::{fmt, sync::Arc};

use annals::{
    Aggregate, Error, EventRef, EventStore, Id, Position, Repository,
    process::{Process, ProcessEvent, ProcessNote, StepWork},
};
use chrono::{DateTime, Utc};

use crate::{
    fulfilment::{Fulfilment, FulfilmentEvent, order_id, process_id, shipment_id, stock_id},
    order::{Cents, Order, OrderEvent, Placed},
    payments_api::charge::{Charge, ChargeEvent},
    shipment::{Shipment, ShipmentEvent},
    stock::{Stock, StockEvent},
};

/// The timeline of an order.
#[derive(Debug)]
pub struct Timeline(Vec<Row>);

#[derive(Debug)]
struct Row {
    at: DateTime<Utc>,
    /// Nothing for what another service has recorded in a database of its own.
    position: Option<Position>,
    who: &'static str,
    what: String,
    sequence: u64,
    undoes: bool,
}

/// What an event comes to: in words, and whether it undoes something. `None`: it is not worth a line.
type Told = Option<(String, bool)>;

impl Timeline {
    pub async fn of(number: &str, store: &Arc<dyn EventStore>, payments: &Arc<dyn EventStore>) -> Result<Self, Error> {
        let mut rows = Vec::new();
        let order = read(store, order_id(number), &mut rows, order).await?;
        let mut charge = None;
        read::<Process<Fulfilment>>(store, process_id(number), &mut rows, |event, _| {
            if let ProcessEvent::Own(FulfilmentEvent::PaymentReceived(charged)) = event {
                charge = Some(charged.charge.clone());
            }
            process(event)
        })
        .await?;
        read::<Shipment>(store, shipment_id(number), &mut rows, shipment).await?;
        for line in order.placed.iter().flat_map(|placed| &placed.lines) {
            let of_order = |event: &StockEvent, _: &Stock| stock(event, number, &line.article);
            read(store, stock_id(&line.article), &mut rows, of_order).await?;
        }
        rows.sort_by_key(|row| row.position);
        let id = charge.as_deref().and_then(|id| id.strip_prefix("ch_")?.parse().ok());
        if let Some(id) = id {
            let mut theirs = Vec::new();
            read::<Charge>(payments, Id::from_uuid(id), &mut theirs, paid).await?;
            for row in theirs {
                // Their log and this one have no order in common, but what was asked and what was answered.
                let at = rows.partition_point(|ours| ours.at <= row.at);
                rows.insert(at, Row { position: None, ..row });
            }
        }
        Ok(Self(rows))
    }
}

/// Replays an aggregate, and adds what is to be told of it.
async fn read<A: Aggregate>(
    store: &Arc<dyn EventStore>,
    id: Id<A>,
    rows: &mut Vec<Row>,
    mut tell: impl FnMut(&A::Event, &A) -> Told + Send,
) -> Result<A, Error> {
    let repository = Repository::<A>::new(store);
    let who = if A::TYPE == Charge::TYPE { "payments" } else { A::TYPE };
    let loaded = repository
        .replay(id, |step| {
            if let Some((what, undoes)) = tell(step.event, step.state) {
                rows.push(row(&step.stored, who, what, undoes));
            }
        })
        .await?;
    Ok(loaded.state)
}

fn row(stored: &EventRef<'_>, who: &'static str, what: String, undoes: bool) -> Row {
    let EventRef { recorded_at: at, position, sequence, .. } = *stored;
    Row { at, position: Some(position), who, what, sequence, undoes }
}

fn order(event: &OrderEvent, _: &Order) -> Told {
    let done = |what: String| Some((what, false));
    match event {
        OrderEvent::OrderPlaced(placed) => done(format!("placed: {}", summary(placed))),
        OrderEvent::OrderShipped { parcel } => done(format!("SHIPPED as {parcel}")),
        OrderEvent::OrderCancelled { why } => done(format!("CANCELLED: {}", why.as_str())),
    }
}

/// What was ordered, in a line.
pub fn summary(placed: &Placed) -> String {
    let lines: Vec<String> = placed.lines.iter().map(|line| format!("{} × {}", line.quantity, line.article)).collect();
    format!("{}, {}", lines.join(", "), Cents(placed.total_cents()))
}

fn process(event: &ProcessEvent<FulfilmentEvent>) -> Told {
    let done = |what: String| Some((what, false));
    let undoes = |what: String| Some((what, true));
    let note = match event {
        ProcessEvent::Own(FulfilmentEvent::PaymentReceived(charged)) => {
            let key = charged.key.get(..8).unwrap_or(&charged.key);
            let again = if charged.replayed { ", again: the first answer was lost" } else { "" };
            return done(format!("paid under the key {key}…, answered at attempt {}{again}", charged.attempts));
        }
        ProcessEvent::Own(_) => return None,
        ProcessEvent::Note(note) => note,
    };
    match note {
        ProcessNote::ProcessStepPlanned(step) => {
            let undo = if step.work.is_undoable() { ", can be undone" } else { "" };
            let kind = match &step.work {
                StepWork::Command { aggregate_type, .. } => format!("a command to {aggregate_type}"),
                StepWork::Call { .. } => "a call of payments".to_owned(),
                _ => "a step".to_owned(),
            };
            done(format!("plans {}: {kind}{undo}", step.name))
        }
        ProcessNote::ProcessStepDone { step, .. } => done(format!("{step}: done")),
        ProcessNote::ProcessStepRefused { step, reason } => done(format!("{step}: refused, {}", reason.get())),
        ProcessNote::ProcessTimerSet { timer, due_at } => {
            done(format!("sets the timer {timer} to {}", due_at.format("%a %H:%M")))
        }
        ProcessNote::ProcessTimerCancelled { timer } => done(format!("cancels the timer {timer}")),
        ProcessNote::ProcessTimerFired { timer } => done(format!("the timer {timer} fires")),
        ProcessNote::ProcessCompensationBegun { reason } => undoes(format!("has everything undone: {reason}")),
        ProcessNote::ProcessUndone => undoes("everything is undone".to_owned()),
        ProcessNote::ProcessCompleted => done("has ended: completed".to_owned()),
        ProcessNote::ProcessCompensated => done("has ended: compensated".to_owned()),
        _ => None,
    }
}

fn shipment(event: &ShipmentEvent, _: &Shipment) -> Told {
    Some(match event {
        ShipmentEvent::ShipmentBooked { .. } => ("booked".to_owned(), false),
        ShipmentEvent::ShipmentHandedOver { parcel, .. } => (format!("handed over as {parcel}"), false),
        ShipmentEvent::ShipmentCalledOff => ("called off".to_owned(), true),
    })
}

fn stock(event: &StockEvent, number: &str, article: &str) -> Told {
    let told = |order: &str, what: String, undoes| (order == number).then_some((what, undoes));
    match event {
        StockEvent::StockReserved { order, quantity } => told(order, format!("{quantity} × {article} reserved"), false),
        StockEvent::StockReleased { order, quantity } => told(order, format!("{quantity} × {article} released"), true),
        StockEvent::StockReleasedEarly { order } => told(order, format!("{article} never to be reserved"), true),
        StockEvent::StockHandedOut { order, quantity } => {
            told(order, format!("{quantity} × {article} handed out"), false)
        }
        StockEvent::StockReceived { .. } => None,
    }
}

fn paid(event: &ChargeEvent, _: &Charge) -> Told {
    Some(match event {
        ChargeEvent::ChargeCreated(charged) => (format!("{} charged", Cents(charged.amount.units())), false),
        ChargeEvent::ChargeRefunded(refunded) => (format!("{} refunded", Cents(refunded.amount.units())), true),
    })
}

/// A line for each thing that happened; what undoes something is marked.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Row { at, who, sequence, what, undoes, .. } in &self.0 {
            let mark = if *undoes { '↩' } else { ' ' };
            let time = at.format("%a %H:%M");
            writeln!(f, "   {time}  {who:<10} {sequence:>3} {mark} {what}")?;
        }
        Ok(())
    }
}
