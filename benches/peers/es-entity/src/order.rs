//! An order as an entity of es-entity.

use annals_contest::{self as contest, LineAdded, OrderCommand, OrderRejection, Paid, Placed, Shipped};
use es_entity::{
    EntityEvents, EntityEventsBuilder, EntityHydrationError, EsEntity, EsEvent, FromCaller, Idempotent, IntoEvents,
    TryFromEvents, idempotency_guard,
};
use serde::{Deserialize, Serialize};

es_entity::entity_id! { OrderId }

/// What is stored. A request that has a name leaves it in its event, so that the guard finds it.
#[derive(Debug, EsEvent, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[es_event(id = "OrderId")]
pub(crate) enum OrderEvent {
    Placed { placed: Placed, request: Option<String> },
    LineAdded { line: LineAdded, request: Option<String> },
    Paid { paid: Paid, request: Option<String> },
    Shipped { shipped: Shipped, request: Option<String> },
}

impl OrderEvent {
    fn new(event: contest::OrderEvent, request: Option<&str>) -> Self {
        let request = request.map(str::to_owned);
        match event {
            contest::OrderEvent::Placed(placed) => Self::Placed { placed, request },
            contest::OrderEvent::LineAdded(line) => Self::LineAdded { line, request },
            contest::OrderEvent::Paid(paid) => Self::Paid { paid, request },
            contest::OrderEvent::Shipped(shipped) => Self::Shipped { shipped, request },
        }
    }

    fn request(&self) -> Option<&str> {
        match self {
            Self::Placed { request, .. }
            | Self::LineAdded { request, .. }
            | Self::Paid { request, .. }
            | Self::Shipped { request, .. } => request.as_deref(),
        }
    }

    /// What happened, without the request.
    pub(crate) fn happened(&self) -> contest::OrderEvent {
        match self {
            Self::Placed { placed, .. } => contest::OrderEvent::Placed(placed.clone()),
            Self::LineAdded { line, .. } => contest::OrderEvent::LineAdded(line.clone()),
            Self::Paid { paid, .. } => contest::OrderEvent::Paid(paid.clone()),
            Self::Shipped { shipped, .. } => contest::OrderEvent::Shipped(shipped.clone()),
        }
    }
}

/// The entity.
#[derive(EsEntity)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) state: contest::Order,
    events: EntityEvents<OrderEvent>,
}

impl Order {
    /// Runs a command, unless the request that it comes with is among the events.
    pub(crate) fn run(
        &mut self,
        command: &OrderCommand,
        request: Option<&str>,
    ) -> Result<Idempotent<()>, OrderRejection> {
        idempotency_guard!(
            self.events.iter_all().rev(),
            already_applied: event if request.is_some() && event.request() == request,
        );
        let event = self.state.decide(command)?;
        self.state.evolve(&event);
        self.events.push(OrderEvent::new(event, request));
        Ok(Idempotent::Executed(()))
    }
}

impl TryFromEvents<OrderEvent> for Order {
    fn try_from_events(events: EntityEvents<OrderEvent>) -> Result<Self, EntityHydrationError> {
        let mut state = contest::Order::default();
        for event in events.iter_all() {
            state.evolve(&event.happened());
        }
        Ok(Self { id: *events.id(), state, events })
    }
}

/// An order that is not stored yet: the events that it begins with.
#[derive(Debug)]
pub(crate) struct NewOrder {
    pub(crate) id: OrderId,
    events: Vec<OrderEvent>,
}

impl NewOrder {
    /// The order that a first command leads to.
    pub(crate) fn run(id: OrderId, command: &OrderCommand, request: Option<&str>) -> Result<Self, OrderRejection> {
        let event = contest::Order::default().decide(command)?;
        Ok(Self { id, events: vec![OrderEvent::new(event, request)] })
    }

    /// An order with a history.
    pub(crate) fn with(id: OrderId, history: &[contest::OrderEvent]) -> Self {
        Self { id, events: history.iter().map(|event| OrderEvent::new(event.clone(), None)).collect() }
    }
}

impl IntoEvents<OrderEvent> for NewOrder {
    type IdSource = FromCaller;

    fn into_events(self, builder: EntityEventsBuilder<OrderEvent, FromCaller>) -> EntityEvents<OrderEvent> {
        builder.initial_events(self.id, self.events)
    }
}
