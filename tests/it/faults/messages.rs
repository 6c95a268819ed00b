//! What errors say, and what they keep to themselves.

use std::{error::Error as _, sync::Arc, time::Duration};

use annals::{
    AggregateName, Append, Error, EventStore as _, EventStoreExt as _, ExecuteError, ExpectedVersion, Fault, Id,
    IdempotencyKey, Metadata, NewEvent, Repository, SqliteStore, Upcasters,
};
use serde::Serialize;
use serde_json::json;
use sqlx::Connection as _;
use uuid::Uuid;

use super::{
    raw,
    tally::{Tally, TallyCommand, TallyEvent},
};

const SECRET: &str = "hunter2";

/// All that a careful reporter would print: the message and the messages of its sources.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        messages.push(error.to_string());
        source = error.source();
    }
    messages
}

/// The house rules for a message.
fn check(error: &Error) {
    let messages = chain(error);
    let own = &messages[0];
    assert!(!own.is_empty() && !own.ends_with('.') && !own.ends_with('\n'), "{own:?}");
    let first = own.chars().next().unwrap();
    assert!(!first.is_uppercase(), "{own:?} begins with a capital");
    for source in &messages[1..] {
        assert!(!own.contains(source.as_str()), "{own:?} repeats its source {source:?}");
    }
    for message in &messages {
        assert!(!message.contains(SECRET), "{message:?} tells a secret");
    }
    let debug = format!("{error:?}");
    assert!(!debug.contains(SECRET), "{debug} tells a secret");
}

#[test]
fn every_kind_of_error_speaks_by_the_house_rules() {
    let source = || std::io::Error::other("the disk is on fire");
    let aggregate = AggregateName::new("order", Uuid::nil());
    let mut errors = vec![
        Error::Conflict { aggregate: aggregate.clone(), expected: ExpectedVersion::New, actual: 3 },
        Error::KeyReused { aggregate },
        Error::contention(source()),
        Error::unavailable(source()),
        Error::outcome_unknown(source()),
        Error::codec("an event cannot be written or read", source()),
        Error::invalid("the call was wrong"),
        Error::corrupt("event 3 is missing"),
        Error::Schema { message: "the tables are strange".into(), source: Some(Arc::new(source())) },
    ];
    let faults = [Fault::Corrupt, Fault::Full, Fault::Io, Fault::ReadOnly, Fault::Other];
    errors.extend(faults.map(|fault| Error::backend(fault, source())));
    for error in &errors {
        check(error);
    }
    for retryable in [&errors[2], &errors[3]] {
        assert!(retryable.is_retryable() && !retryable.is_conflict() && !retryable.is_outcome_unknown());
    }
    assert!(errors[0].is_conflict() && errors[4].is_outcome_unknown());
}

#[derive(Debug, Serialize)]
struct Twice(String);

