//! Faults of every kind, each in a sound database: found, named, and nothing else.

use std::collections::BTreeSet;

use annals::store::SnapshotRef;
use serde_json::Value;
use uuid::Uuid;

use super::{ground::Ground, shop::Shop};
use crate::cli::program::run_on;

/// What is planted, and what is found: kind, aggregate, sequence, position and name of the checkpoint.
pub struct Fault {
    pub name: &'static str,
    sql: String,
    found: Vec<String>,
}

/// One finding in one line; `-` where it says nothing.
fn found(kind: &str, event: Option<(Uuid, u64)>, position: Option<u64>, name: &str) -> String {
    let (id, sequence) = event.unzip();
    let dash = || "-".to_owned();
    let id = id.map_or_else(dash, |id| id.to_string());
    let sequence = sequence.filter(|sequence| *sequence > 0).map_or_else(dash, |sequence| sequence.to_string());
    let position = position.map_or_else(dash, |position| position.to_string());
    format!("{kind} {id} {sequence} {position} {name}")
}

fn found_in(finding: &Value) -> String {
    let text = |name: &str| match &finding[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    ["kind", "aggregate_id", "sequence", "position", "checkpoint"].map(text).join(" ")
}

struct Planter<'s> {
    ground: &'s Ground,
    shop: &'s Shop,
    faults: Vec<Fault>,
}

