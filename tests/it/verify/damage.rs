//! Damage of every kind, planted by SQL that both databases take.

use annals::FindingKind::{self, *};
use uuid::Uuid;

use super::{Found, Site, assert_found, assert_sound, history::History, verify};

/// A way to damage the history: its SQL, and what is to be found.
pub struct Damage {
    pub sql: String,
    pub found: Vec<Found>,
}

pub fn damage(sql: impl Into<String>, found: impl IntoIterator<Item = (FindingKind, Uuid, u64)>) -> Damage {
    let found = found.into_iter().map(|(kind, id, sequence)| (kind, Some(id), Some(sequence))).collect();
    Damage { sql: sql.into(), found }
}

const OTHER: Uuid = Uuid::from_u128(0x7d44_4840_9dc0_11d1_b245_5ffd_ce74_fad2);

fn events<S: Site>(history: &History) -> Vec<Damage> {
    let (a, c) = (history.keyed, history.own);
    let (keyed, own, other) = (S::id(a), S::id(c), S::id(OTHER));
    let mut all = Vec::new();
    // At the start, the middle and the end of appends, under a snapshot, at it and behind it.
    for sequence in 1..=8 {
        let sql = format!(
            "UPDATE annals_events SET payload = '{{\"by\":3}}' WHERE aggregate_id = {keyed} AND sequence = {sequence}"
        );
        all.push(damage(sql, [(EventChecksum, a, sequence)]));
    }
    for set in [
        "metadata = '{\"actor\":\"x\"}'".to_owned(),
        "checksum = checksum + 1".to_owned(),
        "schema_version = 2".to_owned(),
        "event_type = 'addee'".to_owned(),
        format!("command_id = {other}"),
    ] {
        for sequence in [4, 6] {
            let sql = format!("UPDATE annals_events SET {set} WHERE aggregate_id = {keyed} AND sequence = {sequence}");
            all.push(damage(sql, [(EventChecksum, a, sequence)]));
        }
    }
    let delete = |id: &str, which: &str| format!("DELETE FROM annals_events WHERE aggregate_id = {id} AND {which}");
    all.extend([
        damage(delete(&keyed, "sequence = 1"), [(EventMissing, a, 1)]),
        damage(delete(&keyed, "sequence <= 3"), [(EventMissing, a, 1)]),
        damage(delete(&keyed, "sequence = 5"), [(EventMissing, a, 5)]),
        damage(delete(&keyed, "sequence = 6"), [(EventMissing, a, 6)]),
        damage(delete(&keyed, "sequence BETWEEN 4 AND 6"), [(EventMissing, a, 4)]),
        damage(delete(&keyed, "sequence BETWEEN 3 AND 5"), [(EventMissing, a, 3)]),
        damage(delete(&keyed, "sequence IN (2, 5)"), [(EventMissing, a, 2), (EventMissing, a, 5)]),
        // With a receipt that names it, the last one is missed as well.
        damage(delete(&keyed, "sequence = 8"), [(ReceiptAhead, a, 8)]),
        damage(delete(&keyed, "sequence >= 7"), [(ReceiptAhead, a, 7)]),
        damage(delete(&own, "sequence = 3"), [(ReceiptAhead, c, 3)]),
        damage(delete(&own, "sequence <= 2"), [(EventMissing, c, 1)]),
        damage(
            format!("UPDATE annals_events SET aggregate_type = 'other' WHERE aggregate_id = {own} AND sequence = 2"),
            [(AggregateType, c, 2)],
        ),
        damage(
            format!("UPDATE annals_events SET aggregate_type = 'other' WHERE aggregate_id = {own} AND sequence = 1"),
            [(AggregateType, c, 2)],
        ),
        damage(
            swap(&keyed, history.event(a, 7).position().get(), history.event(a, 8).position().get()),
            [(PositionOrder, a, 8)],
        ),
    ]);
    all
}