/// Secrets in payloads, metadata, keys and rejections, and a store that trips over each of them.
#[tokio::test(flavor = "multi_thread")]
async fn no_error_tells_a_payload_a_key_or_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::options().busy_timeout(Duration::from_millis(300)).open(&path).await.unwrap();
    let tallies = Repository::<Tally>::new(&store);
    let key = || IdempotencyKey::new(SECRET).unwrap();
    let mut errors = Vec::new();

    // Payloads that do not fit the code, each in a way of its own.
    for payload in [
        json!({ "by": SECRET }),
        json!(SECRET),
        json!({ SECRET: 1 }),
        json!([SECRET]),
        json!({ "by": { SECRET: SECRET } }),
        json!({ "by": -1, "note": SECRET }),
    ] {
        let id = Id::<Tally>::new();
        let append = Append::to(id)
            .event(NewEvent::new("added", &payload).unwrap())
            .metadata(Metadata::new().actor(SECRET))
            .idempotency_key(key());
        store.append_one(append.clone()).await.unwrap();
        errors.push(tallies.load(id).await.unwrap_err());
        // The same key with another request.
        let other = append.clone().event(NewEvent::new("added", SECRET).unwrap());
        errors.push(store.append_one(other).await.unwrap_err());
        // The same command id with another payload.
        let mut reused = append.clone();
        reused.key = None;
        reused.expected = ExpectedVersion::New;
        reused.events = Arc::new(vec![NewEvent::new("added", &json!([SECRET, 1])).unwrap()]);
        errors.push(store.append_one(reused).await.unwrap_err());
        errors.push(store.append_one(append.clone().keep_receipt_for(Duration::ZERO)).await.unwrap_err());
        let conflict = Append { key: None, command_id: Uuid::now_v7(), expected: ExpectedVersion::Exact(9), ..append };
        errors.push(store.append_one(conflict).await.unwrap_err());
    }
    // A rejection that does not fit the code.
    for rejection in [format!("{{\"sum\":\"{SECRET}\"}}"), format!("{{\"{SECRET}\":1}}"), format!("\"{SECRET}\"")] {
        let id = Id::<Tally>::new();
        store.append_one(Append::to(id).idempotency_key(key()).rejected(rejection.into())).await.unwrap();
        errors.push(tallies.outcome(id, &key()).await.unwrap_err());
    }
    // Busy, refused and closed.
    let append =
        || Append::new("tally", Uuid::now_v7()).idempotency_key(key()).event(NewEvent::new("added", SECRET).unwrap());
    let mut other = raw(&path).await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    errors.push(store.append_one(append()).await.unwrap_err());
    held.rollback().await.unwrap();
    sqlx::query("CREATE TRIGGER no BEFORE INSERT ON annals_events BEGIN SELECT RAISE(ABORT, 'no'); END")
        .execute(&mut other)
        .await
        .unwrap();
    errors.push(store.append_one(append()).await.unwrap_err());
    sqlx::query("DROP TABLE annals_receipts").execute(&mut other).await.unwrap();
    errors.push(store.append_one(append()).await.unwrap_err());
    errors.push(store.receipt(Uuid::nil(), &key()).await.unwrap_err());
    store.close().await;
    errors.push(store.append_one(append()).await.unwrap_err());

    errors.push(IdempotencyKey::new(format!("{SECRET} with a blank")).unwrap_err());
    errors.push(IdempotencyKey::new(SECRET.repeat(60)).unwrap_err());
    errors.push(NewEvent::from_json("added", format!("{{\"{SECRET}\"")).unwrap_err());
    errors.push(Metadata::from_json(&format!("{{\"actor\":[\"{SECRET}\"]}}")).unwrap_err());
    errors.push(Error::from(annals::domain::encode_event(&Twice(SECRET.to_owned())).unwrap_err()));
    errors.push(SqliteStore::connect(&format!("postgres://me:{SECRET}@host/db")).await.unwrap_err());
    errors.push(SqliteStore::connect(&format!("sqlite:x.db?password={SECRET}")).await.unwrap_err());
    let upcasters = Upcasters::none().upcast("added", |value| Err(format!("cannot lift {value}").into()));
    let stored = annals::domain::decode_event::<TallyEvent>(&upcasters, "added", 1, "{\"by\":1}");
    // What a user's own upcaster says is the user's.
    assert!(chain(&stored.unwrap_err()).iter().any(|message| message.contains("cannot lift")));

    assert!(errors.len() > 40, "{}", errors.len());
    errors.iter().for_each(check);
}

#[tokio::test]
async fn a_rejection_speaks_for_itself() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let tallies = Repository::<Tally>::new(&store);
    let error = tallies.execute(Id::new(), &TallyCommand::Refuse).await.unwrap_err();
    assert_eq!(error.to_string(), "refused at 0");
    assert!(error.source().is_none());
    let failed = ExecuteError::<super::tally::Refused>::Store(Error::unavailable(std::io::Error::other("away")));
    let expected =
        ["the command was not carried out", "the database could not be reached, nothing was written", "away"];
    assert_eq!(chain(&failed), expected, "whoever is told of it finds the store's own error beneath");
}
