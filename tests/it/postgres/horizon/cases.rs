//! The horizon, case by case.

use std::time::Duration;

use annals::{
    EventRef, EventStore as _, EventStoreExt as _, LogQuery, Position, PostgresStore, Selection, Transactional as _,
    Work as _,
};
use sqlx::{Executor as _, PgConnection};
use uuid::Uuid;

use super::{KINDS, adversity::Unrelated, append, append_to, first_seen, following::statement, page, pause, pid, seen};
use crate::postgres_server::Database;

const NOTHING: [u64; 0] = [];

async fn open() -> (Database, PostgresStore) {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    (database, store)
}

/// A selection that chooses all there is, which the store does not know: it cannot go by rows that run on.
fn chosen() -> LogQuery {
    LogQuery::all().select(Selection::all().aggregate_types(KINDS))
}

#[tokio::test]
async fn store_055_what_was_committed_is_held_back_by_an_open_transaction_with_an_earlier_position() {
    let (_database, store) = open().await;
    let mut open = store.begin().await.unwrap();
    assert_eq!(open.append(&append(1)).await.unwrap().position, Some(Position::new(1)));
    let committed = store.append_one(append(1)).await.unwrap();
    assert_eq!(committed.position, Some(Position::new(2)));
    for query in [LogQuery::all(), LogQuery::all().limit(1), chosen(), chosen().limit(1)] {
        assert_eq!(page(&store, &query).await, (vec![], Position::START));
    }
    assert_eq!(store.head().await.unwrap(), Position::START);
    open.commit().await.unwrap();
    for query in [LogQuery::all(), chosen()] {
        assert_eq!(page(&store, &query).await, (vec![1, 2], Position::new(2)));
    }
    assert_eq!(store.head().await.unwrap(), Position::new(2));
}

#[tokio::test]
async fn store_056_of_several_open_transactions_the_oldest_holds_readers_back() {
    let (_database, store) = open().await;
    let mut works = Vec::new();
    for _ in 0..3 {
        let mut work = store.begin().await.unwrap();
        work.append(&append(2)).await.unwrap();
        works.push(work);
    }
    store.append_one(append(1)).await.unwrap();
    // 1 2 | 3 4 | 5 6 | 7 and then, interleaved with it, 8 9 | 10 11 | 12 13.
    for work in &mut works {
        work.append(&append(2)).await.unwrap();
    }
    let third = works.pop().unwrap();
    third.commit().await.unwrap();
    assert_eq!(seen(&store).await, NOTHING);
    let first = works.remove(0);
    first.commit().await.unwrap();
    assert_eq!(seen(&store).await, [1, 2]);
    assert_eq!(page(&store, &chosen()).await, (vec![1, 2], Position::new(2)));
    works.remove(0).commit().await.unwrap();
    assert_eq!(seen(&store).await, (1..=13).collect::<Vec<_>>());
}

#[tokio::test]
async fn store_057_a_rollback_lets_readers_go_on_past_its_hole() {
    let (database, store) = open().await;
    let mut breath = database.connection().await;
    let mut open = store.begin().await.unwrap();
    open.append(&append(2)).await.unwrap();
    store.append_one(append(1)).await.unwrap();
    assert_eq!(seen(&store).await, NOTHING);
    drop(open);
    assert_eq!(first_seen(&store, &LogQuery::all(), &mut breath).await, [3]);
    // The hole is known to be one: nobody is waited for.
    let horizon = store.horizon().await.unwrap();
    assert_eq!((horizon.position, horizon.last_drawn, horizon.held_by), (Position::new(3), Position::new(3), None));
    assert_eq!(page(&store, &chosen()).await, (vec![3], Position::new(3)));
}

