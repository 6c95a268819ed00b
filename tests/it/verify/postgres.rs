//! The check on PostgreSQL.

use annals::{FindingKind::*, PostgresStore};
use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Site, assert_sound, beside_writers, bounds,
    damage::{self, Damage, damage},
    history::History,
    inspection, verify,
};
use crate::postgres_server::Database;

struct OnServer {
    store: PostgresStore,
    database: Database,
}

#[async_trait]
impl Site for OnServer {
    type Store = PostgresStore;

    async fn open() -> Self {
        let database = Database::create().await;
        Self { store: PostgresStore::connect(database.url()).await.unwrap(), database }
    }

    fn store(&self) -> &PostgresStore {
        &self.store
    }

    async fn run(&self, sql: &str) {
        let mut connection = self.database.connection().await;
        let past = "ALTER TABLE annals_events DISABLE TRIGGER USER;";
        sqlx::raw_sql(AssertSqlSafe(format!("{past}\n{sql}"))).execute(&mut connection).await.unwrap();
    }

    fn id(id: Uuid) -> String {
        format!("'{id}'::uuid")
    }

    fn time() -> &'static str {
        "to_timestamp(1)"
    }

    async fn close(self) {
        self.store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_every_kind_is_found_at_its_place_and_nowhere_else() {
    damage::of_every_kind_is_found::<OnServer>().await;
}

/// Positions may have holes: what is gone with everything that speaks of it is not missed. Two of one are seen.
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_only_postgresql_can_show_is_found() {
    damage::is_found::<OnServer>(|history| {
        let (a, c) = (history.keyed, history.own);
        let event = |set: &str, id, sequence: u64| {
            format!(
                "UPDATE annals_events SET {set} WHERE aggregate_id = {} AND sequence = {sequence}",
                OnServer::id(id)
            )
        };
        let same = format!("position = {}", history.event(a, 6).position());
        let receipts = "ALTER TABLE annals_receipts DROP CONSTRAINT IF EXISTS annals_receipts_outcome_check,
                            DROP CONSTRAINT IF EXISTS annals_receipts_fingerprint_check;";
        let id = OnServer::id(a);
        let receipt = |set: &str| Damage {
            sql: format!(
                "{receipts} UPDATE annals_receipts SET {set} WHERE aggregate_id = {id} AND idempotency_key = 'k3'"
            ),
            found: vec![(ReceiptDamaged, Some(a), None)],
        };
        vec![
            damage(event(&same, c, 1), [(PositionRepeated, a.max(c), if a > c { 6 } else { 1 })]),
            damage(event("recorded_at = 'infinity'", a, 6), [(EventUnreadable, a, 6)]),
            receipt("outcome = 'maybe'"),
            receipt("fingerprint = '\\x00'"),
        ]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_held_at_once_are_bounded_and_a_hot_aggregate_is_read_in_parts() {
    bounds::rows_held_at_once_are_bounded::<OnServer>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_findings_are_counted_and_shown_but_not_all_kept() {
    bounds::all_findings_are_counted_and_shown_but_not_all_kept::<OnServer>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_writers_finds_nothing_and_lets_them_write() {
    beside_writers::nothing_is_found::<OnServer>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_can_be_dropped_anywhere() {
    beside_writers::a_check_can_be_dropped_anywhere::<OnServer>().await;
}

/// The first and the last id there can be: a page goes on after each key, and begins before the first.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_id_and_the_last_are_read() {
    let site = OnServer::open().await;
    History::write(&site).await;
    for id in [Uuid::nil(), Uuid::max()] {
        let note = annals::NewEvent::new("noted", &1).unwrap();
        annals::EventStoreExt::append_one(site.store(), annals::Append::new("note", id).event(note)).await.unwrap();
        let snapshot = annals::store::SnapshotRef { aggregate_id: id, snapshot_version: 1, sequence: 1, state: "1" };
        annals::EventStore::save_snapshot(site.store(), snapshot).await.unwrap();
    }
    for rows in [64, 1_000] {
        let report = annals::Verify::new(site.store()).hold_rows(rows).run().await.unwrap();
        assert_sound(&report);
        assert_eq!((report.counts.events, report.counts.snapshots, report.counts.receipts), (17, 3, 10));
    }
    assert_sound(&verify(site.store()).await);
    site.close().await;
}

/// Reading one snapshot ends in the error that a damaged page gives.
const DAMAGED_PAGE: &str = "
    CREATE FUNCTION damaged() RETURNS json LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'invalid page' USING ERRCODE = 'data_corrupted'; END $$;
    ALTER TABLE annals_snapshots RENAME TO kept;
    CREATE VIEW annals_snapshots AS
        SELECT aggregate_id, snapshot_version, sequence, event_checksum, damaged() AS state, checksum, recorded_at FROM kept";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_read_is_a_finding_and_the_rest_is_checked() {
    let site = OnServer::open().await;
    History::write(&site).await;
    let sound = verify(site.store()).await;
    site.run(DAMAGED_PAGE).await;
    let report = verify(site.store()).await;
    let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [TableUnreadable], "{report}");
    assert_eq!(report.counts.events, sound.counts.events);
    assert_eq!(report.counts.receipts, sound.counts.receipts);
    site.close().await;
}

/// What a check has to name must not keep the store from being opened.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_for_inspection_opens_what_others_refuse_and_writes_nothing() {
    let site = OnServer::open().await;
    History::write(&site).await;
    site.run("SELECT setval('annals_positions', 3); ALTER SEQUENCE annals_positions CACHE 5").await;
    let url = site.database.url();
    for options in [PostgresStore::options(), PostgresStore::options().migrates(false)] {
        assert!(matches!(options.connect(url).await.unwrap_err(), annals::Error::Schema { .. }));
    }
    let store = PostgresStore::options().for_inspection().connect(url).await.unwrap();
    let kinds: Vec<_> = verify(&store).await.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [SequenceSettings, SequenceBehind]);
    inspection::nothing_is_written(&store).await;
    store.close().await;
    // An older schema cannot be checked, and is not migrated.
    let empty = Database::create().await;
    let error = PostgresStore::options().for_inspection().connect(empty.url()).await.unwrap_err();
    assert!(error.to_string().contains("schema 0"), "{error}");
    let error = PostgresStore::options().for_inspection().pooled(true).connect(url).await.unwrap_err();
    assert!(matches!(error, annals::Error::Invalid { .. }), "{error:?}");
    site.close().await;
}
