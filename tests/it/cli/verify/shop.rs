//! A sound database of some hundred events, with something of everything, and where in it everything is.

use std::collections::HashMap;

use annals::{
    Append, EventStore, EventStoreExt as _, ExpectedVersion, Id, IdempotencyKey, LogQuery, NewEvent, RecordedEvent,
    Repository, store::event_checksum,
};
use uuid::Uuid;

use super::ground::Ground;
use crate::faults::tally::{Tally, TallyCommand};

/// The aggregates by what they are there for, and all events.
pub struct Shop {
    /// Under keys: events 1 to 3, 4 to 7, 8 and 9.
    pub orders: Vec<Uuid>,
    /// Under their command ids: events 1 to 3, 4 and 5.
    pub invoices: Vec<Uuid>,
    /// Without receipts: events 1 to 3, and 4.
    pub notes: Vec<Uuid>,
    /// One event, without a receipt.
    pub single: Uuid,
    /// A tally with a snapshot at event 6; events 1 to 3, 4 to 6, then a rejection, nothing, and 7 and 8.
    pub tally: Uuid,
    /// No event, but a rejection.
    pub refused: Uuid,
    pub events: HashMap<(Uuid, u64), RecordedEvent>,
}

fn id(kind: u8, number: u8) -> Uuid {
    Uuid::new_v5(&Uuid::nil(), &[kind, number])
}

fn events(count: u64) -> impl Iterator<Item = NewEvent> {
    (0..count).map(|line| {
        let event_type = if line == 0 { "placed" } else { "line-added" };
        NewEvent::new(event_type, &serde_json::json!({ "line": line, "quantity": 10 })).unwrap()
    })
}

impl Shop {
    pub async fn fill<S: EventStore + Clone + 'static>(store: &S) -> Self {
        let orders: Vec<_> = (0..20).map(|number| id(1, number)).collect();
        let invoices: Vec<_> = (0..15).map(|number| id(2, number)).collect();
        let notes: Vec<_> = (0..15).map(|number| id(3, number)).collect();
        let append = async |append: Append| drop(store.append_one(append).await.unwrap());
        let of = |aggregate_type: &'static str, id, expected| Append::new(aggregate_type, id).expected(expected);
        for (number, id) in orders.iter().enumerate() {
            for (version, count) in [(0, 3), (3, 4), (7, 2)] {
                let key = IdempotencyKey::new(format!("order-{number}-{version}")).unwrap();
                let expected = ExpectedVersion::Exact(version);
                append(of("order", *id, expected).events(events(count)).idempotency_key(key)).await;
            }
        }
        for id in &invoices {
            append(of("invoice", *id, ExpectedVersion::Any).events(events(3))).await;
            append(of("invoice", *id, ExpectedVersion::Exists).events(events(2))).await;
        }
        for id in &notes {
            append(of("note", *id, ExpectedVersion::New).events(events(3))).await;
        }
        let single = id(4, 0);
        append(of("note", single, ExpectedVersion::New).events(events(1))).await;
        let (tally, refused) = (Id::<Tally>::natural("tally"), Id::<Tally>::natural("refused"));
        let tallies = Repository::<Tally>::new(store).snapshot_every(5);
        for (id, key, command) in [
            (tally, "t1", TallyCommand::Add { events: 3 }),
            (tally, "t2", TallyCommand::Add { events: 3 }),
            (tally, "t3", TallyCommand::Refuse),
            (tally, "t4", TallyCommand::Nothing),
            (tally, "t5", TallyCommand::Add { events: 2 }),
            (refused, "t6", TallyCommand::Refuse),
        ] {
            let _ = tallies.execute(id, &command).idempotency_key(IdempotencyKey::new(key).unwrap()).await;
        }
        for id in &notes {
            append(of("note", *id, ExpectedVersion::Exact(3)).events(events(1))).await;
        }
        let log = store.collect_log(&LogQuery::all()).await.unwrap();
        let events = log.into_iter().map(|event| ((event.aggregate_id(), event.sequence()), event)).collect();
        Self { orders, invoices, notes, single, tally: tally.uuid(), refused: refused.uuid(), events }
    }

    pub fn event(&self, id: Uuid, sequence: u64) -> &RecordedEvent {
        &self.events[&(id, sequence)]
    }

    pub fn position(&self, id: Uuid, sequence: u64) -> u64 {
        self.event(id, sequence).position().get()
    }

    pub fn head(&self) -> u64 {
        self.events.values().map(|event| event.position().get()).max().unwrap()
    }

    /// Two checkpoints and a parked event, as runners leave them.
    pub fn read_side(&self, ground: &Ground) -> String {
        let (time, id, head) = (ground.time(), ground.id(self.notes[0]), self.head());
        let event = self.event(self.notes[0], 1);
        let (position, command_id) = (event.position(), ground.id(event.command_id()));
        let parked = self.position(self.orders[0], 2);
        let order = ground.id(self.orders[0]);
        format!(
            "INSERT INTO annals_checkpoints
                 (name, kind, position, aggregate_id, sequence, command_id, recorded_at, updated_at)
             VALUES ('mail', 'subscription', {position}, {id}, 1, {command_id}, {time}, {time});
             INSERT INTO annals_checkpoints (name, kind, updated_at) VALUES ('unbegun', 'projection', {time});
             INSERT INTO annals_checkpoints (name, kind, position, updated_at)
             VALUES ('from-now', 'subscription', {head}, {time});
             INSERT INTO annals_parked_events (name, aggregate_id, sequence, position, error, attempts, parked_at)
             VALUES ('mail', {order}, 2, {parked}, 'no such address', 3, {time})"
        )
    }

    /// Changes an event, and its checksum with it: as code would have written it that is not ours.
    pub fn rewrite(
        &self,
        ground: &Ground,
        (id, sequence, index): (Uuid, u64, u32),
        event_type: &str,
        payload: &str,
    ) -> String {
        let event = self.event(id, sequence);
        let shape = (event_type, event.schema_version());
        let checksum = event_checksum(id, event.command_id(), index, shape, payload, event.as_ref().metadata);
        format!(
            "UPDATE annals_events SET event_type = '{event_type}', payload = '{payload}', checksum = {} \
             WHERE aggregate_id = {} AND sequence = {sequence}",
            checksum.cast_signed(),
            ground.id(id)
        )
    }
}