#[tokio::test]
async fn store_058_no_owner_of_a_gap_is_given_up_on_however_long_it_takes() {
    let database = Database::create().await;
    let threshold = Duration::from_millis(5);
    let options = PostgresStore::options().stall_after(threshold).lock_timeout(threshold);
    let store = options.connect(database.url()).await.unwrap();
    let mut open = store.begin().await.unwrap();
    open.append(&append(1)).await.unwrap();
    let mut breath = database.connection().await;
    for count in 1..=100 {
        store.append_one(append(1)).await.unwrap();
        assert_eq!(seen(&store).await, NOTHING, "after {count} looks");
        assert_eq!(page(&store, &chosen()).await, (vec![], Position::START));
        pause(&mut breath, 0.001).await;
    }
    open.commit().await.unwrap();
    assert_eq!(seen(&store).await, (1..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn store_059_a_reader_that_was_restarted_skips_nothing_and_waits_no_longer_than_the_transaction() {
    let (database, store) = open().await;
    store.append_one(append(2)).await.unwrap();
    let (_, cursor) = page(&store, &LogQuery::all()).await;
    let mut open = store.begin().await.unwrap();
    open.append(&append(1)).await.unwrap();
    store.append_one(append(1)).await.unwrap();
    for query in [LogQuery::all(), chosen()] {
        let restarted = PostgresStore::connect(database.url()).await.unwrap();
        assert_eq!(page(&restarted, &query.clone().after(cursor)).await, (vec![], cursor));
        restarted.close().await;
    }
    let restarted = PostgresStore::connect(database.url()).await.unwrap();
    assert_eq!(page(&restarted, &LogQuery::all().after(cursor)).await, (vec![], cursor));
    open.commit().await.unwrap();
    // At the first look.
    assert_eq!(page(&restarted, &LogQuery::all().after(cursor)).await, (vec![3, 4], Position::new(4)));
}

#[tokio::test]
async fn store_060_sessions_that_write_no_events_hold_nobody_back_and_one_that_does_is_named() {
    let (database, store) = open().await;
    let unrelated = Unrelated::open(database.url()).await;
    // Not even one of the store's own that has only read, or only begun.
    let mut idle = store.begin().await.unwrap();
    idle.connection().execute("SELECT count(*) FROM annals_events").await.unwrap();
    store.append_one(append(3)).await.unwrap();
    assert_eq!(seen(&store).await, [1, 2, 3]);
    assert_eq!(store.horizon().await.unwrap().held_by, None);

    let mut open = store.begin().await.unwrap();
    open.append(&append(1)).await.unwrap();
    store.append_one(append(1)).await.unwrap();
    let horizon = store.horizon().await.unwrap();
    assert_eq!((horizon.position, horizon.last_drawn), (Position::new(3), Position::new(5)));
    assert_eq!(horizon.held_by.unwrap().pid(), Some(pid(open.connection()).await));
    open.commit().await.unwrap();
    assert_eq!(store.horizon().await.unwrap().held_by, None);
    unrelated.end().await;
}

/// What stands in a statement, without its comments.
fn code(name: &str) -> String {
    let lines = statement(name).lines().map(|line| line.split("--").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn store_061_the_horizon_is_one_look_at_the_locks_and_never_at_rows_as_well() {
    assert_eq!(code("read_horizon").matches("pg_locks").count(), 1);
    for name in ["read_horizon", "read_last_position"] {
        assert!(!code(name).contains("annals_events"), "{name} reads rows in the snapshot of the horizon");
    }
    assert!(!code("read_last_position").contains("pg_locks"), "the last position is to be known before the locks");
    for name in ["read_log", "read_log_groups", "read_log_selected", "read_head"] {
        assert!(!code(name).contains("pg_locks") && !code(name).contains("annals_positions"), "{name} is the third");
    }
}

/// Commits on the way: what is in hand by then is older than the horizon, and must not be gone by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_between_the_first_rows_and_the_horizon_is_read_as_well() {
    let (_database, store) = open().await;
    store.append_one(append(1)).await.unwrap();
    let mut open = store.begin().await.unwrap();
    open.append(&append(2)).await.unwrap();
    store.append_one(append(1)).await.unwrap();
    let (mut open, mut positions) = (Some(open), Vec::new());
    let mut visit = |event: EventRef<'_>| {
        positions.push(event.position.get());
        if let Some(open) = open.take() {
            // The rows 1 and 4 are on their way here by now.
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open.commit()))?;
        }
        Ok(())
    };
    let read = store.read_log(&LogQuery::all(), &mut visit).await.unwrap();
    assert_eq!(read.position, Position::new(4));
    assert_eq!(positions, [1, 2, 3, 4]);
}

#[tokio::test]
async fn rows_that_run_on_are_read_past_a_horizon_that_stands_behind_them() {
    let (database, store) = open().await;
    // Bound to what comes after 0, and it has drawn nothing yet.
    let mut slow = database.connection().await;
    slow.execute("BEGIN; SELECT pg_advisory_xact_lock_shared('annals_positions'::regclass::oid::int, 0)")
        .await
        .unwrap();
    store.append_one(append(2)).await.unwrap();
    assert_eq!(store.horizon().await.unwrap().position, Position::START);
    // A whole log shows them: between a cursor and the position after it nothing can appear. A selection cannot know.
    assert_eq!(page(&store, &LogQuery::all()).await, (vec![1, 2], Position::new(2)));
    assert_eq!(page(&store, &chosen()).await, (vec![], Position::START));
    // So a cursor can be ahead of the horizon, and stays where it is.
    let ahead = Position::new(2);
    assert_eq!(page(&store, &LogQuery::all().after(ahead)).await, (vec![], ahead));
    assert_eq!(page(&store, &chosen().after(ahead)).await, (vec![], ahead));
    slow.execute("ROLLBACK").await.unwrap();
    assert_eq!(page(&store, &chosen()).await, (vec![1, 2], ahead));
}

#[tokio::test]
async fn a_cursor_is_the_position_of_an_event_and_never_of_a_draw_that_was_taken_back() {
    let (database, store) = open().await;
    store.append_one(append(3)).await.unwrap();
    let mut open = store.begin().await.unwrap();
    open.append(&append(4)).await.unwrap();
    drop(open);
    let mut breath = database.connection().await;
    while store.horizon().await.unwrap().held_by.is_some() {
        pause(&mut breath, 0.001).await;
    }
    assert_eq!(store.horizon().await.unwrap().position, Position::new(7));
    // 4 to 7 may be drawn again after a crash.
    let none = LogQuery::all().select(Selection::all().event_types(["no such type"]));
    assert_eq!(page(&store, &none).await, (vec![], Position::new(3)));
    assert_eq!(store.head().await.unwrap(), Position::new(3));
}

#[tokio::test]
async fn a_cursor_beyond_the_last_position_finds_nothing_and_stays() {
    let (_database, store) = open().await;
    store.append_one(append(2)).await.unwrap();
    // As after a fail-over that has lost commits: whoever knows the cursor's event finds it missing.
    for far in [Position::new(3), Position::new(1_000), Position::new(i64::MAX.unsigned_abs())] {
        for query in [LogQuery::all(), LogQuery::all().limit(1), chosen(), chosen().limit(1)] {
            assert_eq!(page(&store, &query.after(far)).await, (vec![], far));
        }
    }
}

#[tokio::test]
async fn positions_beyond_32_bits_keep_their_order() {
    for last in [(1_i64 << 31) - 3, (1 << 32) - 3, (1 << 40) - 3] {
        let (database, store) = open().await;
        let mut connection = database.connection().await;
        sqlx::query("SELECT setval('annals_positions', $1)").bind(last).execute(&mut connection).await.unwrap();
        store.append_one(append(1)).await.unwrap();
        let mut open = store.begin().await.unwrap();
        open.append(&append(1)).await.unwrap();
        store.append_one(append(4)).await.unwrap();
        let first = last.unsigned_abs() + 1;
        for query in [LogQuery::all(), chosen()] {
            assert_eq!(page(&store, &query).await, (vec![first], Position::new(first)));
        }
        assert_eq!(store.horizon().await.unwrap().held_by.unwrap().pid(), Some(pid(open.connection()).await));
        open.commit().await.unwrap();
        for query in [LogQuery::all(), chosen()] {
            assert_eq!(page(&store, &query).await.0, (first..first + 6).collect::<Vec<_>>());
        }
    }
}

/// An open transaction of the store in one schema, and what is read in another.
async fn are_strangers(one: &PostgresStore, other: &PostgresStore) {
    let mut open = one.begin().await.unwrap();
    open.append(&append(1)).await.unwrap();
    one.append_one(append(1)).await.unwrap();
    other.append_one(append(2)).await.unwrap();
    assert_eq!(seen(one).await, NOTHING);
    assert_eq!(page(other, &chosen()).await, (vec![1, 2], Position::new(2)));
    assert_eq!(other.horizon().await.unwrap().held_by, None);
    open.commit().await.unwrap();
    assert_eq!(seen(one).await, [1, 2]);
}

#[tokio::test]
async fn a_writer_in_another_database_or_schema_holds_nobody_back() {
    let ((_one, one_store), (_other, other_store)) = tokio::join!(open(), open());
    are_strangers(&one_store, &other_store).await;
    let database = Database::create().await;
    let mut owner = database.connection().await;
    owner.execute(sqlx::raw_sql("CREATE SCHEMA one; CREATE SCHEMA other")).await.unwrap();
    let open = |schema: &str| PostgresStore::options().schema(schema).connect(database.url());
    are_strangers(&open("one").await.unwrap(), &open("other").await.unwrap()).await;
}

/// The positions of an aggregate's events, by their sequences.
async fn positions_of(connection: &mut PgConnection, aggregate_id: Uuid) -> Vec<i64> {
    let sql = "SELECT position FROM annals_events WHERE aggregate_id = $1 ORDER BY sequence";
    sqlx::query_scalar(sql).bind(aggregate_id).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn an_aggregates_positions_rise_with_its_sequences_in_groups_and_batches_of_several_connections() {
    let (database, store) = open().await;
    let aggregates: Vec<Uuid> = (0..6).map(|_| Uuid::now_v7()).collect();
    // Each batch has every aggregate several times, in another order; several batches are under way at once.
    let batches = (0..40).map(|number| {
        let ids = aggregates.iter().cycle().skip(number).step_by(5).take(12);
        store.append(ids.map(|id| append_to(*id, 1 + number % 3)).collect())
    });
    for answers in futures_util::future::join_all(batches).await {
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    let mut connection = database.connection().await;
    let mut all = Vec::new();
    for id in aggregates {
        let positions = positions_of(&mut connection, id).await;
        assert!(positions.is_sorted_by(|one, next| one < next), "{positions:?}");
        all.extend(positions);
    }
    all.sort_unstable();
    let seen: Vec<i64> = seen(&store).await.into_iter().map(u64::cast_signed).collect();
    assert_eq!(seen, all);
}
