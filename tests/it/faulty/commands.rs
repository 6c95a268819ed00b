//! Commands, one after another, on a store that fails.

use annals::{ExecuteError, Executed, ExpectedVersion, Id, Outcome, Repository, testing::Faulty};

use super::{Command, Event, FULL, Jar, NoRoom, Overtaken, attempts, jars, key, kinds, memory, seeds, tally};

/// A command's answer without the note whether it was given before.
fn answer(ended: Result<Executed, ExecuteError<NoRoom>>) -> Outcome<NoRoom> {
    match ended {
        Ok(mut executed) => {
            executed.replayed = true;
            Outcome::Accepted(executed)
        }
        Err(ExecuteError::Rejected { rejection, .. }) => Outcome::Rejected(rejection),
        Err(other) => panic!("{other:?}"),
    }
}

/// What a request asks for: some are accepted, some lead to nothing, and once the jar is full the rest is rejected.
fn command(request: u32) -> Command {
    match request % 4 {
        0 => Command::Look,
        marbles => Command::Put { request, marbles },
    }
}

#[tokio::test]
async fn under_a_key_every_command_is_executed_once_and_every_answer_is_the_first() {
    for seed in seeds(6) {
        for (kind, is_cached) in (0..7).flat_map(|kind| [(kind, false), (kind, true)]) {
            let store = memory().await;
            let (name, faulty) = kinds(&store, seed).swap_remove(kind);
            let jars = jars(&faulty, is_cached, attempts(1_000));
            let id = Id::natural("jar");
            let mut answers = Vec::new();
            let mut room = FULL;
            for request in 0..16 {
                let ended = jars.execute(id, &command(request)).idempotency_key(key(request)).await;
                let expected = match command(request) {
                    Command::Put { marbles, .. } if marbles > room => Err(()),
                    Command::Put { marbles, .. } => Ok(marbles),
                    Command::Look => Ok(0),
                };
                room -= expected.unwrap_or(0);
                answers.push(answer(ended));
                match (&answers[request as usize], expected) {
                    (Outcome::Accepted(executed), Ok(marbles)) => {
                        assert_eq!((executed.events(), executed.version), (u64::from(marbles), u64::from(FULL - room)));
                    }
                    (Outcome::Rejected(rejection), Err(())) => assert_eq!(rejection.holds, FULL - room),
                    other => panic!("{name}, seed {seed}, request {request}: {other:?}"),
                }
            }
            assert!(faulty.faults() > 5, "{name}, seed {seed}: {} faults", faulty.faults());
            faulty.flush().await;
            let calm = Repository::<Jar>::new(&store);
            for request in 0..16 {
                let again = jars.execute(id, &command(request)).idempotency_key(key(request)).await;
                assert_eq!(answer(again), answers[request as usize], "{name}, seed {seed}, request {request}");
                let kept = calm.outcome(id, &key(request)).await.unwrap();
                assert_eq!(kept.as_ref(), Some(&answers[request as usize]));
            }
            faulty.flush().await;
            assert_eq!(calm.load(id).await.unwrap().version, u64::from(FULL - room));
            for (request, events) in tally(&store).await {
                assert_eq!(events, u64::from(request % 4), "{name}, seed {seed}, request {request}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_key_no_fault_doubles_an_event() {
    for seed in seeds(6) {
        for (kind, is_cached) in (0..7).flat_map(|kind| [(kind, false), (kind, true)]) {
            let store = memory().await;
            let (name, faulty) = kinds(&store, seed).swap_remove(kind);
            let jars = jars(&faulty, is_cached, attempts(1_000));
            let id = Id::natural("jar");
            for request in 1..=9 {
                let done = jars.execute(id, &Command::Put { request, marbles: 2 }).await.unwrap();
                assert_eq!((done.events(), done.version), (2, u64::from(request) * 2), "{name}, seed {seed}");
                assert!(!done.replayed, "without a key nothing was there before");
            }
            faulty.flush().await;
            assert!(tally(&store).await.into_iter().eq((1..=9).map(|request| (request, 2))), "{name}, seed {seed}");
            assert!(faulty.faults() > 0, "{name}, seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_lost_attempt_whose_place_another_took_is_decided_again() {
    for (keyed, is_cached) in [(false, false), (false, true), (true, false), (true, true)] {
        for lose in [Faulty::lose_next_request, Faulty::delay_next_write] {
            let store = memory().await;
            let id = Id::natural("jar");
            let faulty = Faulty::new(Overtaken::nth(1, &store, id, &Event::Put { request: 7 }), 1);
            let jars = jars(&faulty, is_cached, attempts(3));
            lose(&faulty);
            // Of 20 marbles one is there by the time the second attempt arrives: what was decided first is wrong now.
            let command = Command::Put { request: 1, marbles: 20 };
            let execute = jars.execute(id, &command);
            let ended = if keyed { execute.idempotency_key(key(1)).await } else { execute.await };
            let Err(ExecuteError::Rejected { rejection, replayed: false }) = ended else { panic!("{ended:?}") };
            assert_eq!(rejection, NoRoom { holds: 1 });
            faulty.flush().await;
            assert_eq!(tally(&store).await.into_iter().collect::<Vec<_>>(), [(7, 1)], "the lost attempt is dead");
        }
    }
}

#[tokio::test]
async fn a_lost_attempt_that_was_written_is_the_answer_whatever_came_after_it() {
    for (keyed, is_cached) in [(false, false), (false, true), (true, false), (true, true)] {
        let store = memory().await;
        let id = Id::natural("jar");
        // The second attempt finds another's event behind its own.
        let faulty = Faulty::new(Overtaken::nth(2, &store, id, &Event::Shaken { request: 7 }), 1);
        faulty.lose_next_reply();
        let jars = jars(&faulty, is_cached, attempts(2));
        let command = Command::Put { request: 1, marbles: 3 };
        let execute = jars.execute(id, &command);
        let done = if keyed { execute.idempotency_key(key(1)).await } else { execute.await }.unwrap();
        assert_eq!((done.first_sequence, done.version, done.replayed), (1, 3, keyed));
        assert_eq!(tally(&store).await.into_iter().collect::<Vec<_>>(), [(1, 3), (7, 1)]);
    }
}

#[tokio::test]
async fn a_late_first_attempt_finds_what_its_retry_has_done() {
    let store = memory().await;
    let id = Id::natural("jar");
    let faulty = Faulty::new(store.clone(), 1);
    let jars = Repository::<Jar>::new(&faulty).retry(attempts(1));
    let command = Command::Put { request: 1, marbles: 2 };
    faulty.delay_next_write();
    let lost = jars.execute(id, &command).idempotency_key(key(1)).await.unwrap_err();
    assert!(lost.store_error().unwrap().is_outcome_unknown());
    assert_eq!(jars.outcome(id, &key(1)).await.unwrap(), None, "it has not arrived yet");
    assert_eq!(faulty.held_back(), 1);
    let done = jars.execute(id, &command).idempotency_key(key(1)).await.unwrap();
    assert_eq!((done.version, done.replayed), (2, false));
    assert_eq!(faulty.held_back(), 0, "it has arrived, after its retry");
    assert_eq!(jars.load(id).await.unwrap().version, 2);

    // And where it arrives first, between the retry's read and its write, the retry finds it.
    faulty.delay_next_write();
    let command = Command::Put { request: 2, marbles: 2 };
    jars.execute(id, &command).idempotency_key(key(2)).await.unwrap_err();
    faulty.fail_next(annals::Error::Contention { source: None });
    let patient = jars.clone().retry(attempts(2));
    let done = patient.execute(id, &command).idempotency_key(key(2)).await.unwrap();
    assert_eq!((done.first_sequence, done.version, done.replayed), (3, 4, true));
    assert_eq!(tally(&store).await.into_iter().collect::<Vec<_>>(), [(1, 2), (2, 2)]);
}

#[tokio::test]
async fn a_rejection_whose_reply_was_lost_is_kept_once_and_comes_back_typed() {
    let store = memory().await;
    let id = Id::natural("jar");
    let faulty = Faulty::new(store.clone(), 1);
    let jars = Repository::<Jar>::new(&faulty).retry(attempts(2));
    jars.execute(id, &Command::Put { request: 1, marbles: 19 }).await.unwrap();
    let too_many = Command::Put { request: 2, marbles: 2 };
    faulty.lose_next_reply();
    let Err(ExecuteError::Rejected { rejection, .. }) = jars.execute(id, &too_many).idempotency_key(key(2)).await
    else {
        panic!("it is rejected");
    };
    assert_eq!(rejection, NoRoom { holds: 19 });
    // Also when the state has moved on, and after a reply that was lost for good.
    let hasty = jars.clone().retry(attempts(1));
    faulty.lose_next_reply();
    let lost = hasty.execute(id, &Command::Put { request: 3, marbles: 9 }).idempotency_key(key(3)).await.unwrap_err();
    assert!(lost.store_error().unwrap().is_outcome_unknown(), "{lost:?}");
    jars.execute(id, &Command::Put { request: 4, marbles: 1 }).await.unwrap();
    for request in [2, 3] {
        let kept = jars.outcome(id, &key(request)).await.unwrap();
        assert_eq!(kept, Some(Outcome::Rejected(NoRoom { holds: 19 })));
    }
    assert_eq!(tally(&store).await.into_iter().collect::<Vec<_>>(), [(1, 19), (4, 1)]);
}

#[tokio::test]
async fn a_pinned_version_survives_a_lost_reply_and_a_conflict_is_returned() {
    let store = memory().await;
    let id = Id::natural("jar");
    let faulty = Faulty::new(store.clone(), 1);
    let jars = Repository::<Jar>::new(&faulty).retry(attempts(9));
    let command = Command::Put { request: 1, marbles: 2 };
    faulty.lose_next_reply();
    let done = jars.execute(id, &command).expected_version(ExpectedVersion::New).await.unwrap();
    assert_eq!((done.version, done.replayed), (2, false));
    for pinned in [ExpectedVersion::New, ExpectedVersion::Exact(1)] {
        let error = jars.execute(id, &command).expected_version(pinned).await.unwrap_err();
        let Some(annals::Error::Conflict { expected, actual: 2, .. }) = error.store_error() else {
            panic!("{error:?}")
        };
        assert_eq!(*expected, pinned);
    }
    // One that another caused meanwhile, too: the first attempt is lost and dead.
    let faulty = Faulty::new(Overtaken::nth(1, &store, id, &Event::Shaken { request: 7 }), 1);
    let jars = Repository::<Jar>::new(&faulty).retry(attempts(9));
    faulty.delay_next_write();
    let error = jars.execute(id, &command).expected_version(ExpectedVersion::Exact(2)).await.unwrap_err();
    let Some(annals::Error::Conflict { expected, actual: 3, .. }) = error.store_error() else { panic!("{error:?}") };
    assert_eq!(*expected, ExpectedVersion::Exact(2));
    faulty.flush().await;
    assert_eq!(tally(&store).await.into_iter().collect::<Vec<_>>(), [(1, 2), (7, 1)]);
    // `Exists` names no version: a race is decided again, only its absence is returned.
    let faulty = Faulty::new(Overtaken::nth(1, &store, id, &Event::Shaken { request: 8 }), 1);
    let jars = Repository::<Jar>::new(&faulty).retry(attempts(2));
    let command = Command::Put { request: 2, marbles: 1 };
    let done = jars.execute(id, &command).expected_version(ExpectedVersion::Exists).await.unwrap();
    assert_eq!(done.version, 5);
    let nowhere = jars.execute(Id::new(), &command).expected_version(ExpectedVersion::Exists).await.unwrap_err();
    assert!(nowhere.store_error().unwrap().is_conflict(), "{nowhere:?}");
}
