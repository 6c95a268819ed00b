//! Looks into a store: events by what they are, and how requests ended.

mod plans;

use std::{sync::Arc, time::Duration};

use annals::{
    Append, Clock, EventStore, EventStoreExt as _, ExpectedVersion, IdempotencyKey, LogQuery, ManualClock, Metadata,
    NewEvent, Position, ReceiptOutcome, RecordedEvent, Search, Selection, SqliteStore,
    store::{Direction, EventSearch, ReceiptQuery},
};
use chrono::DateTime;
use uuid::Uuid;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(DateTime::from_timestamp(1_767_607_200, 0).unwrap()))
}

/// Makes a test of each function for each database, with a clock that stands still.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let (clock, folder) = (super::clock(), tempfile::tempdir().unwrap());
                    let options = super::SqliteStore::options().shared_clock(super::Arc::clone(&clock) as _);
                    let store = options.open(folder.path().join("shop.db")).await.unwrap();
                    super::$test(&store, &clock).await;
                }
            )+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let (clock, database) = (super::clock(), crate::postgres_server::Database::create().await);
                    let options = annals::PostgresStore::options().shared_clock(super::Arc::clone(&clock) as _);
                    let store = options.connect(database.url()).await.unwrap();
                    super::$test(&store, &clock).await;
                }
            )+
        }
    };
}

on_both! {
    events_are_found_by_what_they_are
    a_search_of_many_pages_finds_each_event_once
    receipts_are_listed_by_their_keys_with_those_that_have_expired
    what_cannot_be_searched_for_is_refused
}

fn event(event_type: &'static str, payload: u64) -> NewEvent {
    NewEvent::new(event_type, &payload).unwrap()
}

/// Two kinds of aggregates, three types of events, an hour between one append and the next, and some correlations.
async fn fill(store: &dyn EventStore, clock: &ManualClock) -> Vec<RecordedEvent> {
    for number in 0..12 {
        let id = Uuid::new_v5(&Uuid::nil(), &[number % 5]);
        let kind = if number % 5 < 3 { "order" } else { "refund" };
        let types = ["placed", "paid", "shipped"];
        let mut append = Append::new(kind, id).event(event(types[usize::from(number) % 3], number.into()));
        if number % 4 == 0 {
            append = append.event(event("noted", 100));
        }
        if number % 2 == 0 {
            append = append.metadata(Metadata::new().correlation_id(format!("request-{}", number % 3)));
        }
        store.append_one(append).await.unwrap();
        clock.advance(Duration::from_secs(3_600));
    }
    store.collect_log(&LogQuery::all()).await.unwrap()
}

async fn found(store: &dyn Search, search: &EventSearch) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let mut visit = |event: annals::EventRef<'_>| {
        events.push(event.to_recorded());
        Ok(())
    };
    let answer = store.find_events(search, &mut visit).await.unwrap();
    assert_eq!((answer.events, answer.head), (events.len() as u64, store.head().await.unwrap()));
    events
}

/// What a search is to find, by a look at every event.
fn expected(all: &[RecordedEvent], search: &EventSearch) -> Vec<RecordedEvent> {
    let is_among =
        |names: &Option<Vec<String>>, name: &str| names.as_ref().is_none_or(|names| names.iter().any(|n| n == name));
    let mut events: Vec<_> = all
        .iter()
        .filter(|event| event.position() > search.after && search.until.is_none_or(|until| event.position() <= until))
        .filter(|event| is_among(&search.selection.aggregate_types, event.aggregate_type()))
        .filter(|event| is_among(&search.selection.event_types, event.event_type()))
        .filter(|event| search.recorded_from.is_none_or(|from| event.recorded_at() >= from))
        .filter(|event| search.recorded_before.is_none_or(|before| event.recorded_at() < before))
        .filter(|event| {
            search.correlation_id.is_none() || event.metadata().unwrap().correlation_id == search.correlation_id
        })
        .cloned()
        .collect();
    if search.direction == Direction::Backward {
        events.reverse();
    }
    events.truncate(search.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap()));
    events
}