impl Planter<'_> {
    fn add(&mut self, name: &'static str, sql: impl Into<String>, found: impl IntoIterator<Item = String>) {
        self.faults.push(Fault { name, sql: sql.into(), found: found.into_iter().collect() });
    }

    fn set(&self, set: &str, id: Uuid, sequence: u64) -> String {
        format!("UPDATE annals_events SET {set} WHERE aggregate_id = {} AND sequence = {sequence}", self.ground.id(id))
    }

    fn delete(&self, id: Uuid, which: &str) -> String {
        format!("DELETE FROM annals_events WHERE aggregate_id = {} AND {which}", self.ground.id(id))
    }

    fn receipt(&self, set: &str, id: Uuid, which: &str) -> String {
        format!("UPDATE annals_receipts SET {set} WHERE aggregate_id = {} AND {which}", self.ground.id(id))
    }

    /// A finding about an event, with its position.
    fn at(&self, kind: &str, id: Uuid, sequence: u64) -> String {
        found(kind, Some((id, sequence)), Some(self.shop.position(id, sequence)), "-")
    }

    fn events(&mut self) {
        let (a, b, bare) = (self.shop.orders[3], self.shop.orders[11], self.shop.notes[5]);
        let gone = |id, sequence| found("event-missing", Some((id, sequence)), None, "-");
        let ahead = |id, sequence| found("receipt-ahead", Some((id, sequence)), None, "-");
        // 0x31 is 1, 0x30 is 0.
        let bit = self.shop.event(a, 5).payload().replacen('1', "0", 1);
        assert_ne!(bit, self.shop.event(a, 5).payload());
        self.add("payload_bit", self.set(&format!("payload = '{bit}'"), a, 5), [self.at("event-checksum", a, 5)]);
        self.add("first_missing", self.delete(a, "sequence = 1"), [gone(a, 1)]);
        self.add("middle_missing", self.delete(a, "sequence BETWEEN 4 AND 5"), [gone(a, 4)]);
        self.add("last_missing", self.delete(a, "sequence = 9"), [ahead(a, 9)]);
        self.add("first_of_bare_missing", self.delete(bare, "sequence = 1"), [gone(bare, 1)]);
        let payload = |id| format!("payload = '{}'", self.shop.event(id, 2).payload());
        let (of_a, of_invoice) = (payload(a), "payload = '{\"line\":7}'");
        let other = self.shop.invoices[1];
        let swapped = [self.set(of_invoice, a, 1), ";".to_owned(), self.set(&of_a, other, 1)];
        self.add(
            "payloads_swapped",
            swapped.concat(),
            [self.at("event-checksum", a, 1), self.at("event-checksum", other, 1)],
        );
        self.add("wrong_checksum", self.set("checksum = checksum + 1", b, 9), [self.at("event-checksum", b, 9)]);
        let (one, two) = (self.shop.position(a, 5), self.shop.position(a, 6));
        // By way of a position that nobody has, and below the end: the sequence is not to be behind.
        let to = |from: u64, to: i64| {
            format!(
                "UPDATE annals_events SET position = {to} WHERE aggregate_id = {} AND position = {from};",
                self.ground.id(a)
            )
        };
        let back = format!("UPDATE annals_events SET position = {two} WHERE position = -1");
        self.add(
            "positions_out_of_order",
            [to(one, -1), to(two, one.cast_signed()), back].concat(),
            [found("position-order", Some((a, 6)), Some(one), "-")],
        );
        self.add(
            "wrong_aggregate_type",
            self.set("aggregate_type = 'invoice'", a, 4),
            [self.at("aggregate-type", a, 4)],
        );
        let endless = if self.ground.is_sqlite() { "9223372036854775807" } else { "'infinity'" };
        self.add(
            "unreadable",
            self.set(&format!("recorded_at = {endless}"), a, 4),
            [self.at("event-unreadable", a, 4)],
        );
    }

    fn contents(&mut self) {
        let (a, b) = (self.shop.orders[3], self.shop.orders[11]);
        let text = |column: &str| match self.ground.is_sqlite() {
            true => String::new(),
            false => format!("ALTER TABLE annals_events ALTER COLUMN {column} TYPE text;"),
        };
        let write = |event, event_type: &str, payload: &str| self.shop.rewrite(self.ground, event, event_type, payload);
        let broken = write((a, 2, 1), "line-added", "{\"line\":");
        self.add("broken_json", text("payload") + &broken, [self.at("event-not-json", a, 2)]);
        let broken = self.set("payload = '{\"line\":'", a, 2);
        self.add("broken_json_and_checksum", text("payload") + &broken, [self.at("event-checksum", a, 2)]);
        let broken = self.set("metadata = '}'", a, 2);
        self.add("broken_metadata", text("metadata") + &broken, [self.at("event-checksum", a, 2)]);
        let sound = |id, sequence| self.shop.event(id, sequence).payload().to_owned();
        let empty = write((b, 1, 0), "", &sound(b, 1));
        self.add("empty_event_type", empty, [self.at("type-invalid", b, 1)]);
        let id = self.ground.id(a);
        let all = format!("UPDATE annals_events SET aggregate_type = 'Order 1' WHERE aggregate_id = {id}");
        self.add("invalid_aggregate_type", all, [self.at("type-invalid", a, 1)]);
    }

    fn receipts(&mut self) {
        let (a, tally, refused) = (self.shop.orders[3], self.shop.tally, self.shop.refused);
        let ahead = |id, sequence| found("receipt-ahead", Some((id, sequence)), None, "-");
        self.add("receipts_without_events", self.delete(a, "sequence >= 1"), [ahead(a, 1), ahead(a, 1), ahead(a, 1)]);
        let accepted = "first_sequence = 1, last_sequence = 2, outcome = 'accepted', rejection = NULL";
        self.add("receipt_of_nothing", self.receipt(accepted, refused, "1 = 1"), [ahead(refused, 1)]);
        let key = "idempotency_key = 'order-3-3'";
        let wrong = |kind: &str, sequence| found(kind, Some((a, sequence)), None, "-");
        let none = self.receipt("first_sequence = 8, last_sequence = 7", a, key);
        self.add("events_without_receipt", none, [self.at("command-repeated", a, 4)]);
        self.add("range_too_short", self.receipt("last_sequence = 6", a, key), [self.at("command-repeated", a, 7)]);
        self.add("range_too_long", self.receipt("last_sequence = 8", a, key), [wrong("receipt-events", 8)]);
        self.add("range_too_early", self.receipt("first_sequence = 3", a, key), [wrong("receipt-events", 3)]);
        self.add("range_ahead", self.receipt("last_sequence = 12", a, key), [ahead(a, 10)]);
        let own = self.receipt(&format!("command_id = {}", self.ground.id(refused)), a, key);
        self.add("receipt_of_another_command", own, [wrong("receipt-events", 4)]);
        let rejected = self.receipt("rejection = NULL", tally, "idempotency_key = 't3'");
        self.add("rejection_without_reason", rejected, [found("rejection-missing", Some((tally, 0)), None, "-")]);
        let events = self.receipt("outcome = 'rejected', rejection = '{}'", a, key);
        self.add("rejection_with_events", events, [wrong("rejection-events", 4)]);
        let both = self.receipt("rejection = '{}'", a, key);
        self.add("accepted_and_rejected", both, [found("receipt-damaged", Some((a, 0)), None, "-")]);
    }

    fn read_side(&mut self) {
        let (note, other) = (self.shop.notes[0], self.shop.notes[1]);
        let (position, head) = (self.shop.position(note, 1), self.shop.head());
        let set = |set: &str| format!("UPDATE annals_checkpoints SET {set} WHERE name = 'mail'");
        let mail = |kind: &str, position| found(kind, Some((note, 1)), Some(position), "mail");
        self.add("checkpoint_ahead", set(&format!("position = {}", head + 9)), [mail("checkpoint-ahead", head + 9)]);
        let elsewhere = self.shop.position(other, 1);
        self.add(
            "checkpoint_elsewhere",
            set(&format!("position = {elsewhere}")),
            [mail("checkpoint-diverged", elsewhere)],
        );
        let gone = found("event-missing", Some((note, 1)), None, "-");
        self.add(
            "checkpoint_on_nothing",
            self.delete(note, "sequence = 1"),
            [gone, mail("checkpoint-missing", position)],
        );
        let snapshot = |set: &str| format!("UPDATE annals_snapshots SET {set}");
        let tally = self.shop.tally;
        let taken = |kind: &str, sequence| found(kind, Some((tally, sequence)), None, "-");
        let sum = |sequence| {
            let state = SnapshotRef { aggregate_id: tally, snapshot_version: 1, sequence, state: "{\"sum\":6}" };
            let checksum = state.checksum().cast_signed();
            snapshot(&format!("sequence = {sequence}, checksum = {checksum}"))
        };
        self.add("snapshot_off_by_one", sum(5), [taken("snapshot-event", 5)]);
        self.add("snapshot_ahead", sum(9), [taken("snapshot-ahead", 9)]);
        self.add("snapshot_damaged", snapshot("state = '{\"sum\":7}'"), [taken("snapshot-damaged", 6)]);
        self.add("snapshot_moved", snapshot("sequence = 5"), [taken("snapshot-damaged", 5)]);
        let order = self.shop.orders[0];
        let parked = |set: &str| format!("UPDATE annals_parked_events SET {set}");
        let place = self.shop.position(order, 2);
        self.add("parked_of_nobody", parked("name = 'gone'"), [found("parked-orphan", None, None, "gone")]);
        let none = found("parked-missing", Some((order, 77)), Some(place), "mail");
        self.add("parked_and_gone", parked("sequence = 77"), [none]);
        let moved = found("parked-diverged", Some((order, 2)), Some(place + 1), "mail");
        self.add("parked_elsewhere", parked(&format!("position = {}", place + 1)), [moved]);
    }

    /// Positions come from a sequence, and may have holes.
    fn on_postgres(&mut self) {
        let (a, single, head) = (self.shop.orders[3], self.shop.single, self.shop.head());
        let place = self.shop.position(a, 6);
        let twice = self.set(&format!("position = {place}"), single, 1);
        let later = a.max(single);
        let repeated = found("position-repeated", Some((later, if later == a { 6 } else { 1 })), Some(place), "-");
        self.add("position_doubled", twice, [repeated]);
        let behind = format!("SELECT setval('annals_positions', {})", head - 1);
        self.add("sequence_behind", behind, [found("sequence-behind", None, Some(head), "-")]);
        self.add(
            "sequence_new",
            "ALTER SEQUENCE annals_positions RESTART",
            [found("sequence-behind", None, Some(head), "-")],
        );
        let cached = "ALTER SEQUENCE annals_positions CACHE 10";
        self.add("sequence_cached", cached, [found("sequence-settings", None, None, "-")]);
        let renamed = "ALTER SEQUENCE annals_positions RENAME TO gone";
        self.add("sequence_missing", renamed, [found("sequence-missing", None, None, "-")]);
    }

    /// Positions have no holes, and keys can be taken away.
    fn on_sqlite(&mut self) {
        let (a, single) = (self.shop.orders[3], self.shop.single);
        let place = self.shop.position(single, 1);
        let missing = found("position-missing", None, Some(place), "-");
        self.add("position_missing", self.delete(single, "sequence = 1"), [missing.clone()]);
        let last = self.shop.notes[14];
        let head = self.shop.head();
        self.add(
            "end_missing",
            self.delete(last, "sequence = 4"),
            [found("checkpoint-ahead", None, Some(head), "from-now")],
        );
        let keyless = "ALTER TABLE annals_events RENAME TO whole; CREATE TABLE annals_events AS SELECT * FROM whole;
                       DROP TABLE whole; CREATE INDEX by_aggregate ON annals_events (aggregate_id, sequence);";
        let other = self.shop.position(a, 6);
        let later = a.max(single);
        let repeated = found("position-repeated", Some((later, if later == a { 6 } else { 1 })), Some(other), "-");
        let twice = self.set(&format!("position = {other}"), single, 1);
        self.add("position_doubled", format!("{keyless} {twice}"), [repeated, missing]);
        let id = self.ground.id(single);
        let columns =
            "aggregate_type, event_type, schema_version, command_id, payload, metadata, checksum, recorded_at";
        let again = format!(
            "{keyless} INSERT INTO annals_events (position, aggregate_id, sequence, {columns})
             SELECT {}, aggregate_id, sequence, {columns} FROM annals_events WHERE aggregate_id = {id}",
            head + 1
        );
        self.add("event_doubled", again, [found("event-repeated", Some((single, 1)), Some(head + 1), "-")]);
        let key = "idempotency_key = 'order-3-3'";
        let damaged = [found("receipt-damaged", Some((a, 0)), None, "-")];
        self.add("neither_accepted_nor_rejected", self.receipt("outcome = 'maybe'", a, key), damaged.clone());
        self.add("fingerprint_cut_short", self.receipt("fingerprint = x'00'", a, key), damaged);
    }
}

