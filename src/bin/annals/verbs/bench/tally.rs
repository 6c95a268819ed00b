//! The aggregate that is worked on: it counts.

use annals::Aggregate;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    total: u64,
}

#[derive(Debug, Serialize)]
pub struct Add {
    pub number: u64,
    /// As much as events of services carry.
    pub note: &'static str,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum TallyEvent {
    Added { number: u64, note: String },
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("nothing is rejected")]
pub struct Never;

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    type Command = Add;
    type Event = TallyEvent;
    type Rejection = Never;

    fn decide(&self, command: &Add) -> Result<Vec<TallyEvent>, Never> {
        Ok(vec![TallyEvent::Added { number: command.number, note: command.note.to_owned() }])
    }

    fn evolve(&mut self, event: &TallyEvent) {
        let TallyEvent::Added { number, .. } = event;
        self.total += number;
    }
}