async fn events_are_found_by_what_they_are(store: &dyn Search, clock: &ManualClock) {
    assert!(found(store, &EventSearch::all()).await.is_empty());
    let all = fill(store, clock).await;
    let (third, seventh) = (all[2].recorded_at(), all[6].recorded_at());
    let orders = Selection::all().aggregate_types(["order"]);
    let searches = [
        (EventSearch::all(), 15),
        (EventSearch::all().select(orders.clone()), 9),
        (EventSearch::all().select(orders.clone().event_types(["paid", "noted"])), 4),
        (EventSearch::all().recorded_from(third), 13),
        (EventSearch::all().recorded_before(seventh), 5),
        (EventSearch::all().recorded_from(third).recorded_before(seventh), 3),
        (EventSearch::all().correlation_id("request-0"), 3),
        (EventSearch::all().correlation_id("request-0").select(orders), 3),
        (EventSearch::all().correlation_id("Request-0"), 0),
        (EventSearch::all().after(all[3].position()), 11),
        (EventSearch::all().until(all[3].position()), 4),
        (EventSearch::at(all[3].position()), 1),
        (EventSearch::at(Position::START), 0),
        (EventSearch::at(Position::new(u64::MAX)), 0),
    ];
    for (search, events) in searches {
        for search in [search.clone(), search.clone().newest_first()] {
            let right = expected(&all, &search);
            assert_eq!(right.len(), events, "{search:?}");
            assert_eq!(found(store, &search).await, right, "{search:?}");
            let few = search.limit(2);
            assert_eq!(found(store, &few).await, expected(&all, &few), "{few:?}");
        }
    }
    // The visitor's error ends it, as it is.
    let failed = store.find_events(&EventSearch::all(), &mut |_| Err(annals::Error::invalid("enough"))).await;
    assert_eq!(failed.unwrap_err().to_string(), "enough");
}

async fn a_search_of_many_pages_finds_each_event_once(store: &dyn Search, _clock: &ManualClock) {
    let appends = (0..30_u64).map(|number| {
        let events = (0..400).map(|at| event(if at == 7 { "rare" } else { "common" }, number));
        Append::new("order", Uuid::new_v5(&Uuid::nil(), &number.to_be_bytes())).events(events)
    });
    for answer in store.append(appends.collect()).await {
        answer.unwrap();
    }
    for search in [EventSearch::all(), EventSearch::all().select(Selection::all().event_types(["rare"]))] {
        let events = found(store, &search).await;
        assert_eq!(events.len(), if search == EventSearch::all() { 12_000 } else { 30 });
        assert!(events.is_sorted_by(|one, next| one.position() < next.position()));
        let mut back = found(store, &search.newest_first()).await;
        back.reverse();
        assert!(back == events);
    }
}

