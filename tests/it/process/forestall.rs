//! Keys that are taken so that their commands are not carried out: before, during and after.

use std::sync::Arc;

use annals::{EventStore, ExecuteError, Id, IdempotencyKey, ManualClock, Outcome, Repository, testing::Faulty};
use uuid::Uuid;

use super::{
    check,
    place::{Whole, on_both},
    trip::{Flight, FlightCommand, Full, SEATS},
};
use crate::campaign;

on_both! {
    a_command_that_was_forestalled_is_refused_whenever_it_comes
    forestalling_after_a_command_tells_how_it_ended
    of_a_command_and_its_forestalling_one_wins
    what_was_accepted_is_never_said_to_be_forestalled_though_replies_are_lost
}

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::new(name).unwrap()
}

const fn take(trip: Uuid, seats: u32) -> FlightCommand {
    FlightCommand::Take { trip, seats }
}

async fn a_command_that_was_forestalled_is_refused_whenever_it_comes<S: Whole>(store: S, _: Arc<ManualClock>) {
    for flights in [Repository::<Flight>::new(&store), Repository::new(&store).cached(10)] {
        // Also where the aggregate has no event yet, and where it has.
        for begun in [false, true] {
            let id = Id::new();
            if begun {
                flights.execute(id, &take(Uuid::nil(), 1)).await.unwrap();
            }
            let before = flights.load(id).await.unwrap().version;
            assert!(matches!(flights.forestall(id, &key("one")).await.unwrap(), Outcome::Forestalled));
            let late = flights.execute(id, &take(Uuid::nil(), 1)).idempotency_key(key("one")).await.unwrap_err();
            assert!(matches!(late, ExecuteError::Store(annals::Error::KeyReused { .. })), "{late:?}");
            assert!(matches!(flights.outcome(id, &key("one")).await.unwrap(), Some(Outcome::Forestalled)));
            assert!(matches!(flights.forestall(id, &key("one")).await.unwrap(), Outcome::Forestalled));
            assert_eq!(flights.load(id).await.unwrap().version, before, "no event comes of it");
            flights.execute(id, &take(Uuid::nil(), 1)).idempotency_key(key("other")).await.unwrap();
            assert!(flights.outcome(id, &key("third")).await.unwrap().is_none());
        }
    }
    check(&store).await;
}

async fn forestalling_after_a_command_tells_how_it_ended<S: Whole>(store: S, _: Arc<ManualClock>) {
    let (flights, id) = (Repository::<Flight>::new(&store), Id::new());
    let done = flights.execute(id, &take(Uuid::nil(), 3)).idempotency_key(key("taken")).await.unwrap();
    flights.execute(id, &take(Uuid::nil(), SEATS)).idempotency_key(key("full")).await.unwrap_err();
    flights.execute(id, &take(Uuid::max(), 1)).await.unwrap();
    for _ in 0..2 {
        match flights.forestall(id, &key("taken")).await.unwrap() {
            Outcome::Accepted(found) => assert_eq!((found.version, found.position), (done.version, done.position)),
            other => panic!("{other:?}"),
        }
        match flights.forestall(id, &key("full")).await.unwrap() {
            Outcome::Rejected(full) => assert_eq!(full, Full { left: SEATS - 3 }),
            other => panic!("{other:?}"),
        }
    }
    let again = flights.execute(id, &take(Uuid::nil(), 3)).idempotency_key(key("taken")).await.unwrap();
    assert!(again.replayed);
    check(&store).await;
}

/// What has come of a command and of its forestalling.
type Both = (Result<annals::Executed, ExecuteError<Full>>, Outcome<Full>);

async fn both<S: EventStore + Clone + 'static>(store: &S, id: Id<Flight>, trip: Uuid, name: &str) -> Both {
    let (acting, forestalling) = (Repository::<Flight>::new(store), Repository::<Flight>::new(store));
    let (action_key, forestalled) = (key(name), key(name));
    let acting = tokio::spawn(async move { acting.execute(id, &take(trip, 1)).idempotency_key(action_key).await });
    let forestalling = tokio::spawn(async move {
        // Until it is known.
        loop {
            match forestalling.forestall(id, &forestalled).await {
                Ok(outcome) => return outcome,
                Err(error) => assert!(error.is_outcome_unknown() || error.is_retryable(), "{error:?}"),
            }
        }
    });
    (acting.await.unwrap(), forestalling.await.unwrap())
}

async fn seats_of<S: EventStore + Clone + 'static>(store: &S, id: Id<Flight>, trip: Uuid) -> Option<u32> {
    Repository::<Flight>::new(store).load(id).await.unwrap().state.taken_by.get(&trip).copied()
}

async fn of_a_command_and_its_forestalling_one_wins<S: Whole>(store: S, _: Arc<ManualClock>) {
    let (mut accepted, mut forestalled) = (0, 0);
    let rounds = campaign::sized(300);
    for round in 0..rounds {
        let (id, trip) = (Id::natural(&format!("flight {}", round / 4)), Uuid::now_v7());
        // Others write to the same aggregate.
        let other = Repository::<Flight>::new(&store);
        let beside = tokio::spawn(async move { other.execute(id, &FlightCommand::Give { trip: Uuid::nil() }).await });
        let (acted, outcome) = both(&store, id, trip, &format!("key {round}").replace(' ', "-")).await;
        beside.await.unwrap().unwrap();
        match (acted, outcome) {
            (Ok(done), Outcome::Accepted(found)) => {
                assert_eq!((done.version, seats_of(&store, id, trip).await), (found.version, Some(1)));
                accepted += 1;
            }
            (Err(ExecuteError::Store(annals::Error::KeyReused { .. })), Outcome::Forestalled) => {
                assert_eq!(seats_of(&store, id, trip).await, None);
                forestalled += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    println!("figures: rounds={rounds} accepted={accepted} forestalled={forestalled}");
    assert!(rounds < 100 || (accepted > 0 && forestalled > 0), "{accepted} accepted, {forestalled} forestalled");
    check(&store).await;
}

async fn what_was_accepted_is_never_said_to_be_forestalled_though_replies_are_lost<S: Whole>(
    store: S,
    _: Arc<ManualClock>,
) {
    for round in 0..campaign::sized(100) {
        let faulty = Faulty::new(store.clone(), round.into()).lost_replies(0.3).lost_requests(0.2).contention(0.1);
        let faulty = Arc::new(faulty);
        let (id, trip) = (Id::natural(&format!("flight {}", round / 4)), Uuid::now_v7());
        let name = format!("key-{round}");
        let (acted, outcome) = both(&faulty, id, trip, &name).await;
        let is_taken = seats_of(&store, id, trip).await.is_some();
        assert_eq!(matches!(outcome, Outcome::Accepted(_)), is_taken, "{acted:?} {outcome:?}");
        assert!(is_taken || acted.is_err(), "{acted:?} {outcome:?}");
        // What was forestalled stays so.
        let late = Repository::<Flight>::new(&store).execute(id, &take(trip, 1)).idempotency_key(key(&name)).await;
        assert_eq!((late.is_ok(), seats_of(&store, id, trip).await.is_some()), (is_taken, is_taken));
    }
    check(&store).await;
}
