//! Reads of the global log.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use uuid::Uuid;

use super::{
    fixture::{Factory, fresh},
    sample::{NOTEBOOK, assert_rising, at_once, log, note, noted, number, numbers, write},
};
use crate::store::{
    Append, Cursor, Error, EventMark, EventStore, EventStoreExt as _, ExpectedVersion, LogQuery, Position,
    RecordedEvent, Selection,
};

/// Reads by pages of this many events, each after the position that the one before told.
async fn by_pages(store: &dyn EventStore, selection: &Selection, limit: u64) -> Vec<RecordedEvent> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let query = LogQuery::all().select(selection.clone()).after(after).limit(limit);
        let before = events.len();
        let read = store
            .read_log(&query, &mut |event| {
                events.push(event.to_recorded());
                Ok(())
            })
            .await
            .expect("the log can be read");
        assert!(read.position >= after, "a page never goes back");
        assert!((events.len() - before) as u64 <= limit, "a page has no more events than asked for");
        if ((events.len() - before) as u64) < limit {
            assert_eq!(read.position, store.head().await.unwrap(), "a page that is not full reaches the head");
            return events;
        }
        assert_eq!(
            Some(read.position),
            events.last().map(RecordedEvent::position),
            "a full page ends at its last event"
        );
        after = read.position;
    }
}

/// The log shows all events in one order.
///
/// Positions rise, and each aggregate's sequences with them.
pub async fn store_p6_the_log_shows_every_event_in_one_order(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    assert_eq!(store.head().await.unwrap(), Position::START, "an empty log begins at its start");
    let ids = [(); 3].map(|()| Uuid::now_v7());
    for (number, id) in (0..30).zip(ids.iter().cycle()) {
        write(&*store, note(*id, [number, 100 + number])).await;
    }
    let events = log(&*store).await;
    assert_rising(&events);
    assert_eq!(numbers(&events), (0..30).flat_map(|number| [number, 100 + number]).collect::<Vec<_>>());
    for id in ids {
        let sequences: Vec<_> =
            events.iter().filter(|event| event.aggregate_id() == id).map(RecordedEvent::sequence).collect();
        assert_eq!(sequences, (1..=20).collect::<Vec<_>>(), "an aggregate's events are in their sequence");
    }
    assert_eq!(store.head().await.unwrap(), events.last().unwrap().position());
}

