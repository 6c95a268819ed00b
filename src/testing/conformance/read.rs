//! Reads of one aggregate's events.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::{
    fixture::{Factory, fresh, with_clock},
    sample::{NOTEBOOK, log, note, noted, numbers, stream, write},
};
use crate::store::{Append, Direction, Error, EventStore, ExpectedVersion, ManualClock, NewEvent, StreamQuery};

/// What a query shows: the numbers, and the version told beside them.
async fn read(store: &dyn EventStore, query: &StreamQuery) -> (Vec<u64>, u64) {
    let mut shown = Vec::new();
    let read = store
        .read_stream(query, &mut |event| {
            shown.push(event.to_recorded());
            Ok(())
        })
        .await
        .expect("a stream can be read");
    (numbers(&shown), read.version)
}

/// A stream is read forwards and backwards, from, to, limited.
///
/// What lies beyond its end is left out.
pub async fn store_047_a_stream_is_read_by_windows_both_ways(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    for number in 1..=6 {
        write(&*store, note(id, [number])).await;
        write(&*store, note(Uuid::now_v7(), [99])).await;
    }
    let all = || StreamQuery::of(id);
    let cases: [(StreamQuery, &[u64]); 12] = [
        (all(), &[1, 2, 3, 4, 5, 6]),
        (all().from_sequence(0), &[1, 2, 3, 4, 5, 6]),
        (all().from_sequence(3), &[3, 4, 5, 6]),
        (all().to_sequence(3), &[1, 2, 3]),
        (all().from_sequence(2).to_sequence(4), &[2, 3, 4]),
        (all().from_sequence(2).limit(2), &[2, 3]),
        (all().limit(0), &[]),
        (all().limit(u64::MAX), &[1, 2, 3, 4, 5, 6]),
        (all().from_sequence(6), &[6]),
        (all().from_sequence(7), &[]),
        (all().from_sequence(u64::MAX), &[]),
        (all().from_sequence(5).to_sequence(2), &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(read(&*store, &query).await, (expected.to_vec(), 6), "{query:?}");
        let backward = StreamQuery { direction: Direction::Backward, ..query };
        let mut expected: Vec<_> = match backward.limit {
            // A limit counts from where the read begins.
            Some(limit) => {
                let unlimited = StreamQuery { limit: None, ..backward.clone() };
                read(&*store, &unlimited)
                    .await
                    .0
                    .into_iter()
                    .take(usize::try_from(limit).unwrap_or(usize::MAX))
                    .collect()
            }
            None => expected.iter().rev().copied().collect(),
        };
        assert_eq!(read(&*store, &backward).await, (expected.clone(), 6), "{backward:?}");
        expected.reverse();
        assert!(expected.is_sorted(), "backward means from the last to the first: {backward:?}");
    }
    assert_eq!(read(&*store, &all().backward().limit(2)).await.0, [6, 5], "the two last events");
}

/// An unknown stream is empty, at version 0, and no error.
pub async fn store_047_an_unknown_stream_is_version_zero(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    write(&*store, note(Uuid::now_v7(), [1])).await;
    for query in [
        StreamQuery::of(Uuid::now_v7()),
        StreamQuery::of(Uuid::now_v7()).backward(),
        StreamQuery::of(Uuid::now_v7()).from_sequence(3).limit(1),
        StreamQuery::of(Uuid::nil()),
        StreamQuery::of(Uuid::max()),
    ] {
        assert_eq!(read(&*store, &query).await, (vec![], 0), "{query:?}");
    }
}

/// A stream read up to a time is its longest beginning that was recorded by then, whichever way it is read.
pub async fn store_048_a_stream_up_to_a_time_is_its_longest_beginning(factory: &dyn Factory) {
    let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let Some(fixture) = with_clock(factory, &clock, "48, by time").await else { return };
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let at = |seconds| start + TimeDelta::seconds(seconds);
    // A clock that goes back: the third event was recorded "before" the second.
    for (number, seconds) in [(1, 0), (2, 20), (3, 10), (4, 30)] {
        clock.set(at(seconds));
        write(&*store, note(id, [number])).await;
    }
    let micro = TimeDelta::microseconds(1);
    for (time, expected) in [
        (at(0) - micro, vec![]),
        (at(0), vec![1]),
        (at(10), vec![1]),
        (at(20) - micro, vec![1]),
        (at(20), vec![1, 2, 3]),
        (at(30), vec![1, 2, 3, 4]),
        (DateTime::<chrono::Utc>::MAX_UTC, vec![1, 2, 3, 4]),
        (DateTime::<chrono::Utc>::MIN_UTC, vec![]),
    ] {
        let query = StreamQuery::of(id).recorded_until(time);
        assert_eq!(read(&*store, &query).await, (expected.clone(), 4), "until {time}");
        let tail: Vec<_> = expected.iter().copied().filter(|number| *number >= 3).collect();
        let later = query.clone().from_sequence(3);
        assert_eq!(read(&*store, &later).await, (tail, 4), "from 3, until {time}");
        let reversed: Vec<_> = expected.iter().rev().copied().collect();
        assert_eq!(read(&*store, &query.clone().backward()).await, (reversed.clone(), 4), "backward until {time}");
        let last = reversed.into_iter().take(1).collect();
        assert_eq!(read(&*store, &query.backward().limit(1)).await, (last, 4), "the last until {time}");
    }
}

/// Times are looked at in events of every type.
///
/// A selection does not lengthen the beginning.
pub async fn store_048_a_selection_does_not_change_what_was_there_at_a_time(factory: &dyn Factory) {
    let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let Some(fixture) = with_clock(factory, &clock, "48, by time and type").await else { return };
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, [1])).await;
    clock.set(start + TimeDelta::seconds(60));
    write(&*store, Append::new(NOTEBOOK, id).event(NewEvent::new("struck", &2).unwrap())).await;
    clock.set(start);
    write(&*store, note(id, [3])).await;
    let query = StreamQuery::of(id).event_types(["noted"]).recorded_until(start);
    assert_eq!(read(&*store, &query).await, (vec![1], 3), "the third event came after one that was later");
}