/// Everything that is planted.
pub fn all(ground: &Ground, shop: &Shop) -> Vec<Fault> {
    let mut planter = Planter { ground, shop, faults: Vec::new() };
    planter.events();
    planter.contents();
    planter.receipts();
    planter.read_side();
    if ground.is_sqlite() {
        planter.on_sqlite()
    } else {
        planter.on_postgres()
    }
    planter.faults
}

/// Plants each by itself.
async fn each_is_found(ground: Ground, shop: Shop) {
    let mut kinds = BTreeSet::new();
    for Fault { name, sql, mut found } in all(&ground, &shop) {
        let plot = ground.plot(name).await;
        plot.plant(&sql).await;
        let (code, out, err) = run_on(&plot.url, &["verify", "--format", "jsonl"]);
        assert_eq!(code, 3, "{name}: {out}{err}");
        let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let report = lines.pop().unwrap();
        assert_eq!((&report["kind"], &report["is_sound"]), (&"report".into(), &false.into()), "{name}: {out}");
        let mut said: Vec<_> = lines.iter().map(found_in).collect();
        kinds.extend(lines.iter().map(|line| line["kind"].as_str().unwrap().to_owned()));
        said.sort();
        found.sort();
        assert_eq!(said, found, "{name}: {sql}\n{out}");
        for line in &lines {
            let message = line["message"].as_str().unwrap();
            let named = [&line["aggregate_id"], &line["checkpoint"]];
            assert!(named.iter().filter_map(|name| name.as_str()).all(|name| message.contains(name)), "{name}: {line}");
        }
        assert!(
            err.contains("something is wrong") && err.contains(lines[0]["kind"].as_str().unwrap()),
            "{name}: {err}"
        );
        plot.clear().await;
    }
    assert!(kinds.len() >= 22, "{} kinds: {kinds:?}", kinds.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_in_sqlite_is_found_and_named_and_nothing_else() {
    let (ground, shop) = Ground::sqlite().await;
    each_is_found(ground, shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_in_postgresql_is_found_and_named_and_nothing_else() {
    let (ground, shop) = Ground::postgres().await;
    each_is_found(ground, shop).await;
}
