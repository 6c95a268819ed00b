//! Snapshots: states that spare the folding of long histories, and that nothing depends on.

use std::sync::atomic::{AtomicU64, Ordering};

use annals::{
    Aggregate, Append, EventStoreExt as _, ExpectedVersion, Id, IdempotencyKey, NewEvent, Repository, SqliteStore,
    Transactional as _, Upcasters, Work as _,
};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Sum {
    total: u64,
    /// How many events this very value was evolved by; not part of a snapshot.
    #[serde(skip)]
    folded: u64,
}

#[derive(Debug, Serialize)]
struct Add(u64);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Added(u64),
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("no")]
struct No;

impl Aggregate for Sum {
    const TYPE: &'static str = "sum";
    type Command = Add;
    type Event = Event;
    type Rejection = No;

    fn decide(&self, Add(by): &Add) -> Result<Vec<Event>, No> {
        Ok(vec![Event::Added(*by)])
    }

    fn evolve(&mut self, Event::Added(by): &Event) {
        self.total += by;
        self.folded += 1;
    }
}

async fn store() -> (SqliteStore, Repository<Sum>, Id<Sum>) {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let sums = Repository::new(&store).snapshot_every(10);
    (store, sums, Id::natural("a"))
}

async fn add(sums: &Repository<Sum>, id: Id<Sum>, times: u64) {
    for _ in 0..times {
        sums.execute(id, &Add(1)).await.unwrap();
    }
}

/// Runs SQL of the test's own.
async fn sql(store: &SqliteStore, sql: &'static str) {
    let mut work = store.begin().await.unwrap();
    sqlx::raw_sql(sql).execute(work.connection()).await.unwrap();
    work.commit().await.unwrap();
}

async fn snapshot(store: &SqliteStore) -> Option<(i64, i64)> {
    let mut work = store.begin().await.unwrap();
    let row = sqlx::query("SELECT snapshot_version, sequence FROM annals_snapshots")
        .fetch_optional(work.connection())
        .await
        .unwrap();
    row.map(|row| (row.get(0), row.get(1)))
}

/// What a load gives: total, version, and how many events it took.
async fn loaded(sums: &Repository<Sum>, id: Id<Sum>) -> (u64, u64, u64) {
    let loaded = sums.load(id).await.unwrap();
    (loaded.state.total, loaded.version, loaded.state.folded)
}

#[tokio::test]
async fn loading_reads_the_snapshot_and_what_came_after_it() {
    let (store, sums, id) = store().await;
    add(&sums, id, 9).await;
    assert_eq!(snapshot(&store).await, None);
    add(&sums, id, 16).await;
    assert_eq!(snapshot(&store).await, Some((1, 20)));
    assert_eq!(loaded(&sums, id).await, (25, 25, 5));
    assert_eq!(loaded(&Repository::new(&store), id).await, (25, 25, 25), "without snapshots all events are folded");
}

#[tokio::test]
async fn one_append_past_several_multiples_takes_one_snapshot() {
    let (store, sums, id) = store().await;
    let event = || NewEvent::encode(&Event::Added(1), &Upcasters::none()).unwrap();
    store.append_one(Append::to(id).events((0..35).map(|_| event()))).await.unwrap();
    assert_eq!(snapshot(&store).await, None, "ready-made events know no state");
    add(&sums, id, 5).await;
    assert_eq!(snapshot(&store).await, Some((1, 40)));
}