/// A read of some types still tells the whole version, and an append at that version succeeds.
pub async fn store_049_a_selection_still_tells_the_whole_version(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    let struck = |number: u64| NewEvent::new("struck", &number).unwrap();
    write(
        &*store,
        Append::new(NOTEBOOK, id).events([noted([1]).remove(0), struck(2), noted([3]).remove(0), struck(4)]),
    )
    .await;
    for (types, expected) in [
        (vec!["noted"], vec![1, 3]),
        (vec!["struck"], vec![2, 4]),
        (vec!["struck", "noted"], vec![1, 2, 3, 4]),
        (vec!["unknown"], vec![]),
        (vec![], vec![]),
        (vec!["Noted", "note", "%", "noted' OR '1'='1", "\"noted\""], vec![]),
    ] {
        let query = StreamQuery::of(id).event_types(types.clone());
        assert_eq!(read(&*store, &query).await, (expected.clone(), 4), "{types:?}");
        let first = StreamQuery::of(id).event_types(types.clone()).limit(1);
        assert_eq!(read(&*store, &first).await, (expected.iter().copied().take(1).collect(), 4), "{types:?}");
        let last = first.backward();
        assert_eq!(read(&*store, &last).await, (expected.iter().rev().copied().take(1).collect(), 4), "{types:?}");
    }
    let (_, version) = read(&*store, &StreamQuery::of(id).event_types(["noted"])).await;
    let appended = write(&*store, note(id, [5]).expected(ExpectedVersion::Exact(version))).await;
    assert_eq!(appended.version, 5);
}

/// A visitor's error ends the read and is returned as it is.
///
/// The store goes on working.
pub async fn store_101_a_visitor_that_fails_ends_the_read(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let (store, id) = (fixture.store(), Uuid::now_v7());
    write(&*store, note(id, 0..300)).await;
    for round in 0..20 {
        let mut visited = 0;
        let mut visit = |_: crate::store::EventRef<'_>| {
            visited += 1;
            if visited == 7 { Err(Error::invalid(format!("enough {round}"))) } else { Ok(()) }
        };
        let failed = match round % 2 {
            0 => store.read_stream(&StreamQuery::of(id), &mut visit).await.map(|read| read.version),
            _ => store.read_log(&crate::store::LogQuery::all(), &mut visit).await.map(|read| read.position.get()),
        };
        let error = failed.expect_err("the visitor's error is the read's");
        assert_eq!((error.to_string(), visited), (format!("enough {round}"), 7), "no event is visited after it");
    }
    assert_eq!(stream(&*store, id).await.len(), 300, "a whole read afterwards");
    assert_eq!(log(&*store).await.len(), 300);
    write(&*store, note(id, [300])).await;
}
