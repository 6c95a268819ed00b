//! The shipment of an order: here it is decided whether a parcel was in time or was called off.

use annals::Aggregate;
use serde::{Deserialize, Serialize};

/// A shipment, as far as decisions need to know it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shipment {
    #[default]
    Unknown,
    /// The warehouse is to pack it.
    Booked,
    /// The carrier has it.
    HandedOver,
    /// It does not leave the house any more; also if it was not booked yet.
    CalledOff,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShipmentCommand {
    Book { order: String },
    HandOver { order: String, parcel: String },
    CallOff,
}

/// What can have happened to a shipment. These names and shapes are stored: they stay readable for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[expect(clippy::enum_variant_names, reason = "a stored name says whose event it is")]
pub enum ShipmentEvent {
    ShipmentBooked { order: String },
    ShipmentHandedOver { order: String, parcel: String },
    ShipmentCalledOff,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum ShipmentRejection {
    #[error("the shipment is not booked")]
    NotBooked,
    #[error("the shipment was booked before")]
    AlreadyBooked,
    #[error("the parcel was handed over")]
    HandedOver,
    #[error("the shipment was called off")]
    CalledOff,
}

impl Aggregate for Shipment {
    const TYPE: &'static str = "shipment";
    type Command = ShipmentCommand;
    type Event = ShipmentEvent;
    type Rejection = ShipmentRejection;

    fn decide(&self, command: &ShipmentCommand) -> Result<Vec<ShipmentEvent>, ShipmentRejection> {
        Ok(match (self, command) {
            (Self::Unknown, ShipmentCommand::Book { order }) => {
                vec![ShipmentEvent::ShipmentBooked { order: order.clone() }]
            }
            (Self::Booked, ShipmentCommand::HandOver { order, parcel }) => {
                vec![ShipmentEvent::ShipmentHandedOver { order: order.clone(), parcel: parcel.clone() }]
            }
            (Self::Unknown | Self::Booked, ShipmentCommand::CallOff) => vec![ShipmentEvent::ShipmentCalledOff],
            (Self::CalledOff, ShipmentCommand::CallOff) => Vec::new(),
            (Self::Booked, ShipmentCommand::Book { .. }) => return Err(ShipmentRejection::AlreadyBooked),
            (Self::Unknown, ShipmentCommand::HandOver { .. }) => return Err(ShipmentRejection::NotBooked),
            (Self::HandedOver, _) => return Err(ShipmentRejection::HandedOver),
            (Self::CalledOff, _) => return Err(ShipmentRejection::CalledOff),
        })
    }

    fn evolve(&mut self, event: &ShipmentEvent) {
        *self = match event {
            ShipmentEvent::ShipmentBooked { .. } => Self::Booked,
            ShipmentEvent::ShipmentHandedOver { .. } => Self::HandedOver,
            ShipmentEvent::ShipmentCalledOff => Self::CalledOff,
        };
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::Scenario;

    use super::*;

    const ORDER: &str = "1";

    fn booked() -> ShipmentEvent {
        ShipmentEvent::ShipmentBooked { order: ORDER.to_owned() }
    }

    fn handed_over() -> ShipmentEvent {
        ShipmentEvent::ShipmentHandedOver { order: ORDER.to_owned(), parcel: "p".to_owned() }
    }

    fn book() -> ShipmentCommand {
        ShipmentCommand::Book { order: ORDER.to_owned() }
    }

    fn hand_over() -> ShipmentCommand {
        ShipmentCommand::HandOver { order: ORDER.to_owned(), parcel: "p".to_owned() }
    }

    #[test]
    fn a_parcel_is_handed_over_or_called_off_whatever_comes_first() {
        let given = |events: &[ShipmentEvent]| Scenario::<Shipment>::given(events.to_vec());
        given(&[]).when(book()).then([booked()]);
        given(&[booked()]).when(hand_over()).then([handed_over()]);
        given(&[booked()]).when(ShipmentCommand::CallOff).then([ShipmentEvent::ShipmentCalledOff]);
        let gone = [booked(), handed_over()];
        let off = [booked(), ShipmentEvent::ShipmentCalledOff];
        given(&gone).when(ShipmentCommand::CallOff).then_rejected(ShipmentRejection::HandedOver);
        given(&off).when(hand_over()).then_rejected(ShipmentRejection::CalledOff);
        given(&off).when(ShipmentCommand::CallOff).then_nothing();
        given(&[booked()]).when(book()).then_rejected(ShipmentRejection::AlreadyBooked);
        given(&[]).when(hand_over()).then_rejected(ShipmentRejection::NotBooked);
    }

    #[test]
    fn what_was_called_off_before_it_was_booked_is_never_booked() {
        let off = || Scenario::<Shipment>::given([ShipmentEvent::ShipmentCalledOff]);
        Scenario::<Shipment>::given([]).when(ShipmentCommand::CallOff).then([ShipmentEvent::ShipmentCalledOff]);
        off().when(book()).then_rejected(ShipmentRejection::CalledOff);
    }
}
