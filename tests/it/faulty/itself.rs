//! What `Faulty` itself promises: faults from a seed, and none that a sound store could not commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use annals::{
    Append, Appended, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Id, LogQuery, StreamQuery,
    testing::Faulty,
};

use super::{Event, Jar, event, key, memory, mixed, tally};

fn put(request: u32, expected: ExpectedVersion) -> Append {
    Append::to(Id::<Jar>::natural("jar")).expected(expected).event(event(&Event::Put { request }))
}

fn kind(answer: &Result<Appended, Error>) -> &'static str {
    match answer {
        Ok(_) => "written",
        Err(Error::Conflict { .. }) => "conflict",
        Err(Error::Contention { .. }) => "contention",
        Err(Error::Unavailable { .. }) => "unavailable",
        Err(Error::OutcomeUnknown { .. }) => "unknown",
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_seed_gives_one_sequence_of_faults() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let store = memory().await;
        let faulty = mixed(&store, seed);
        let mut kinds = Vec::new();
        for request in 0..100 {
            let version = store.collect_log(&LogQuery::all()).await.unwrap().len() as u64;
            kinds.push(kind(&faulty.append_one(put(request, ExpectedVersion::Exact(version))).await));
            kinds.push(faulty.head().await.map_or("dark", |_| "read"));
        }
        for each in ["written", "conflict", "contention", "unavailable", "unknown", "read", "dark"] {
            assert!(kinds.contains(&each), "seed {seed}: no {each}");
        }
        runs.push((kinds, faulty.faults()));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn without_rates_nothing_fails_and_clones_share_all_but_their_rates() {
    let store = memory().await;
    let calm = Faulty::new(store.clone(), 1);
    let lossy = calm.clone().lost_replies(1.0);
    for request in 0..10 {
        assert!(lossy.append_one(put(request, ExpectedVersion::Any)).await.unwrap_err().is_outcome_unknown());
        calm.append_one(put(100 + request, ExpectedVersion::Any)).await.unwrap();
    }
    assert_eq!((calm.faults(), lossy.faults()), (10, 10));
    assert_eq!(tally(&store).await.len(), 20);
    calm.fail_next(Error::Contention { source: None });
    assert_eq!(kind(&lossy.append_one(put(50, ExpectedVersion::Any)).await), "contention");
    assert!(format!("{lossy:?}").contains("lost_replies: 1.0"), "{lossy:?}");
}

#[tokio::test]
async fn outages_befall_reads_of_every_kind() {
    let dark = Faulty::new(memory().await, 1).outages(1.0);
    let id = Id::<Jar>::natural("jar");
    let errors = [
        dark.head().await.unwrap_err(),
        dark.receipt(id.uuid(), &key(1)).await.unwrap_err(),
        dark.collect_log(&LogQuery::all()).await.unwrap_err(),
        dark.collect_stream(&StreamQuery::of(id)).await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| matches!(error, Error::Unavailable { .. })), "{errors:?}");
    assert_eq!(dark.faults(), 4);
    let lossy = Faulty::new(memory().await, 1).lost_requests(1.0);
    lossy.head().await.unwrap();
}

#[tokio::test]
async fn what_is_invalid_never_leaves_and_has_no_reply_to_lose() {
    let faulty = Faulty::new(memory().await, 1).lost_replies(1.0);
    let nameless = Append::new("No Such Name", uuid::Uuid::now_v7()).event(event(&Event::Put { request: 1 }));
    assert!(matches!(faulty.append_one(nameless).await, Err(Error::Invalid { .. })));
    assert_eq!(faulty.faults(), 0);
}