/// Swaps the positions of two events, by way of one that nobody has.
fn swap(id: &str, one: u64, two: u64) -> String {
    let to = |from: u64, to: u64| {
        format!("UPDATE annals_events SET position = {to} WHERE aggregate_id = {id} AND position = {from};")
    };
    [to(one, 1_000_000), to(two, one), to(1_000_000, two)].concat()
}

fn receipts<S: Site>(history: &History) -> Vec<Damage> {
    let (a, c, d) = (history.keyed, history.own, history.refused);
    let (keyed, own, refused, other) = (S::id(a), S::id(c), S::id(d), S::id(OTHER));
    let set = |set: &str, id: &str, which: &str| {
        format!("UPDATE annals_receipts SET {set} WHERE aggregate_id = {id} AND {which}")
    };
    let k2 = |what: &str| set(what, &keyed, "idempotency_key = 'k2'");
    let mut all = vec![
        damage(k2("last_sequence = 5"), [(CommandRepeated, a, 6)]),
        damage(k2("first_sequence = 5"), [(CommandRepeated, a, 4)]),
        damage(k2("first_sequence = 3"), [(ReceiptEvents, a, 3)]),
        damage(k2("last_sequence = 7"), [(ReceiptEvents, a, 7)]),
        damage(k2("first_sequence = 1, last_sequence = 3"), [(ReceiptEvents, a, 1)]),
        damage(k2("first_sequence = 7, last_sequence = 6"), [(CommandRepeated, a, 4)]),
        damage(k2("last_sequence = 99"), [(ReceiptAhead, a, 9)]),
        damage(k2("first_sequence = 98, last_sequence = 99"), [(ReceiptAhead, a, 9)]),
        damage(k2(&format!("command_id = {other}")), [(ReceiptEvents, a, 4)]),
        damage(k2("outcome = 'rejected', rejection = '{}'"), [(RejectionEvents, a, 4)]),
        damage(
            // As if the key had been carried out twice, and the second answer had taken the place of the first.
            format!(
                "{}; DELETE FROM annals_receipts WHERE aggregate_id = {keyed} AND idempotency_key = 'k2'",
                set(
                    "command_id = (SELECT command_id FROM annals_events WHERE annals_events.aggregate_id = \
                     annals_receipts.aggregate_id AND annals_events.sequence = 4)",
                    &keyed,
                    "idempotency_key = 'k3'"
                )
            ),
            [(RejectionEvents, a, 4)],
        ),
        damage(
            set("first_sequence = 1, last_sequence = 1, outcome = 'accepted', rejection = NULL", &refused, "1 = 1"),
            [(ReceiptAhead, d, 1)],
        ),
        damage(
            set("first_sequence = 11, last_sequence = 10", &keyed, "idempotency_key = 'k4'"),
            [(ReceiptAhead, a, 9)],
        ),
    ];
    for (sql, kind, id) in [
        (set("rejection = NULL", &keyed, "idempotency_key = 'k3'"), RejectionMissing, a),
        (set("rejection = '{}'", &keyed, "idempotency_key = 'k4'"), ReceiptDamaged, a),
        (set(&format!("command_id = {other}"), &own, "first_sequence = 3"), ReceiptDamaged, c),
        (set("idempotency_key = 'no key'", &keyed, "idempotency_key = 'k4'"), ReceiptDamaged, a),
    ] {
        all.push(Damage { sql, found: vec![(kind, Some(id), None)] });
    }
    all
}

