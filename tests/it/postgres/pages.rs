//! A log that is longer than what one statement reads.

use annals::{
    Append, Cursor, Error, EventRef, EventStore as _, EventStoreExt as _, ExpectedVersion, LogQuery, Metadata,
    NewEvent, PostgresOptions, PostgresStore, Selection,
};
use sqlx::{AssertSqlSafe, Connection as _};
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

/// Of an event: position, aggregate, sequence, command, schema version, type, payload and metadata.
type Columns = (i64, Uuid, i64, Uuid, i32, String, String, String);

/// Events come many to a row, unless they are too large for that or stand far apart: whoever reads sees no difference.
#[tokio::test(flavor = "multi_thread")]
async fn large_events_and_holes_are_read_with_the_others() {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut connection = database.connection().await;
    // Each step with holes behind it: events, the bytes of each payload, the bytes of its metadata.
    let steps = [(300, 5, 0), (300, 5, 0), (1, 20_000, 0), (400, 5, 0), (1, 5, 20_000), (2, 5, 0), (300, 5, 0)];
    for (round, (events, payload, metadata)) in steps.into_iter().cycle().take(4 * steps.len()).enumerate() {
        let events =
            (0..events).map(|number| NewEvent::new("noted", &format!("{number}{}", "x".repeat(payload))).unwrap());
        let mut append = Append::new("note", Uuid::now_v7()).events(events);
        if metadata > 0 {
            append = append.metadata(Metadata::new().actor("a".repeat(metadata)));
        }
        store.append_one(append).await.unwrap();
        let holes = if round % 3 == 0 { 700 } else { 3 };
        sqlx::query("SELECT count(nextval('annals_positions')) FROM generate_series(1, $1)")
            .bind(holes)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let by_hand: Vec<Columns> = sqlx::query_as(
        "SELECT position, aggregate_id, sequence, command_id, schema_version, event_type, payload::text, metadata::text
         FROM annals_events ORDER BY position",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for limit in [100, 256, 1_000, u64::MAX] {
        let (mut found, mut query) = (Vec::new(), LogQuery::all().limit(limit));
        loop {
            let before = found.len();
            let read = store
                .read_log(&query, &mut |event| {
                    found.push((
                        event.position.get().cast_signed(),
                        event.aggregate_id,
                        event.sequence.cast_signed(),
                        event.command_id,
                        event.schema_version.cast_signed(),
                        event.event_type.to_owned(),
                        event.payload.to_owned(),
                        event.metadata.to_owned(),
                    ));
                    Ok(())
                })
                .await
                .unwrap();
            if found.len() == before {
                break;
            }
            assert!((found.len() - before) as u64 <= limit);
            query = query.clone().after_cursor(read.cursor(&query));
        }
        assert!(found == by_hand, "by {limit}: {} of {}", found.len(), by_hand.len());
    }
}

/// Wherever it stands, and also where it would take a row of many events apart at the wrong places.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_event_among_many_is_named_after_those_before_it() {
    let (database, store) = filled(|options| options).await;
    let mut connection = database.connection().await;
    sqlx::query("ALTER TABLE annals_events DISABLE TRIGGER USER").execute(&mut connection).await.unwrap();
    for damage in [
        "payload = '[7]'",
        "metadata = '{\"actor\": \"somebody\"}'",
        "event_type = 'noted' || chr(31) || 'noted'",
        "event_type = ''",
        "schema_version = 2",
        "checksum = checksum + 1",
        "command_id = gen_random_uuid()",
        "recorded_at = '-infinity'",
        "sequence = 100000",
    ] {
        for at in [65_i64, 319, 1_000, 20_050] {
            let mut damaged = connection.begin().await.unwrap();
            let (aggregate_id, sequence): (Uuid, i64) =
                sqlx::query_as("SELECT aggregate_id, sequence FROM annals_events WHERE position = $1")
                    .bind(at)
                    .fetch_one(&mut *damaged)
                    .await
                    .unwrap();
            let kept = "CREATE TABLE kept AS SELECT * FROM annals_events WHERE position = ";
            sqlx::raw_sql(AssertSqlSafe(format!("{kept}{at}"))).execute(&mut *damaged).await.unwrap();
            let update = format!("UPDATE annals_events SET {damage} WHERE position = {at}");
            sqlx::raw_sql(AssertSqlSafe(update)).execute(&mut *damaged).await.unwrap();
            damaged.commit().await.unwrap();
            let mut visited = 0;
            let read = store
                .read_log(&LogQuery::all(), &mut |event| {
                    visited = event.position.get();
                    Ok(())
                })
                .await;
            let error = format!("{:?}", read.unwrap_err());
            assert!(error.contains(&aggregate_id.to_string()), "{damage} at {at}: {error}");
            let is_shifted = damage.starts_with("sequence") && sequence == 1;
            assert!(is_shifted || visited + 1 == at.unsigned_abs(), "{damage} at {at}: {visited} were visited");
            let back = "DELETE FROM annals_events WHERE position = (SELECT position FROM kept);
                        INSERT INTO annals_events SELECT * FROM kept; DROP TABLE kept";
            sqlx::raw_sql(back).execute(&mut connection).await.unwrap();
        }
    }
    assert_eq!(positions(&store, &LogQuery::all()).await.0.len() as u64, EVENTS);
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
