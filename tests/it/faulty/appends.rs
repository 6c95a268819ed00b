//! Ready-made events on a store that fails.

use annals::{Append, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Id, append, testing::Faulty};

use super::{Event, Jar, Overtaken, attempts, event, key, kinds, memory, seeds, tally};

#[tokio::test]
async fn every_append_is_written_once_whatever_it_expects() {
    for seed in seeds(8) {
        for kind in 0..7 {
            let store = memory().await;
            let (name, faulty) = kinds(&store, seed).swap_remove(kind);
            let id = Id::<Jar>::natural("jar");
            let mut answers = Vec::new();
            for request in 0..16_u32 {
                let version = u64::from(request) * 2;
                // The first has to begin the stream; after that each expectation that holds.
                let expected = match request {
                    0 => ExpectedVersion::New,
                    request if request % 3 == 0 => ExpectedVersion::Any,
                    request if request % 3 == 1 => ExpectedVersion::Exact(version),
                    _ => ExpectedVersion::Exists,
                };
                let events = [event(&Event::Put { request }), event(&Event::Shaken { request })];
                let mut sent = Append::to(id).expected(expected).events(events);
                if request % 2 == 1 {
                    sent = sent.idempotency_key(key(request));
                }
                let answer = loop {
                    match append(&faulty, sent.clone(), attempts(1_000)).await {
                        Ok(answer) => break answer,
                        // What it expects is true, so somebody says otherwise: as in life, it is sent again.
                        Err(Error::Conflict { actual, .. }) => assert_eq!(actual, version + 1, "{name}, seed {seed}"),
                        Err(error) => panic!("{name}, seed {seed}, request {request}: {error:?}"),
                    }
                };
                assert_eq!((answer.first_sequence, answer.version), (version + 1, version + 2), "{name}, seed {seed}");
                answers.push((sent, answer));
            }
            assert!(faulty.faults() > 0, "{name}, seed {seed}");
            for (sent, first) in answers {
                let again = append(&faulty, sent, attempts(1_000)).await.unwrap();
                assert_eq!(
                    (again.first_sequence, again.version),
                    (first.first_sequence, first.version),
                    "{name}, {seed}"
                );
                assert_eq!((again.position, again.recorded_at), (first.position, first.recorded_at), "{name}, {seed}");
                assert!(again.replayed);
            }
            faulty.flush().await;
            assert!(tally(&store).await.into_iter().eq((0..16).map(|request| (request, 2))), "{name}, seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_lost_append_whose_place_another_took_is_a_conflict_for_good() {
    let store = memory().await;
    let id = Id::<Jar>::natural("jar");
    let faulty = Faulty::new(Overtaken::nth(1, &store, id, &Event::Shaken { request: 7 }), 1);
    faulty.delay_next_write();
    let sent = Append::to(id).expected(ExpectedVersion::New).event(event(&Event::Put { request: 1 }));
    let error = append(&faulty, sent.clone(), attempts(5)).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { actual: 1, .. }), "{error:?}");
    faulty.flush().await;
    assert_eq!(tally(&store).await.into_iter().collect::<Vec<_>>(), [(7, 1)]);
}

/// An attempt that expects what is yet to come is not dead because it has not come yet.
#[tokio::test]
async fn a_lost_append_that_may_still_arrive_stays_unknown() {
    for (expected, first, then) in [(ExpectedVersion::Exists, 0, 1), (ExpectedVersion::Exact(2), 1, 1)] {
        let store = memory().await;
        let id = Id::<Jar>::natural("jar");
        let other = |request| Append::to(id).event(event(&Event::Shaken { request }));
        for request in 0..first {
            store.append_one(other(10 + request)).await.unwrap();
        }
        let faulty = Faulty::new(store.clone(), 1);
        let sent = Append::to(id).expected(expected).event(event(&Event::Put { request: 1 }));
        // Asked once, the answer is plain: nothing was sent before.
        let plain = append(&faulty, sent.clone(), attempts(5)).await.unwrap_err();
        assert!(plain.is_conflict(), "{plain:?}");
        // Two attempts are on their way, and a third is told that the version does not hold.
        faulty.delay_next_write();
        faulty.delay_next_write();
        let unknown = append(&faulty, sent.clone(), attempts(5)).await.unwrap_err();
        assert!(unknown.is_outcome_unknown(), "{expected}: {unknown:?}");
        assert_eq!(faulty.held_back(), 0);
        // The first attempts arrive only now: here, sent once more by hand.
        for request in 0..then {
            store.append_one(other(20 + request)).await.unwrap();
        }
        let late = store.append_one(sent).await.unwrap();
        assert!(!late.replayed, "{expected}: it could still be written, and so no answer would have been true");
    }
}

#[tokio::test]
async fn a_batch_answers_in_its_order_whatever_befalls_each() {
    let store = memory().await;
    let faulty = Faulty::new(store.clone(), 1);
    let id = Id::<Jar>::natural;
    let put = |jar: &str, request| Append::to(id(jar)).event(event(&Event::Put { request }));
    faulty.lose_next_reply();
    faulty.fail_next(Error::Contention { source: None });
    faulty.delay_next_write();
    faulty.lose_next_request();
    let batch = vec![put("a", 1), put("b", 2), put("c", 3), put("d", 4), put("e", 5)];
    let answers = faulty.append(batch.clone()).await;
    assert!(answers[0].as_ref().unwrap_err().is_outcome_unknown());
    assert!(matches!(answers[1], Err(Error::Contention { .. })));
    assert!(answers[2].as_ref().unwrap_err().is_outcome_unknown());
    assert!(answers[3].as_ref().unwrap_err().is_outcome_unknown());
    assert_eq!(answers[4].as_ref().unwrap().version, 1);
    assert_eq!((faulty.faults(), faulty.held_back()), (4, 1));
    assert_eq!(tally(&store).await.into_iter().collect::<Vec<_>>(), [(1, 1), (5, 1)]);
    let answers = faulty.append(batch).await;
    let replayed: Vec<bool> = answers.into_iter().map(|answer| answer.unwrap().replayed).collect();
    assert_eq!(replayed, [true, false, false, false, true]);
    assert_eq!(faulty.held_back(), 0);
    assert!(tally(&store).await.into_iter().eq((1..=5).map(|request| (request, 1))));
}