fn snapshots<S: Site>(history: &History) -> Vec<Damage> {
    let (a, d) = (history.keyed, history.refused);
    let checksum_of = |sequence| history.event(a, sequence).checksum();
    let snapshot = |id, sequence, event_checksum, state| history.snapshot::<S>(id, sequence, event_checksum, state);
    let set = |set: &str| format!("UPDATE annals_snapshots SET {set}");
    vec![
        damage(snapshot(a, 6, checksum_of(6), "{\"sum\":7}"), [(SnapshotState, a, 6)]),
        damage(snapshot(a, 6, checksum_of(6), "[]"), [(SnapshotState, a, 6)]),
        damage(snapshot(a, 6, checksum_of(5), "{\"sum\":6}"), [(SnapshotEvent, a, 6)]),
        damage(snapshot(a, 9, checksum_of(8), "{\"sum\":9}"), [(SnapshotAhead, a, 9)]),
        damage(snapshot(d, 1, 7, "{\"sum\":1}"), [(SnapshotAhead, d, 1)]),
        damage(set("event_checksum = event_checksum + 1"), [(SnapshotEvent, a, 6)]),
        damage(set("checksum = checksum + 1"), [(SnapshotDamaged, a, 6)]),
        damage(set("state = '{\"sum\":7}'"), [(SnapshotDamaged, a, 6)]),
        damage(set("sequence = 5"), [(SnapshotDamaged, a, 5)]),
        damage(set("sequence = 9"), [(SnapshotDamaged, a, 9)]),
        // Nothing wrong: another way to write the same state, one of another shape, and one that is gone.
        damage(snapshot(a, 6, checksum_of(6), "{ \"sum\" : 6 }"), []),
        damage(snapshot(a, 5, checksum_of(5), "{\"sum\":5}"), []),
        damage("DELETE FROM annals_snapshots", []),
    ]
}

fn checkpoints<S: Site>(history: &History) -> Vec<Damage> {
    let (b, other) = (history.bare, S::id(OTHER));
    let set = |set: &str| format!("UPDATE annals_checkpoints SET {set} WHERE name = 'mail'");
    let next = history.event(b, 2).position();
    vec![
        damage(set("position = 99"), [(CheckpointAhead, b, 1)]),
        damage(set(&format!("position = {next}")), [(CheckpointDiverged, b, 1)]),
        damage(set("sequence = 2"), [(CheckpointDiverged, b, 2)]),
        damage(set(&format!("command_id = {other}")), [(CheckpointDiverged, b, 1)]),
        damage(set(&format!("aggregate_id = {other}")), [(CheckpointDiverged, OTHER, 1)]),
        damage(
            format!("DELETE FROM annals_events WHERE aggregate_id = {} AND sequence = 1", S::id(b)),
            [(EventMissing, b, 1), (CheckpointMissing, b, 1)],
        ),
    ]
}

/// Plants each damage in the same history, alone and with a second one elsewhere.
pub async fn is_found<S: Site>(damages: impl Fn(&History) -> Vec<Damage>) {
    let site = S::open().await;
    let history = History::write(&site).await;
    history.keep(&site).await;
    assert_sound(&verify(site.store()).await);
    for Damage { sql, mut found } in damages(&history) {
        site.run(&sql).await;
        let report = verify(site.store()).await;
        assert_found(&report, &found, &sql);
        for finding in &report.findings {
            let event = finding.aggregate_id.zip(finding.sequence).and_then(|place| history.events.get(&place));
            let is_at_event = matches!(finding.kind, EventChecksum | CommandRepeated | RejectionEvents | AggregateType);
            if let Some((event, position)) = event.filter(|_| is_at_event).zip(finding.position) {
                assert_eq!(event.position(), position, "{sql}: {finding}");
            }
        }

        let elsewhere = format!(
            "UPDATE annals_events SET payload = '17' WHERE aggregate_id = {} AND sequence = 2",
            S::id(history.bare)
        );
        site.run(&elsewhere).await;
        found.push((EventChecksum, Some(history.bare), Some(2)));
        assert_found(&verify(site.store()).await, &found, format!("two at once: {sql}"));
        history.restore(&site).await;
    }
    assert_sound(&verify(site.store()).await);
    site.close().await;
}

pub async fn of_every_kind_is_found<S: Site>() {
    is_found::<S>(events::<S>).await;
    is_found::<S>(receipts::<S>).await;
    is_found::<S>(snapshots::<S>).await;
    is_found::<S>(checkpoints::<S>).await;
}
