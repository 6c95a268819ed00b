//! Orders in UmaDB: a tag each.

use annals_contest::{Order, OrderCommand, OrderEvent, Orders, Seen, Turnovers, async_trait};
use anyhow::{Result, bail};
use umadb_dcb::{DcbAppendCondition, DcbError, DcbEvent, DcbQuery, DcbQueryItem};
use uuid::Uuid;

use crate::store::Store;

/// How often a command is run again that met another.
const TRIES: u32 = 1_000;

/// How many events of all are read at once.
const BATCH: u32 = 1_024;

pub(crate) struct UmaOrders<S> {
    pub(crate) store: S,
}

impl<S: Store> UmaOrders<S> {
    /// Runs a command whose event has an id, unless there is one of that id.
    async fn run(&self, order: Uuid, command: &OrderCommand, id: Uuid) -> Result<()> {
        let boundary = DcbQuery::new().item(of(order));
        for _ in 0..TRIES {
            let (events, head) = self.store.read(boundary.clone()).await?;
            let mut state = Order::default();
            for found in &events {
                if found.event.uuid == Some(id) {
                    return Ok(());
                }
                state.evolve(&happened(&found.event)?);
            }
            let event = state.decide(command)?;
            let condition = DcbAppendCondition::new(boundary.clone()).after(head);
            // Where an event of the same id has come between, the engine answers as if it were this one.
            match self.store.append(vec![new(order, &event, id)?], condition).await {
                Err(DcbError::IntegrityError(_)) => {}
                appended => return Ok(appended.map(|_| ())?),
            }
        }
        bail!("a command met another {TRIES} times")
    }
}

#[async_trait]
impl<S: Store> Orders for UmaOrders<S> {
    async fn execute(&self, order: Uuid, command: &OrderCommand) -> Result<()> {
        self.run(order, command, Uuid::new_v4()).await
    }

    /// A request's name makes the id of its event, by which the engine knows an append that is tried again.
    async fn execute_request(&self, order: Uuid, command: &OrderCommand, request: &str) -> Result<()> {
        self.run(order, command, Uuid::new_v5(&order, request.as_bytes())).await
    }

    async fn fill(&self, order: Uuid, history: &[OrderEvent]) -> Result<()> {
        self.fill_all(&[(order, history.to_vec())]).await
    }

    /// All in one append, if none of the orders exists.
    async fn fill_all(&self, histories: &[(Uuid, Vec<OrderEvent>)]) -> Result<()> {
        let mut events = Vec::new();
        for (order, history) in histories {
            for event in history {
                events.push(new(*order, event, Uuid::new_v4())?);
            }
        }
        let boundary = DcbQuery::with_items(histories.iter().map(|(order, _)| of(*order)));
        self.store.append(events, DcbAppendCondition::new(boundary)).await?;
        Ok(())
    }

    async fn load(&self, order: Uuid) -> Result<Order> {
        let mut state = Order::default();
        for found in self.store.read(DcbQuery::new().item(of(order))).await?.0 {
            state.evolve(&happened(&found.event)?);
        }
        Ok(state)
    }

    async fn read_log(&self) -> Result<Turnovers> {
        let (mut turnovers, mut position) = (Turnovers::default(), 1);
        loop {
            let batch = self.store.read_from(position, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(turnovers) };
            position = last.position + 1;
            for found in &batch {
                turnovers.add(&happened(&found.event)?);
            }
        }
    }

    async fn subscribe(&self, seen: Seen) -> Result<()> {
        self.store.subscribe(seen).await
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}

/// What the tag of an order begins with.
pub(crate) const PREFIX: &str = "order:";

fn tag(order: Uuid) -> String {
    format!("{PREFIX}{order}")
}

/// What the events of an order are found by.
fn of(order: Uuid) -> DcbQueryItem {
    DcbQueryItem::new().tags([tag(order)])
}

fn new(order: Uuid, event: &OrderEvent, id: Uuid) -> Result<DcbEvent> {
    let (event_type, payload) = event.encode()?;
    Ok(DcbEvent::new().event_type(event_type).tags([tag(order)]).data(payload).uuid(id))
}

pub(crate) fn happened(event: &DcbEvent) -> Result<OrderEvent> {
    Ok(OrderEvent::decode(&event.event_type, str::from_utf8(&event.data)?)?)
}