#[tokio::test]
async fn a_snapshot_of_another_shape_is_passed_over_and_replaced_by_a_newer_one_only() {
    let (store, sums, id) = store().await;
    add(&sums, id, 12).await;
    // In whatever order the two are said.
    let newer = Repository::<Sum>::new(&store).snapshot_version(2).snapshot_every(10);
    assert_eq!(loaded(&newer, id).await, (12, 12, 12));
    add(&newer, id, 8).await;
    assert_eq!(snapshot(&store).await, Some((2, 20)));
    // Older code that still runs goes without, and does not take the newer one away.
    assert_eq!(loaded(&sums, id).await, (20, 20, 20));
    add(&sums, id, 10).await;
    assert_eq!(snapshot(&store).await, Some((2, 20)));
    assert_eq!(loaded(&newer, id).await, (30, 30, 10));
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over() {
    for damage in [
        "UPDATE annals_snapshots SET state = '{\"total\":999}'",
        "UPDATE annals_snapshots SET state = 'nonsense'",
        "UPDATE annals_snapshots SET sequence = sequence - 1",
        "UPDATE annals_snapshots SET sequence = sequence + 1",
        "UPDATE annals_snapshots SET checksum = checksum + 1",
        "UPDATE annals_snapshots SET event_checksum = event_checksum + 1",
    ] {
        let (store, sums, id) = store().await;
        add(&sums, id, 12).await;
        sql(&store, damage).await;
        assert_eq!(loaded(&sums, id).await, (12, 12, 12), "{damage}");
        add(&sums, id, 8).await;
        assert_eq!(loaded(&sums, id).await, (20, 20, 0), "the next snapshot replaces it: {damage}");
    }
}

#[tokio::test]
async fn a_snapshot_ahead_of_its_stream_is_passed_over_and_healed() {
    let (store, sums, id) = store().await;
    add(&sums, id, 30).await;
    // The events are set back, as a restored backup would, and history takes another way.
    sql(
        &store,
        "DROP TRIGGER annals_events_refuse_delete; DELETE FROM annals_events WHERE sequence > 15;
         CREATE TRIGGER annals_events_refuse_delete BEFORE DELETE ON annals_events
         BEGIN SELECT RAISE(ABORT, 'append-only'); END;",
    )
    .await;
    assert_eq!(loaded(&sums, id).await, (15, 15, 15));
    for _ in 0..5 {
        sums.execute(id, &Add(100)).await.unwrap();
    }
    assert_eq!(snapshot(&store).await, Some((1, 20)));
    assert_eq!(loaded(&sums, id).await, (515, 20, 0));
    for _ in 0..11 {
        sums.execute(id, &Add(100)).await.unwrap();
    }
    assert_eq!(loaded(&sums, id).await, (1615, 31, 1), "nothing of the lost history comes back");
}

#[tokio::test]
async fn a_replay_takes_no_snapshot() {
    let (store, sums, id) = store().await;
    add(&sums, id, 9).await;
    let key = IdempotencyKey::new("k").unwrap();
    sums.execute(id, &Add(1)).idempotency_key(key.clone()).await.unwrap();
    assert_eq!(snapshot(&store).await, Some((1, 10)));
    sql(&store, "DELETE FROM annals_snapshots").await;
    assert!(sums.execute(id, &Add(1)).idempotency_key(key).await.unwrap().replayed);
    assert_eq!(snapshot(&store).await, None);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_kept_fails_nothing() {
    let (store, sums, id) = store().await;
    add(&sums, id, 9).await;
    sql(
        &store,
        "DROP TABLE annals_snapshots;
         CREATE TABLE annals_snapshots (aggregate_id BLOB PRIMARY KEY, snapshot_version INTEGER, sequence INTEGER,
         event_checksum INTEGER, state TEXT CHECK (state IS NULL), checksum INTEGER, recorded_at INTEGER)",
    )
    .await;
    assert_eq!(sums.execute(id, &Add(1)).await.unwrap().version, 10);
    assert_eq!(snapshot(&store).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_hold_only_what_is_committed_also_when_commands_are_on_their_way() {
    let (store, sums, id) = store().await;
    let sums = sums.cached(8);
    let sent = AtomicU64::new(0);
    let commands = (0..64).map(|_| async {
        for _ in 0..4 {
            sums.execute(id, &Add(sent.fetch_add(1, Ordering::Relaxed))).await.unwrap();
        }
    });
    futures_util::future::join_all(commands).await;
    let all = (0..256_u64).sum::<u64>();
    let (total, at, folded) = loaded(&sums, id).await;
    assert_eq!((total, at), (all, 256));
    assert!(folded < 256, "there is a snapshot");
    assert_eq!(loaded(&Repository::new(&store), id).await, (all, 256, 256));
    let stale = Append::to(id).expected(ExpectedVersion::Exact(255));
    let stale = stale.event(NewEvent::encode(&Event::Added(1), &Upcasters::none()).unwrap());
    assert!(store.append_one(stale).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn the_version_of_snapshots_is_set_before_or_after_their_interval() {
    let (store, sums, id) = store().await;
    let before = Repository::<Sum>::new(&store).snapshot_version(2).snapshot_every(10);
    add(&before, id, 10).await;
    assert_eq!(snapshot(&store).await, Some((2, 10)));
    assert_eq!(loaded(&sums.snapshot_version(2), id).await, (10, 10, 0));
}

#[tokio::test]
async fn a_damaged_event_right_after_a_snapshot_is_found() {
    let (store, sums, id) = store().await;
    add(&sums, id, 11).await;
    sql(
        &store,
        "DROP TRIGGER annals_events_refuse_update;
         UPDATE annals_events SET payload = '7' WHERE sequence = 11",
    )
    .await;
    let refused = sums.load(id).await.unwrap_err();
    assert!(matches!(refused, annals::Error::Backend { fault: annals::Fault::Corrupt, .. }), "{refused}");
}
