//! A log that is longer than what one statement reads.

use annals::{
    Append, Cursor, Error, EventRef, EventStore as _, EventStoreExt as _, ExpectedVersion, LogQuery, NewEvent,
    PostgresOptions, PostgresStore, Selection,
};
use uuid::Uuid;

use crate::postgres_server::Database;

/// What one statement reads at the most.
const PAGE_EVENTS: u64 = 16_384;

/// How many events there are: two statements are filled, and a third is not.
const EVENTS: u64 = 2 * PAGE_EVENTS + 500;

/// Every tenth append is of another kind.
const RARE: &str = "rare";

fn appends() -> Vec<Append> {
    let append = |number: u64| {
        let kind = if number.is_multiple_of(10) { RARE } else { "note" };
        let events =
            (0..EVENTS.min(100 * (number + 1)) - 100 * number).map(|_| NewEvent::new("noted", &number).unwrap());
        Append::new(kind, Uuid::now_v7()).expected(ExpectedVersion::New).events(events)
    };
    (0..EVENTS.div_ceil(100)).map(append).collect()
}

async fn filled(set: impl FnOnce(PostgresOptions) -> PostgresOptions) -> (Database, PostgresStore) {
    let database = Database::create().await;
    let store = set(PostgresStore::options()).connect(database.url()).await.unwrap();
    for answer in store.append(appends()).await {
        answer.unwrap();
    }
    (database, store)
}

/// Reads the log; gives the positions, and where the read has come to.
async fn positions(store: &PostgresStore, query: &LogQuery) -> (Vec<u64>, Cursor) {
    let mut positions = Vec::new();
    let visit = &mut |event: EventRef<'_>| {
        positions.push(event.position.get());
        Ok(())
    };
    let read = store.read_log(query, visit).await.unwrap();
    (positions, read.cursor(query))
}

async fn reads_every_event_once(set: impl FnOnce(PostgresOptions) -> PostgresOptions) {
    let (_database, store) = filled(set).await;
    let (whole, end) = positions(&store, &LogQuery::all()).await;
    assert_eq!(whole.len() as u64, EVENTS);
    assert!(whole.is_sorted_by(|one, next| one < next));
    assert_eq!(end.position, store.head().await.unwrap());
    for limit in [PAGE_EVENTS - 1, PAGE_EVENTS, PAGE_EVENTS + 1, 2 * PAGE_EVENTS, EVENTS, u64::MAX] {
        let (page, cursor) = positions(&store, &LogQuery::all().limit(limit)).await;
        assert!(page == whole[..page.len()] && page.len() as u64 == limit.min(EVENTS), "by {limit}: {}", page.len());
        let (rest, rest_end) = positions(&store, &LogQuery::all().after_cursor(cursor)).await;
        assert!(rest == whole[page.len()..], "after {limit}");
        assert_eq!(rest_end, end);
    }
    let rare = Selection::all().aggregate_types([RARE]);
    let (chosen, cursor) = positions(&store, &LogQuery::all().select(rare)).await;
    assert_eq!((chosen.len() as u64, cursor), (EVENTS.div_ceil(100).div_ceil(10) * 100, end));
    let mut unchosen = positions(&store, &LogQuery::all().select(Selection::all().aggregate_types(["note"]))).await.0;
    unchosen.extend(chosen);
    unchosen.sort_unstable();
    assert!(unchosen == whole, "two selections that share nothing make up the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_several_pages_is_read_without_a_seam() {
    reads_every_event_once(|options| options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_several_pages_is_read_without_a_seam_behind_a_pooler() {
    reads_every_event_once(|options| options.pooled(true)).await;
}

/// Positions that were never drawn are passed over at once: by steps of what a statement looks through, it would take for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_selection_gets_over_a_sequence_that_was_set_forward() {
    let (database, store) = filled(|options| options).await;
    let rare = LogQuery::all().select(Selection::all().aggregate_types([RARE]));
    let (before, cursor) = positions(&store, &rare).await;
    sqlx::query("SELECT setval('annals_positions', 1::bigint << 61)")
        .execute(&mut database.connection().await)
        .await
        .unwrap();
    for kind in ["note", RARE, "note"] {
        store.append_one(Append::new(kind, Uuid::now_v7()).event(NewEvent::new("noted", &1).unwrap())).await.unwrap();
    }
    let far = (1 << 61) + 2;
    assert_eq!(positions(&store, &rare.clone().after_cursor(cursor)).await.0, [far]);
    let (whole, end) = positions(&store, &rare).await;
    assert_eq!((whole.len(), whole.last()), (before.len() + 1, Some(&far)));
    assert_eq!(end.position.get(), far + 1, "up to the last event, which was not chosen");
}

/// With one connection for all reads: what a reader leaves of a statement is read clear, and the connection is there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_breaks_off_gives_its_connection_back() {
    let (database, store) = filled(|options| options.readers(1)).await;
    let readers = "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND query LIKE '%annals_events%' AND pid <> pg_backend_pid()";
    let mut connection = database.connection().await;
    let mut known = None;
    for breaks_off_at in [0, 1, 63, 64, 65, 1_000, PAGE_EVENTS, PAGE_EVENTS + 100] {
        let mut visited = 0;
        let broken = store
            .read_log(&LogQuery::all(), &mut |_| {
                visited += 1;
                if visited > breaks_off_at { Err(Error::invalid("enough")) } else { Ok(()) }
            })
            .await;
        assert!(matches!(broken, Err(Error::Invalid { .. })), "{broken:?}");
        assert_eq!(store.head().await.unwrap().get(), EVENTS);
        let pids: Option<Vec<i32>> = sqlx::query_scalar(readers).fetch_one(&mut connection).await.unwrap();
        assert_eq!(*known.get_or_insert_with(|| pids.clone()), pids, "no other connection has taken its place");
    }
}
