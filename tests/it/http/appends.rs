//! Appends and commands that are sent again: group J.

use std::{sync::Arc, time::Duration};

use annals::{
    Aggregate, Append, Error, EventStore, EventStoreExt as _, ExecuteError, ExpectedVersion, Id, IdempotencyKey,
    LogQuery, NewEvent, Repository, StreamQuery, http::IdempotentRequest,
};
use axum::{Json, extract::State, response::IntoResponse as _, routing::post};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::{
    app::{Ask, Got, layer},
    doomed::die_with,
    place::{Kind, Place, on_every_database},
};

on_every_database! {
    http_j01_an_append_sent_again_gets_its_first_positions
    http_j02_one_command_id_with_another_payload_is_refused
    http_j03_a_partly_known_append_is_refused_whole
    http_j04_known_events_in_another_order_are_refused
    http_j05_what_is_there_is_told_before_its_version_is_checked
    http_j06_of_two_writers_of_one_sequence_one_wins
    http_j07_a_death_within_the_transaction_leaves_neither_key_nor_events
    http_j08_a_refusal_comes_back_as_the_same_value
    http_j09_a_command_without_events_is_replayed
    http_j11_one_key_for_two_kinds_of_command_is_refused
    http_j12_of_two_in_a_batch_the_second_sees_the_first
    http_j14_whoever_asks_is_told_what_was_done
    http_e15_a_rejection_is_typed_after_a_round_trip
    http_h13_an_expired_key_does_not_write_its_events_again
}

#[derive(Debug, Default, Clone)]
struct Purse {
    cents: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do", content = "cents")]
enum PurseCommand {
    PutIn(i64),
    TakeOut(i64),
    Look,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "data")]
enum PurseEvent {
    PutIn(i64),
    TakenOut(i64),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{missing} cents are missing")]
struct TooFew {
    missing: i64,
}

impl Aggregate for Purse {
    const TYPE: &'static str = "purse";
    type Command = PurseCommand;
    type Event = PurseEvent;
    type Rejection = TooFew;

    fn decide(&self, command: &PurseCommand) -> Result<Vec<PurseEvent>, TooFew> {
        match *command {
            PurseCommand::PutIn(cents) => Ok(vec![PurseEvent::PutIn(cents)]),
            PurseCommand::TakeOut(cents) if cents > self.cents => Err(TooFew { missing: cents - self.cents }),
            PurseCommand::TakeOut(cents) => Ok(vec![PurseEvent::TakenOut(cents)]),
            PurseCommand::Look => Ok(vec![]),
        }
    }

    fn evolve(&mut self, event: &PurseEvent) {
        match event {
            PurseEvent::PutIn(cents) => self.cents += cents,
            PurseEvent::TakenOut(cents) => self.cents -= cents,
        }
    }
}

fn key(key: &str) -> IdempotencyKey {
    IdempotencyKey::new(key).unwrap()
}

fn append(id: Uuid, numbers: &[u64]) -> Append {
    Append::new("purse", id).events(numbers.iter().map(|number| NewEvent::new("noted", number).unwrap()))
}

async fn events(kind: Kind) -> (Place, Arc<dyn EventStore>) {
    let place = Place::new(kind).await;
    let events = place.process().await.store.events();
    (place, events)
}

async fn count(store: &Arc<dyn EventStore>) -> usize {
    store.collect_log(&LogQuery::all()).await.unwrap().len()
}

async fn http_j01_an_append_sent_again_gets_its_first_positions(kind: Kind) {
    let (_place, store) = events(kind).await;
    let first = append(Uuid::now_v7(), &[1, 2]).expected(ExpectedVersion::New);
    let written = store.append_one(first.clone()).await.unwrap();
    let again = store.append_one(first).await.unwrap();
    assert!(again.replayed && !written.replayed);
    assert_eq!((again.position, again.version), (written.position, written.version));
    assert_eq!(count(&store).await, 2);
}

async fn http_j02_one_command_id_with_another_payload_is_refused(kind: Kind) {
    let (_place, store) = events(kind).await;
    let (id, command) = (Uuid::now_v7(), Uuid::now_v7());
    let of = |number| append(id, &[number]).expected(ExpectedVersion::New).command_id(command);
    store.append_one(of(1)).await.unwrap();
    assert!(matches!(store.append_one(of(2)).await, Err(Error::KeyReused { .. })));
    assert_eq!(count(&store).await, 1);
}

async fn http_j03_a_partly_known_append_is_refused_whole(kind: Kind) {
    let (_place, store) = events(kind).await;
    let (id, command) = (Uuid::now_v7(), Uuid::now_v7());
    store.append_one(append(id, &[1]).expected(ExpectedVersion::New).command_id(command)).await.unwrap();
    let more = append(id, &[1, 2]).expected(ExpectedVersion::New).command_id(command);
    assert!(matches!(store.append_one(more).await, Err(Error::KeyReused { .. })));
    assert_eq!(count(&store).await, 1);
}

async fn http_j04_known_events_in_another_order_are_refused(kind: Kind) {
    let (_place, store) = events(kind).await;
    let (id, command) = (Uuid::now_v7(), Uuid::now_v7());
    store.append_one(append(id, &[1, 2]).expected(ExpectedVersion::New).command_id(command)).await.unwrap();
    let turned = append(id, &[2, 1]).expected(ExpectedVersion::New).command_id(command);
    assert!(matches!(store.append_one(turned).await, Err(Error::KeyReused { .. })));
    assert_eq!(count(&store).await, 2);
    // Where an append would stand its id is looked for, and nowhere else: at a later version it is another append.
    let later = append(id, &[1, 2]).expected(ExpectedVersion::Exact(2)).command_id(command);
    assert!(!store.append_one(later).await.unwrap().replayed);
    // A command id belongs to one aggregate: at another it is another command.
    let other = append(Uuid::now_v7(), &[1, 2]).expected(ExpectedVersion::New).command_id(command);
    assert!(!store.append_one(other).await.unwrap().replayed);
}

async fn http_j05_what_is_there_is_told_before_its_version_is_checked(kind: Kind) {
    let (_place, store) = events(kind).await;
    let id = Uuid::now_v7();
    let first = append(id, &[1]).expected(ExpectedVersion::New);
    store.append_one(first.clone()).await.unwrap();
    store.append_one(append(id, &[2, 3])).await.unwrap();
    assert!(store.append_one(first).await.unwrap().replayed, "although the version is 3 now");
    assert!(store.append_one(append(id, &[1]).expected(ExpectedVersion::New)).await.unwrap_err().is_conflict());
}

async fn http_j06_of_two_writers_of_one_sequence_one_wins(kind: Kind) {
    let (_place, store) = events(kind).await;
    for _ in 0..20 {
        let id = Uuid::now_v7();
        let both = [1, 2].map(|number| {
            let (store, append) = (Arc::clone(&store), append(id, &[number]).expected(ExpectedVersion::New));
            tokio::spawn(async move { store.append_one(append).await })
        });
        let mut won = 0;
        for one in both {
            match one.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert!(error.is_conflict(), "{error}"),
            }
        }
        assert_eq!(won, 1);
        assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 1);
    }
}