#[tokio::test]
async fn a_late_write_comes_after_the_next_append_of_its_aggregate_or_a_flush() {
    let store = memory().await;
    let faulty = Faulty::new(store.clone(), 1);
    faulty.delay_next_write();
    assert_eq!(kind(&faulty.append_one(put(1, ExpectedVersion::Any)).await), "unknown");
    let elsewhere = Append::to(Id::<Jar>::natural("other")).event(event(&Event::Put { request: 2 }));
    faulty.append_one(elsewhere).await.unwrap();
    assert_eq!((tally(&store).await.len(), faulty.held_back()), (1, 1), "another aggregate does not bring it");
    assert_eq!(faulty.append_one(put(3, ExpectedVersion::New)).await.unwrap().version, 1, "it comes first");
    let late = store.collect_stream(&StreamQuery::of(Id::<Jar>::natural("jar"))).await.unwrap();
    assert_eq!(late.len(), 2);
    faulty.delay_next_write();
    faulty.append_one(put(4, ExpectedVersion::Exact(2))).await.unwrap_err();
    faulty.flush().await;
    faulty.flush().await;
    assert_eq!((tally(&store).await.len(), faulty.held_back(), faulty.faults()), (4, 0, 2));
}

#[tokio::test]
async fn a_conflict_is_only_told_where_it_could_be_true() {
    let store = memory().await;
    let fighting = Faulty::new(store.clone(), 1).conflicts(1.0);
    // It names the version after the one that was expected, and nothing is written.
    for expected in [ExpectedVersion::New, ExpectedVersion::Exact(0)] {
        let error = fighting.append_one(put(1, expected)).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { actual: 1, expected: told, .. } if told == expected), "{error:?}");
    }
    assert_eq!((fighting.faults(), tally(&store).await.len()), (2, 0));
    // No version was named: there is nothing to be in conflict with.
    fighting.append_one(put(2, ExpectedVersion::Any)).await.unwrap();
    fighting.append_one(put(3, ExpectedVersion::Exists)).await.unwrap();
    // What was written before, under a command id or a key, with events or without.
    let by_id = put(4, ExpectedVersion::Exact(2));
    let by_key = put(5, ExpectedVersion::Exact(3)).idempotency_key(key(5));
    let empty = Append::to(Id::<Jar>::natural("jar")).expected(ExpectedVersion::Exact(4)).idempotency_key(key(6));
    for append in [by_id, by_key, empty] {
        store.append_one(append.clone()).await.unwrap();
        assert!(fighting.append_one(append).await.unwrap().replayed);
    }
    // What may still be written.
    let held = put(7, ExpectedVersion::Exact(4));
    fighting.delay_next_write();
    fighting.append_one(held.clone()).await.unwrap_err();
    assert!(!fighting.append_one(held.clone()).await.unwrap().replayed);
    // A true conflict is the store's own, and no fault.
    let error = fighting.append_one(put(8, ExpectedVersion::Exact(1))).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { actual: 5, .. }), "{error:?}");
    assert_eq!(fighting.faults(), 3);
    // The same append twice in one call: the first of them may be written while the second is answered.
    let answers = fighting.append(vec![put(9, ExpectedVersion::Exact(5)); 2]).await;
    assert_eq!(answers.iter().map(|answer| answer.as_ref().unwrap().replayed).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn rates_that_are_none_are_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(memory());
    let faulty = || Faulty::new(store.clone(), 1);
    let refused = |build: &dyn Fn() -> Faulty<annals::SqliteStore>| {
        let message = *catch_unwind(AssertUnwindSafe(build)).unwrap_err().downcast::<String>().unwrap();
        message.split(':').next().unwrap().to_owned()
    };
    for rate in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        for set in [
            Faulty::lost_replies,
            Faulty::lost_requests,
            Faulty::late_writes,
            Faulty::conflicts,
            Faulty::contention,
            Faulty::outages,
        ] {
            assert_eq!(refused(&|| set(faulty(), rate)), "a rate is between 0 and 1");
        }
    }
    assert_eq!(refused(&|| faulty().conflicts(0.6).outages(0.5)), "all rates together are at most 1");
    drop(faulty().lost_replies(0.1).lost_requests(0.2).conflicts(0.7));
    drop(faulty().lost_replies(1.0).lost_replies(0.0).outages(1.0));
}
