//! The check on SQLite.

use annals::{EventStoreExt as _, FindingKind::*, LogQuery, SqliteStore, Verify};
use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    Site, assert_found, assert_sound, beside_writers, bounds,
    damage::{self, Damage, damage},
    history::History,
    inspection, verify,
};
use crate::faults::raw;

struct InFile {
    store: SqliteStore,
    folder: TempDir,
}

#[async_trait]
impl Site for InFile {
    type Store = SqliteStore;

    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: SqliteStore::open(folder.path().join("annals.db")).await.unwrap(), folder }
    }

    fn store(&self) -> &SqliteStore {
        &self.store
    }

    async fn run(&self, sql: &str) {
        let mut connection = raw(&self.folder.path().join("annals.db")).await;
        let past = "PRAGMA ignore_check_constraints = ON;
                    DROP TRIGGER IF EXISTS annals_events_refuse_update;
                    DROP TRIGGER IF EXISTS annals_events_refuse_delete;";
        sqlx::raw_sql(AssertSqlSafe(format!("{past}\n{sql}"))).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    fn id(id: Uuid) -> String {
        format!("x'{}'", id.simple())
    }

    fn time() -> &'static str {
        "1"
    }

    async fn close(self) {
        self.store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_every_kind_is_found_at_its_place_and_nowhere_else() {
    damage::of_every_kind_is_found::<InFile>().await;
}

/// What only SQLite can show: positions without holes, loose types, constraints that were switched off.
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_only_sqlite_can_show_is_found() {
    damage::is_found::<InFile>(|history| {
        let (a, b, c, e) = (history.keyed, history.bare, history.own, history.single);
        let event = |set: &str, id, sequence: u64| {
            format!("UPDATE annals_events SET {set} WHERE aggregate_id = {} AND sequence = {sequence}", InFile::id(id))
        };
        let receipt = |set: &str| {
            let id = InFile::id(a);
            let sql = format!("UPDATE annals_receipts SET {set} WHERE aggregate_id = {id} AND idempotency_key = 'k3'");
            Damage { sql, found: vec![(ReceiptDamaged, Some(a), None)] }
        };
        let delete = |id, sequence: u64| {
            format!("DELETE FROM annals_events WHERE aggregate_id = {} AND sequence = {sequence}", InFile::id(id))
        };
        vec![
            // Not UTF-8 any more; a time beyond time; a version below one.
            damage(event("payload = CAST(x'7bff7d' AS TEXT)", a, 5), [(EventUnreadable, a, 5)]),
            damage(event("metadata = CAST(x'7bff7d' AS TEXT)", a, 8), [(EventUnreadable, a, 8)]),
            damage(event("recorded_at = 9223372036854775807", a, 6), [(EventUnreadable, a, 6)]),
            damage(event("schema_version = -1", c, 1), [(EventUnreadable, c, 1)]),
            damage(event("command_id = x'00'", a, 4), [(EventUnreadable, a, 4)]),
            receipt("rejection = '{\"sum\":'"),
            receipt("outcome = 'maybe'"),
            receipt("fingerprint = x'00'"),
            receipt("command_id = x'00'"),
            receipt("first_sequence = 3, last_sequence = 1"),
            damage(
                history.snapshot::<InFile>(a, 6, history.event(a, 6).checksum(), "nonsense"),
                [(SnapshotDamaged, a, 6)],
            ),
            // Events that nothing speaks of leave their positions behind.
            Damage { sql: delete(e, 1), found: vec![(PositionMissing, None, None)] },
            Damage {
                sql: format!("{}; {}", delete(e, 1), delete(a, 5)),
                found: vec![(PositionMissing, None, None), (EventMissing, Some(a), Some(5))],
            },
            Damage { sql: delete(b, 3), found: vec![(CheckpointAhead, None, None)] },
        ]
    })
    .await;
    damage::is_found::<InFile>(|history| {
        let (a, c) = (history.keyed, history.own);
        let sql =
            format!("UPDATE annals_events SET position = 9 WHERE aggregate_id = {} AND sequence = 1", InFile::id(c));
        let repeated = (PositionRepeated, Some(a.max(c)), Some(if a > c { 6 } else { 1 }));
        vec![Damage { sql: twice(&sql), found: vec![repeated, (PositionMissing, None, None)] }]
    })
    .await;
}

/// Runs a change on a table that has lost its keys.
fn twice(sql: &str) -> String {
    format!(
        "ALTER TABLE annals_events RENAME TO whole; CREATE TABLE annals_events AS SELECT * FROM whole; DROP TABLE whole;
         CREATE INDEX by_aggregate ON annals_events (aggregate_id, sequence); {sql}"
    )
}

#[tokio::test]
async fn an_event_that_is_there_twice_is_found() {
    let site = InFile::open().await;
    let history = History::write(&site).await;
    let id = InFile::id(history.bare);
    site.run(&twice(&format!(
        "INSERT INTO annals_events (position, aggregate_id, sequence, aggregate_type, event_type, schema_version,
                                    command_id, payload, metadata, checksum, recorded_at)
         SELECT (SELECT max(position) + 1 FROM annals_events), aggregate_id, sequence, aggregate_type, event_type,
                schema_version, command_id, payload, metadata, checksum, recorded_at
         FROM annals_events WHERE aggregate_id = {id} AND sequence = 3"
    )))
    .await;
    let found = [(EventRepeated, Some(history.bare), Some(3))];
    assert_found(&verify(site.store()).await, &found, "an event twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_held_at_once_are_bounded_and_a_hot_aggregate_is_read_in_parts() {
    bounds::rows_held_at_once_are_bounded::<InFile>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_findings_are_counted_and_shown_but_not_all_kept() {
    bounds::all_findings_are_counted_and_shown_but_not_all_kept::<InFile>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_writers_finds_nothing_and_lets_them_write() {
    beside_writers::nothing_is_found::<InFile>().await;
}

#[tokio::test]
async fn a_check_can_be_dropped_anywhere() {
    beside_writers::a_check_can_be_dropped_anywhere::<InFile>().await;
}

#[tokio::test]
async fn an_empty_log_is_sound_also_in_memory_and_read_only() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let report = verify(&store).await;
    assert_sound(&report);
    assert_eq!((report.counts.events, report.head.get()), (0, 0));
    let site = InFile::open().await;
    History::write(&site).await;
    let url = format!("sqlite:{}?mode=ro", site.folder.path().join("annals.db").display());
    let reader = SqliteStore::connect(&url).await.unwrap();
    let report = verify(&reader).await;
    assert_sound(&report);
    let counts = report.counts;
    assert_eq!((counts.events, counts.aggregates, counts.receipts), (15, 4, 8));
    assert_eq!((counts.snapshots, counts.refolds, counts.checkpoints, counts.places), (1, 1, 3, 15));
}

/// Pages of the file that cannot be read: never a report that looks clean.
#[tokio::test(flavor = "multi_thread")]
async fn store_101_a_page_that_cannot_be_read_is_found_or_an_error() {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let site = InFile::open().await;
    History::write(&site).await;
    for number in 0..200 {
        let note = annals::NewEvent::new("noted", &"x".repeat(100)).unwrap();
        let append = annals::Append::new("note", Uuid::new_v5(&Uuid::nil(), &[number, 1])).event(note);
        site.store().append_one(append).await.unwrap();
    }
    assert_eq!(site.store().collect_log(&LogQuery::all()).await.unwrap().len(), 215);
    site.store.close().await;
    let path = site.folder.path().join("annals.db");
    let whole = std::fs::read(&path).unwrap();
    let (mut noticed, mut with_rows) = (0, 0);
    for page in 1..whole.len() / 4096 {
        // How many rows a page has stands in its head: of one without any nobody misses anything.
        with_rows += usize::from(whole[page * 4096 + 3..page * 4096 + 5] != [0, 0]);
        std::fs::write(&path, &whole).unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(page as u64 * 4096)).unwrap();
        file.write_all(&[0; 4096]).unwrap();
        drop(file);
        let Ok(store) = SqliteStore::open(&path).await else {
            noticed += 1;
            continue;
        };
        match Verify::new(&store).run().await {
            Ok(report) => noticed += usize::from(!report.is_sound()),
            Err(_) => noticed += 1,
        }
        store.close().await;
    }
    // All but pages of indexes that nothing is read by.
    assert!(noticed + 6 >= with_rows, "{noticed} of {with_rows} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_for_inspection_makes_nothing_and_writes_nothing() {
    let site = InFile::open().await;
    History::write(&site).await;
    let path = site.folder.path().join("annals.db");
    let store = SqliteStore::options().for_inspection().open(&path).await.unwrap();
    assert_sound(&verify(&store).await);
    inspection::nothing_is_written(&store).await;
    store.close().await;
    // Even where the URL would have it written.
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let store = SqliteStore::options().for_inspection().connect(&url).await.unwrap();
    inspection::nothing_is_written(&store).await;
    store.close().await;
    let missing = site.folder.path().join("missing.db");
    SqliteStore::options().for_inspection().open(&missing).await.unwrap_err();
    assert!(!missing.exists());
    let error = SqliteStore::options().for_inspection().open_in_memory().await.unwrap_err();
    assert!(matches!(error, annals::Error::Invalid { .. }), "{error:?}");
}
