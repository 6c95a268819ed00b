//! What is bought: one command and one event for each request.

use annals::Aggregate;
use serde::{Deserialize, Serialize};

/// A charge, made once.
#[derive(Debug, Default, Clone)]
pub(super) struct Charge {
    is_made: bool,
}

/// What a request asks for, and what becomes of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Made {
    amount: u32,
    currency: String,
    description: String,
}

/// What happens to a charge.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub(super) enum ChargeEvent {
    ChargeMade(Made),
}

/// Why it says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the charge has been made before")]
pub(super) struct MadeBefore;

impl Aggregate for Charge {
    const TYPE: &'static str = "charge";
    type Command = Made;
    type Event = ChargeEvent;
    type Rejection = MadeBefore;

    fn decide(&self, made: &Made) -> Result<Vec<ChargeEvent>, MadeBefore> {
        if self.is_made { Err(MadeBefore) } else { Ok(vec![ChargeEvent::ChargeMade(made.clone())]) }
    }

    fn evolve(&mut self, event: &ChargeEvent) {
        match event {
            ChargeEvent::ChargeMade(_) => self.is_made = true,
        }
    }
}
