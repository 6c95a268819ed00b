//! A history with something of everything, and where in it everything is.

use std::collections::HashMap;

use annals::{
    Append, EventStoreExt as _, ExpectedVersion, Id, IdempotencyKey, LogQuery, NewEvent, RecordedEvent, Repository,
    store::SnapshotRef,
};
use uuid::Uuid;

use super::Site;
use crate::faults::tally::{Tally, TallyCommand};

/// Aggregates by what they are there for.
pub struct History {
    /// Tallies under keys, with a snapshot at event 6: events 1 to 3, 4 to 6, 7 and 8; a rejection and nothing between.
    pub keyed: Uuid,
    /// Notes without receipts: events 1 and 2, then 3.
    pub bare: Uuid,
    /// Notes under their command ids: events 1 and 2, then 3.
    pub own: Uuid,
    /// No event, but a rejection.
    pub refused: Uuid,
    /// One event, no receipt.
    pub single: Uuid,
    pub events: HashMap<(Uuid, u64), RecordedEvent>,
}

const TABLES: [&str; 4] = ["annals_events", "annals_receipts", "annals_snapshots", "annals_checkpoints"];

fn notes(id: Uuid, expected: ExpectedVersion, count: u64) -> Append {
    let events = (0..count).map(|number| NewEvent::new("noted", &number).unwrap());
    Append::new("note", id).expected(expected).events(events)
}

impl History {
    /// Writes the history, and three checkpoints: `mail` after event 1 of the bare notes, one not begun, one begun at
    /// the end.
    pub async fn write<S: Site>(site: &S) -> Self {
        let store = site.store();
        let (keyed, refused) = (Id::<Tally>::natural("keyed"), Id::<Tally>::natural("refused"));
        let [bare, own, single] = [11, 12, 13].map(|number| Uuid::new_v5(&Uuid::nil(), &[number]));
        let tallies = Repository::<Tally>::new(store).snapshot_every(5);
        let run = async |id: Id<Tally>, key: &str, command: TallyCommand| {
            let _ = tallies.execute(id, &command).idempotency_key(IdempotencyKey::new(key).unwrap()).await;
        };
        run(keyed, "k1", TallyCommand::Add { events: 3 }).await;
        store.append_one(notes(bare, ExpectedVersion::New, 2)).await.unwrap();
        store.append_one(notes(single, ExpectedVersion::New, 1)).await.unwrap();
        run(keyed, "k2", TallyCommand::Add { events: 3 }).await;
        store.append_one(notes(own, ExpectedVersion::Any, 2)).await.unwrap();
        run(keyed, "k3", TallyCommand::Refuse).await;
        run(keyed, "k4", TallyCommand::Nothing).await;
        run(keyed, "k5", TallyCommand::Add { events: 2 }).await;
        store.append_one(notes(own, ExpectedVersion::Exists, 1)).await.unwrap();
        run(refused, "k6", TallyCommand::Refuse).await;
        store.append_one(notes(bare, ExpectedVersion::Exact(2), 1)).await.unwrap();
        let log = store.collect_log(&LogQuery::all()).await.unwrap();
        let events = log.into_iter().map(|event| ((event.aggregate_id(), event.sequence()), event)).collect();
        let history = Self { keyed: keyed.uuid(), bare, own, refused: refused.uuid(), single, events };
        history.write_checkpoints(site).await;
        history
    }

    async fn write_checkpoints<S: Site>(&self, site: &S) {
        let (time, event) = (S::time(), self.event(self.bare, 1));
        let (id, command_id) = (S::id(self.bare), S::id(event.command_id()));
        let head = self.events.values().map(|event| event.position().get()).max().unwrap();
        let position = event.position();
        site.run(&format!(
            "INSERT INTO annals_checkpoints
                 (name, kind, position, aggregate_id, sequence, command_id, recorded_at, updated_at)
             VALUES ('mail', 'subscription', {position}, {id}, 1, {command_id}, {time}, {time});
             INSERT INTO annals_checkpoints (name, kind, updated_at) VALUES ('unbegun', 'projection', {time});
             INSERT INTO annals_checkpoints (name, kind, position, updated_at)
             VALUES ('from-now', 'subscription', {head}, {time})"
        ))
        .await;
    }

    /// Copies all rows, for [`restore`](Self::restore).
    pub async fn keep<S: Site>(&self, site: &S) {
        site.run(&TABLES.map(|table| format!("CREATE TABLE kept_{table} AS SELECT * FROM {table};")).concat()).await;
    }

    /// Puts all rows back.
    pub async fn restore<S: Site>(&self, site: &S) {
        let restore = |table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table};");
        site.run(&TABLES.map(restore).concat()).await;
    }

    pub fn event(&self, id: Uuid, sequence: u64) -> &RecordedEvent {
        &self.events[&(id, sequence)]
    }

    /// Puts another snapshot in the place of the one there is, with the checksum it would have.
    pub fn snapshot<S: Site>(&self, id: Uuid, sequence: u64, event_checksum: u64, state: &str) -> String {
        let shown = SnapshotRef { aggregate_id: id, snapshot_version: 1, sequence, state };
        let (checksum, event_checksum) = (shown.checksum().cast_signed(), event_checksum.cast_signed());
        let (id, time) = (S::id(id), S::time());
        format!(
            "DELETE FROM annals_snapshots;
             INSERT INTO annals_snapshots
                 (aggregate_id, snapshot_version, sequence, event_checksum, state, checksum, recorded_at)
             VALUES ({id}, 1, {sequence}, {event_checksum}, '{state}', {checksum}, {time})"
        )
    }
}