async fn http_j07_a_death_within_the_transaction_leaves_neither_key_nor_events(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    die_with(&place, Ask::charge("j-7"), |process| process.store.in_transactions(layer(process))).await;
    assert_eq!(count(&process.store.events()).await, 0);
    // As well where the handler has written before it says no.
    let app = purse_within(&process).await;
    let took =
        app.clone().oneshot(Ask::charge("j-7-no").json("{\"cents\":5,\"then\":500}").into_request()).await.unwrap();
    assert_eq!(took.status(), 500);
    assert_eq!(count(&process.store.events()).await, 0);
    let rows = process
        .responses
        .list_responses(&annals::store::ResponseQuery { limit: 9, ..Default::default() })
        .await
        .unwrap();
    assert_eq!(rows.len(), usize::from(false), "{rows:?}");
    // And both are there where it says yes.
    let yes = Ask::charge("j-7-yes").json("{\"cents\":5,\"then\":201}");
    assert_eq!(app.clone().oneshot(yes.clone().into_request()).await.unwrap().status(), 201);
    // On PostgreSQL the log is read up to where no writer is open: until the one that was rolled back is gone.
    let began = std::time::Instant::now();
    while count(&process.store.events()).await == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the events are not seen");
        tokio::task::yield_now().await;
    }
    assert!(Got::read(app.oneshot(yes.into_request()).await.unwrap()).await.is_replayed());
    assert_eq!(count(&process.store.events()).await, 1);
}

#[derive(Deserialize)]
struct PutIn {
    cents: i64,
    then: u16,
}

/// Puts money in within the request's transaction, and then answers as it was told.
async fn purse_within(process: &super::place::Process) -> axum::Router {
    use annals::http::RequestWork;

    async fn put_in<W: annals::Work + 'static>(
        State(purses): State<Repository<Purse>>,
        request: IdempotentRequest,
        work: RequestWork<W>,
        Json(body): Json<PutIn>,
    ) -> StatusCode {
        let mut work = work.lock().await.unwrap();
        purses.execute(request.id(), &PurseCommand::PutIn(body.cents)).within(&mut *work).await.unwrap();
        StatusCode::from_u16(body.then).unwrap()
    }

    let layer = process.store.in_transactions(layer(process)).build().unwrap();
    let purses = Repository::<Purse>::new(&process.store.events());
    let route = match &process.store {
        super::place::Store::Sqlite(_) => post(put_in::<annals::SqliteWork>),
        #[cfg(feature = "postgres")]
        super::place::Store::Postgres(_) => post(put_in::<annals::PostgresWork>),
    };
    axum::Router::new().route("/v1/charges", route).layer(layer).with_state(purses)
}

