//! Streams and logs that are read many events to a row.

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, Fault, LogQuery, Metadata, NewEvent, Position, SqliteStore,
    StreamQuery, Transactional as _, Work as _,
};
use sqlx::Executor as _;
use uuid::Uuid;

use super::Database;

/// A few rows, several groups, and a last one that is not full.
const EVENTS: u64 = 300;

/// Their payloads do not fit a group, or their metadata.
const LONG: [u64; 5] = [65, 128, 129, 200, 299];

/// Two streams side by side, of which each has every other position, but for what is long.
async fn fill(store: &SqliteStore) -> [Uuid; 2] {
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    for number in 1..=EVENTS {
        let is_long = LONG.contains(&number);
        let text = "x".repeat(if is_long && number % 2 == 1 { 5_000 } else { 3 });
        let actor = "y".repeat(if is_long && number % 2 == 0 { 5_000 } else { 3 });
        let append = |id| {
            let append = Append::new("notebook", id).event(NewEvent::new("noted", &(number, &text)).unwrap());
            append.metadata(Metadata::new().actor(actor.clone()))
        };
        for answer in store.append(ids.map(append).into()).await {
            answer.unwrap();
        }
    }
    ids
}

fn number_of(payload: &str) -> u64 {
    serde_json::from_str::<(u64, String)>(payload).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_logs_are_read_whole_from_everywhere() {
    let database = Database::new();
    let store = database.open().await;
    let [id, other] = fill(&store).await;
    for from in [0, 1, 2, 64, 65, 66, 127, 128, 129, 130, 199, 237, EVENTS, EVENTS + 1] {
        for limit in [None, Some(0), Some(1), Some(63), Some(64), Some(65), Some(130), Some(EVENTS), Some(u64::MAX)] {
            let first = from.max(1);
            let last = limit.map_or(EVENTS, |limit| EVENTS.min((first - 1).saturating_add(limit)));
            let query = StreamQuery { from, limit, ..StreamQuery::of(id) };
            let found = store.collect_stream(&query).await.unwrap();
            assert!(found.iter().all(|event| event.aggregate_id() == id));
            let found: Vec<_> = found.iter().map(|event| (event.sequence(), number_of(event.payload()))).collect();
            assert_eq!(found, (first..=last).map(|number| (number, number)).collect::<Vec<_>>(), "{from} {limit:?}");
            let read = store.read_stream(&query, &mut |_| Ok(())).await.unwrap();
            assert_eq!(read.version, EVENTS, "whatever was asked for");

            let after = from.saturating_sub(1);
            let query = LogQuery { limit, ..LogQuery::all().after(Position::new(after)) };
            let found = store.collect_log(&query).await.unwrap();
            let last = limit.map_or(2 * EVENTS, |limit| (2 * EVENTS).min(after.saturating_add(limit)));
            let positions: Vec<_> = found.iter().map(|event| event.position().get()).collect();
            assert_eq!(positions, (after + 1..=last).collect::<Vec<_>>(), "{after} {limit:?}");
            for event in found {
                let expected = (event.position().get().div_ceil(2), [other, id][(event.position().get() % 2) as usize]);
                assert_eq!((number_of(event.payload()), event.aggregate_id()), expected);
            }
        }
    }
    let until = StreamQuery { to: 131, ..StreamQuery::of(id) };
    assert_eq!(store.collect_stream(&until).await.unwrap().len(), 131);
    // In a transaction, with what it has written itself.
    let mut work = store.begin().await.unwrap();
    work.append(&super::note(id, [1])).await.unwrap();
    let mut seen = 0;
    let mut visit = |_: annals::EventRef<'_>| {
        seen += 1;
        Ok(())
    };
    let read = work.read_stream(&StreamQuery::of(id), &mut visit).await.unwrap();
    assert_eq!((seen, read.version), (EVENTS + 1, EVENTS + 1));
}

/// Whatever a group does not give is told by the rows, with its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_event_within_a_group_is_named() {
    for (statement, sequence) in [
        ("UPDATE annals_events SET payload = '[100,\"zzz\"]' WHERE aggregate_id = ? AND sequence = 100", 100),
        ("UPDATE annals_events SET checksum = checksum + 1 WHERE aggregate_id = ? AND sequence = 160", 160),
        // As the events of a group are told apart, and their columns.
        (
            "UPDATE annals_events SET payload = '[1,\"' || char(30) || '\"]' WHERE aggregate_id = ? AND sequence = 90",
            90,
        ),
        ("UPDATE annals_events SET metadata = char(31) WHERE aggregate_id = ? AND sequence = 290", 290),
        ("UPDATE annals_events SET payload = CAST(x'7bff7d' AS TEXT) WHERE aggregate_id = ? AND sequence = 101", 101),
        ("DELETE FROM annals_events WHERE aggregate_id = ? AND sequence = 99", 99),
        ("DELETE FROM annals_events WHERE aggregate_id = ? AND sequence BETWEEN 129 AND 260", 129),
    ] {
        let database = Database::new();
        let store = database.open().await;
        let [id, other] = fill(&store).await;
        let mut connection = database.connect().await;
        connection.execute("DROP TRIGGER annals_events_refuse_update").await.unwrap();
        connection.execute("DROP TRIGGER annals_events_refuse_delete").await.unwrap();
        sqlx::query(statement).bind(id).execute(&mut connection).await.unwrap();
        let mut seen = 0;
        let mut visit = |event: annals::EventRef<'_>| {
            seen = event.sequence;
            Ok(())
        };
        let error = store.read_stream(&StreamQuery::of(id), &mut visit).await.unwrap_err();
        assert!(matches!(error, Error::Backend { fault: Fault::Corrupt, .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("event {sequence} ")), "{statement}: {error}");
        assert!(seen + 1 >= sequence && seen <= sequence, "all before it were seen: {seen}");
        let error = store.collect_log(&LogQuery::all()).await.unwrap_err();
        assert!(matches!(error, Error::Backend { fault: Fault::Corrupt, .. }), "{error:?}");
        assert_eq!(store.collect_stream(&StreamQuery::of(other)).await.unwrap().len() as u64, EVENTS);
    }
}
