//! What the database says has happened: by the numbers that requests bear, and by charge.

use std::collections::HashMap;

use annals::{EventRef, EventStore, LogQuery, Position};
use serde_json::Value;

/// All charges and refunds that were read so far.
#[derive(Debug, Default)]
pub struct Books {
    read_to: Option<Position>,
    pub events: usize,
    /// How often a request has taken effect, by its number.
    pub effects: HashMap<usize, usize>,
    /// By the id that clients are told: what was charged, and what was given back.
    pub charges: HashMap<String, (u64, u64)>,
}

impl Books {
    /// Reads what has happened since.
    pub async fn read_on(&mut self, store: &dyn EventStore) {
        let query = self.read_to.map_or_else(LogQuery::all, |position| LogQuery::all().after(position));
        let mut enter = |event: EventRef<'_>| {
            self.read_to = Some(event.position);
            self.events += 1;
            let data: Value = serde_json::from_str(event.payload).unwrap();
            let number = data["metadata"]["number"].as_str().and_then(|number| number.parse().ok());
            *self.effects.entry(number.expect("each request bears a number")).or_default() += 1;
            let charge = self.charges.entry(format!("ch_{}", event.aggregate_id.simple())).or_default();
            let amount = data["amount"].as_u64().unwrap();
            match event.event_type {
                "charge-created" => charge.0 += amount,
                "charge-refunded" => charge.1 += amount,
                other => panic!("nobody has asked for {other}"),
            }
            Ok(())
        };
        store.read_log(&query, &mut enter).await.unwrap();
    }

    pub fn effects_of(&self, number: usize) -> usize {
        self.effects.get(&number).copied().unwrap_or(0)
    }
}