async fn http_j08_a_refusal_comes_back_as_the_same_value(kind: Kind) {
    let (_place, store) = events(kind).await;
    let purses = Repository::<Purse>::new(&store);
    for is_replayed in [false, true, true] {
        let command = PurseCommand::TakeOut(7);
        match purses.execute(Id::natural("p"), &command).idempotency_key(key("j-8")).await {
            Err(ExecuteError::Rejected { rejection, replayed }) => {
                assert_eq!((rejection, replayed), (TooFew { missing: 7 }, is_replayed));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(count(&store).await, 0);
}

async fn http_j09_a_command_without_events_is_replayed(kind: Kind) {
    let (_place, store) = events(kind).await;
    let purses = Repository::<Purse>::new(&store);
    for is_replayed in [false, true] {
        let done = purses.execute(Id::natural("p"), &PurseCommand::Look).idempotency_key(key("j-9")).await.unwrap();
        assert_eq!((done.events(), done.replayed), (0, is_replayed));
        // What has happened since changes nothing.
        purses.execute(Id::natural("p"), &PurseCommand::PutIn(1)).await.unwrap();
    }
}

async fn http_j11_one_key_for_two_kinds_of_command_is_refused(kind: Kind) {
    let (_place, store) = events(kind).await;
    let purses = Repository::<Purse>::new(&store);
    purses.execute(Id::natural("p"), &PurseCommand::PutIn(5)).idempotency_key(key("j-11")).await.unwrap();
    let other = purses.execute(Id::natural("p"), &PurseCommand::TakeOut(5)).idempotency_key(key("j-11")).await;
    assert!(matches!(other, Err(ExecuteError::Store(Error::KeyReused { .. }))), "{other:?}");
    assert_eq!(count(&store).await, 1);
}

async fn http_j12_of_two_in_a_batch_the_second_sees_the_first(kind: Kind) {
    let (_place, store) = events(kind).await;
    let id = Uuid::now_v7();
    let keyed = append(id, &[1]).idempotency_key(key("j-12"));
    let answers = store.append(vec![keyed.clone(), append(id, &[2]), keyed]).await;
    let [first, other, second] = answers.try_into().unwrap();
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(other.is_ok() && !first.replayed && second.replayed);
    assert_eq!((first.position, first.first_sequence), (second.position, second.first_sequence));
    assert_eq!(count(&store).await, 2);
}

async fn http_j14_whoever_asks_is_told_what_was_done(kind: Kind) {
    let place = Place::new(kind).await;
    let process = place.process().await;
    let purses = Repository::<Purse>::new(&process.store.events());
    let report = {
        async |State(purses): State<Repository<Purse>>, request: IdempotentRequest| {
            let done = purses
                .execute(request.id(), &PurseCommand::PutIn(5))
                .idempotency_key(request.receipt_key())
                .fingerprint(request.fingerprint())
                .await
                .unwrap();
            let (attempt, replayed, version) = (request.attempt(), done.replayed, done.version);
            let status = if attempt == 1 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::CREATED };
            (status, Json(json!({ "attempt": attempt, "replayed": replayed, "version": version }))).into_response()
        }
    };
    let layer = layer(&process).lease(Duration::from_millis(150)).build().unwrap();
    let app = axum::Router::new().route("/v1/charges", post(report)).layer(layer).with_state(purses);
    let send = || async { Got::read(app.clone().oneshot(Ask::charge("j-14").into_request()).await.unwrap()).await };
    // The first attempt commits, and then its answer is lost.
    assert_eq!(send().await.json(), json!({ "attempt": 1, "replayed": false, "version": 1 }));
    let resumed = loop {
        let got = send().await;
        if got.status != 409 {
            break got;
        }
    };
    assert_eq!(resumed.json(), json!({ "attempt": 2, "replayed": true, "version": 1 }), "the effect happened once");
    assert!(!resumed.is_replayed());
    assert!(send().await.is_replayed());
    assert_eq!(count(&process.store.events()).await, 1);
}

async fn http_e15_a_rejection_is_typed_after_a_round_trip(kind: Kind) {
    let place = Place::new(kind).await;
    let command = PurseCommand::TakeOut(3);
    for _ in 0..2 {
        // Each time by a process that knows nothing of the others.
        let purses = Repository::<Purse>::new(&place.process().await.store.events());
        let refused = purses.execute(Id::natural("p"), &command).idempotency_key(key("e-15")).await.unwrap_err();
        assert_eq!(refused.rejection(), Some(&TooFew { missing: 3 }));
    }
}

async fn http_h13_an_expired_key_does_not_write_its_events_again(kind: Kind) {
    let (place, clock) = Place::with_clock(kind).await;
    let store = place.process().await.store.events();
    let keyed = append(Uuid::now_v7(), &[1]).expected(ExpectedVersion::New).idempotency_key(key("h-13"));
    let keyed = keyed.keep_receipt_for(Duration::from_secs(60));
    let first = store.append_one(keyed.clone()).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    let again = store.append_one(keyed).await.unwrap();
    assert!(again.replayed);
    assert_eq!((again.position, count(&store).await), (first.position, 1));
}
