//! An order as an aggregate of cqrs-es.

use annals_contest::{Order, OrderCommand, OrderEvent, OrderRejection};
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
use serde::{Deserialize, Serialize};

/// The aggregate: the trait is cqrs-es's and the order is the contest's, so it takes a type that is ours.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OrderAggregate(pub(crate) Order);

/// Its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Happened(pub(crate) OrderEvent);

impl DomainEvent for Happened {
    fn event_type(&self) -> String {
        self.0.kind().to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for OrderAggregate {
    const TYPE: &'static str = "order";

    type Command = OrderCommand;
    type Event = Happened;
    type Error = OrderRejection;
    type Services = ();

    async fn handle(&mut self, command: OrderCommand, (): &(), sink: &EventSink<Self>) -> Result<(), OrderRejection> {
        let event = self.0.decide(&command)?;
        sink.write(Happened(event), self).await;
        Ok(())
    }

    fn apply(&mut self, event: Happened) {
        self.0.evolve(&event.0);
    }
}