async fn receipts_are_listed_by_their_keys_with_those_that_have_expired(store: &dyn Search, clock: &ManualClock) {
    let (id, other) = (Uuid::now_v7(), Uuid::now_v7());
    let key = |key: &str| IdempotencyKey::new(key).unwrap();
    let keyed = |id, name: &str| Append::new("order", id).idempotency_key(key(name));
    let secret = "sk-secret-in-a-rejection";
    let appends = [
        keyed(id, "b").event(event("placed", 1)),
        // Without a version and without a key: the store keeps a receipt of its own.
        Append::new("order", id).event(event("paid", 2)),
        keyed(id, "a").expected(ExpectedVersion::Exact(2)).rejected(format!(r#"{{"no":"{secret}"}}"#).into()),
        keyed(id, "Z~").keep_receipt_for(Duration::from_secs(60)).event(event("shipped", 3)),
        keyed(id, "c").expected(ExpectedVersion::Exact(3)),
        keyed(other, "elsewhere").event(event("placed", 1)),
    ];
    for append in appends {
        store.append_one(append).await.unwrap();
    }
    clock.advance(Duration::from_secs(3_600));
    let listed = store.list_receipts(&ReceiptQuery::of(id)).await.unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|one| {
            let key = if one.key.is_own() { "own" } else { one.key.as_str() };
            let receipt = &one.receipt;
            let is_rejected = matches!(receipt.outcome, ReceiptOutcome::Rejected { .. });
            (key, is_rejected, receipt.first_sequence, receipt.last_sequence, receipt.position.map(Position::get))
        })
        .collect();
    let right = [
        ("own", false, 2, 2, Some(2)),
        ("Z~", false, 3, 3, Some(3)),
        ("a", true, 3, 2, None),
        ("b", false, 1, 1, Some(1)),
        ("c", false, 4, 3, None),
    ];
    assert_eq!(shown, right);
    assert!(listed[1].receipt.expires_at.unwrap() < clock.now());
    // Each as it is looked up, but for the one that has expired.
    for one in &listed {
        let found = store.receipt(id, &one.key).await.unwrap();
        assert_eq!(found, (one.key != key("Z~")).then(|| one.receipt.clone()));
    }
    let debugged = format!("{listed:?}");
    assert!(!debugged.contains("Z~") && !debugged.contains(secret) && debugged.contains("2 bytes"), "{debugged}");
    // In pages, and the rejected alone.
    let (mut paged, mut query) = (Vec::new(), ReceiptQuery::of(id).limit(2));
    loop {
        let page = store.list_receipts(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query = query.after(last.key.clone());
        paged.extend(page);
    }
    assert_eq!(paged, listed);
    let rejected = store.list_receipts(&ReceiptQuery::of(id).rejected_only()).await.unwrap();
    assert_eq!(rejected, [listed[2].clone()]);
    assert!(store.list_receipts(&ReceiptQuery::of(Uuid::now_v7())).await.unwrap().is_empty());
}

async fn what_cannot_be_searched_for_is_refused(store: &dyn Search, _clock: &ManualClock) {
    for search in [
        EventSearch::all().correlation_id("a\0b"),
        EventSearch::all().correlation_id("x".repeat((64 << 10) + 1)),
        EventSearch::all().select(Selection::all().event_types(["\0"])),
    ] {
        let refused = store.find_events(&search, &mut |_| Ok(())).await.unwrap_err();
        assert!(matches!(refused, annals::Error::Invalid { .. }), "{refused:?}");
    }
    for limit in [0, 1_001] {
        let refused = store.list_receipts(&ReceiptQuery::of(Uuid::nil()).limit(limit)).await.unwrap_err();
        assert!(matches!(refused, annals::Error::Invalid { .. }), "{refused:?}");
    }
    // Text that PostgreSQL would read in another way, if it were no bind.
    assert!(found(store, &EventSearch::all().correlation_id("' OR true --")).await.is_empty());
}

/// What others have not committed yet hides what stands behind it: else a follower that goes on from here would miss it.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn a_search_on_postgresql_ends_at_the_horizon() {
    use annals::{Transactional as _, Work as _};

    let database = crate::postgres_server::Database::create().await;
    let store = annals::PostgresStore::connect(database.url()).await.unwrap();
    let append = |number| Append::new("order", Uuid::now_v7()).event(event("placed", number));
    store.append_one(append(1)).await.unwrap();
    let mut work = store.begin().await.unwrap();
    work.append(&append(2)).await.unwrap();
    store.append_one(append(3)).await.unwrap();
    for search in [EventSearch::all(), EventSearch::all().newest_first(), EventSearch::all().until(Position::new(99))] {
        assert_eq!(found(&store, &search).await.len(), 1);
    }
    work.commit().await.unwrap();
    assert_eq!(found(&store, &EventSearch::all()).await.len(), 3);
}