/// A selection chooses by aggregate type and by event type.
///
/// Both together choose what fits both.
pub async fn store_p6_a_selection_chooses_by_aggregate_type_and_event_type(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let mut number = 0..;
    for aggregate_type in ["order", "invoice", "credit-note"] {
        for event_type in ["made", "paid", "made"] {
            let event = crate::store::NewEvent::new(event_type, &number.next().unwrap()).unwrap();
            write(&*store, Append::new(aggregate_type, Uuid::now_v7()).event(event)).await;
        }
    }
    let all = Selection::all;
    let cases: [(Selection, &[u64]); 10] = [
        (all(), &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (all().aggregate_types(["order"]), &[0, 1, 2]),
        (all().aggregate_types(["credit-note", "order"]), &[0, 1, 2, 6, 7, 8]),
        (all().event_types(["paid"]), &[1, 4, 7]),
        (all().event_types(["paid"]).event_types(["made"]), &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (all().aggregate_types(["invoice"]).event_types(["made"]), &[3, 5]),
        (all().aggregate_types(["unknown"]), &[]),
        (all().aggregate_types(Vec::<String>::new()), &[]),
        (all().event_types(["PAID", "pai", "%", "paid' OR '1'='1", "[\"paid\"]"]), &[]),
        (all().aggregate_types(["order", "invoice", "credit-note"]).event_types(["paid"]), &[1, 4, 7]),
    ];
    for (selection, expected) in cases {
        let events = store.collect_log(&LogQuery::all().select(selection.clone())).await.unwrap();
        assert_eq!(numbers(&events), expected, "{selection:?}");
        for limit in [1, 2, 3, 100] {
            assert_eq!(numbers(&by_pages(&*store, &selection, limit).await), expected, "{selection:?} by {limit}");
        }
    }
}

/// A read goes on where the one before ended.
///
/// With any page size every event is seen once.
pub async fn store_p6_a_read_goes_on_where_the_last_one_ended(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for number in 0..40 {
        write(&*store, note(Uuid::now_v7(), (0..=number % 3).map(|_| number))).await;
    }
    let whole = log(&*store).await;
    for limit in [1, 2, 7, whole.len() as u64 - 1, whole.len() as u64, whole.len() as u64 + 1, u64::MAX] {
        assert!(by_pages(&*store, &Selection::all(), limit).await == whole, "by pages of {limit}");
    }
    let head = store.head().await.unwrap();
    for (at, event) in whole.iter().enumerate() {
        let rest = store.collect_log(&LogQuery::all().after(event.position())).await.unwrap();
        assert!(rest == whole[at + 1..], "after {}", event.position());
    }
    for after in [head, Position::new(head.get() + 1), Position::new(u64::MAX)] {
        let read =
            store.read_log(&LogQuery::all().after(after), &mut |_| panic!("nothing is there yet")).await.unwrap();
        assert_eq!(read.position, after, "a read after the head stays where it is");
    }
    let none = store.read_log(&LogQuery::all().limit(0), &mut |_| panic!("nothing was asked for")).await.unwrap();
    assert_eq!(none.position, Position::START, "a read of nothing gets nowhere");
    // What a selection leaves out is passed over, and what comes later is still seen.
    let selection = Selection::all().aggregate_types(["ledger"]);
    let query = LogQuery::all().select(selection.clone());
    let read = store.read_log(&query, &mut |_| panic!("there is no ledger yet")).await.unwrap();
    assert_eq!(read.position, head);
    write(&*store, Append::new("ledger", Uuid::now_v7()).events(noted([1_000]))).await;
    let later = store.collect_log(&query.after(read.position)).await.unwrap();
    assert_eq!(numbers(&later), [1_000]);
}

/// A cursor of another log is told apart from one of this log.
///
/// Whether another event stands in its place or none, and whatever is selected: nothing is shown.
pub async fn store_p6_a_cursor_of_another_log_has_diverged(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    for number in 0..6 {
        write(&*store, note(Uuid::now_v7(), [number, 10 + number])).await;
    }
    let events = log(&*store).await;
    let selections = [
        Selection::all(),
        Selection::all().aggregate_types([NOTEBOOK]),
        Selection::all().aggregate_types(["unknown"]),
        Selection::all().event_types(["noted"]),
    ];
    for selection in &selections {
        for (at, event) in events.iter().enumerate() {
            let cursor = Cursor::from(event);
            let query = LogQuery::all().select(selection.clone()).after_cursor(cursor);
            let own = store.collect_log(&query).await.expect("a cursor of this log is known");
            let is_chosen = selection.aggregate_types.as_ref().is_none_or(|types| types[0] == NOTEBOOK);
            assert!(own == if is_chosen { &events[at + 1..] } else { &[] }, "the rest after {cursor}, {selection:?}");
            for strange in of_another_log(cursor) {
                let read = store
                    .read_log(&LogQuery::all().select(selection.clone()).after_cursor(strange), &mut |_| {
                        panic!("nothing is shown after {strange:?}")
                    })
                    .await;
                match read {
                    Err(Error::CheckpointDiverged { position, .. }) => assert_eq!(position, strange.position),
                    other => panic!("{strange:?} by {selection:?} has diverged, and gave {other:?}"),
                }
            }
        }
    }
    // A position alone says nothing of the event there: no log is told from another by it.
    let beyond = LogQuery::all().after(Position::new(store.head().await.unwrap().get() + 1_000));
    assert_eq!(store.collect_log(&beyond).await.unwrap(), []);
}

/// Cursors that look like one of this log, and are of another.
fn of_another_log(cursor: Cursor) -> [Cursor; 6] {
    let event = cursor.event.expect("the cursor of an event names it");
    let at = |event| Cursor { position: cursor.position, event: Some(event) };
    let beyond = |positions| Position::new(cursor.position.get() + positions);
    [
        // Set back, and written anew by others; by the same command a moment later; at another place of its aggregate.
        at(EventMark { aggregate_id: Uuid::now_v7(), ..event }),
        at(EventMark { command_id: Uuid::now_v7(), ..event }),
        at(EventMark { recorded_at: event.recorded_at + chrono::TimeDelta::microseconds(1), ..event }),
        at(EventMark { sequence: event.sequence + 1, ..event }),
        // Set back, and not as far yet as it was.
        Cursor { position: beyond(1_000), event: Some(event) },
        // The same event, one place on: a retry has brought it there in another log.
        Cursor { position: beyond(1), event: Some(event) },
    ]
}

/// A read that has come further stands at an event, chosen or not.
///
/// So its cursor is known again later.
pub async fn store_p6_a_read_ends_at_an_event_chosen_or_not(factory: &dyn Factory) {
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let ledger = Selection::all().aggregate_types(["ledger"]);
    let start = LogQuery::all().select(ledger.clone());
    let read = store.read_log(&start, &mut |_| panic!("the log is empty")).await.unwrap();
    assert_eq!(read.cursor(&start), Cursor::START, "in an empty log no read comes further");
    write(&*store, Append::new("ledger", Uuid::now_v7()).events(noted([1]))).await;
    write(&*store, note(Uuid::now_v7(), [2, 3])).await;
    let events = log(&*store).await;
    let (chosen, last) = (Cursor::from(&events[0]), Cursor::from(&events[2]));
    let visit = &mut |_: crate::store::EventRef<'_>| Ok(());
    // The last events are left out.
    assert_eq!(store.read_log(&start, visit).await.unwrap().cursor(&start), last);
    let full = start.clone().limit(1);
    assert_eq!(store.read_log(&full, visit).await.unwrap().cursor(&full), chosen, "a full page ends at its last event");
    let after = start.clone().after_cursor(chosen);
    assert_eq!(store.read_log(&after, visit).await.unwrap().cursor(&after), last, "and so where none is chosen");
    // No further: the query's own cursor, event and all.
    for query in
        [start.clone().after_cursor(last), LogQuery::all().after_cursor(last), start.after_cursor(last).limit(0)]
    {
        let read = store.read_log(&query, visit).await.unwrap();
        assert_eq!((read.cursor(&query), read.position), (last, last.position));
    }
    write(&*store, Append::new("ledger", Uuid::now_v7()).events(noted([4]))).await;
    let next = LogQuery::all().select(ledger).after_cursor(last);
    assert_eq!(numbers(&store.collect_log(&next).await.unwrap()), [4]);
}

/// A reader that follows the log while many write sees every event once and in order.
pub async fn store_p6_a_reader_among_writers_misses_nothing(factory: &dyn Factory) {
    const WRITERS: usize = 8;
    const EACH: u64 = 25;
    let fixture = fresh(factory).await;
    let store = fixture.store();
    let writing = Arc::new(AtomicUsize::new(WRITERS));
    let seen = at_once(WRITERS + 2, |task| {
        let (store, writing) = (Arc::clone(&store), Arc::clone(&writing));
        async move {
            if task < WRITERS {
                let id = Uuid::now_v7();
                for version in 0..EACH {
                    let first = task as u64 * 1_000 + 2 * version;
                    let append = note(id, [first, first + 1]).expected(ExpectedVersion::Exact(2 * version));
                    store.append_one(append).await.expect("nobody else writes to this aggregate");
                }
                writing.fetch_sub(1, Ordering::SeqCst);
                return Vec::new();
            }
            follow(&*store, &writing, if task == WRITERS { None } else { Some(3) }).await
        }
    })
    .await;
    let whole = log(&*store).await;
    assert_eq!(whole.len() as u64, 2 * EACH * WRITERS as u64);
    for reader in &seen[WRITERS..] {
        assert!(*reader == whole, "a reader saw {} of {} events, or in another order", reader.len(), whole.len());
    }
    let mut found: Vec<_> = whole.iter().map(number).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), whole.len(), "each event is there once");
}

/// Reads on until nobody writes any more and the head is reached.
async fn follow(store: &dyn EventStore, writing: &AtomicUsize, limit: Option<u64>) -> Vec<RecordedEvent> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let done = writing.load(Ordering::SeqCst) == 0;
        let before = events.len();
        let query = LogQuery { limit, ..LogQuery::all().after(after) };
        let read = store
            .read_log(&query, &mut |event| {
                events.push(event.to_recorded());
                Ok(())
            })
            .await
            .expect("the log can be read");
        after = read.position;
        if done && events.len() == before {
            return events;
        }
    }
}
