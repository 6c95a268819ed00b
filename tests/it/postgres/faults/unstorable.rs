//! Appends that the server cannot store.

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, NewEvent, PostgresStore, StreamQuery,
};
use uuid::Uuid;

use crate::{
    faults::{fault_of, notes},
    postgres_server::Database,
};

/// Nested beyond what the server's stack takes: it refuses with an SQLSTATE of class 54.
fn too_deep(id: Uuid, expected: ExpectedVersion) -> Append {
    let payload = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    Append::new("note", id).expected(expected).event(NewEvent::from_json("noted", payload).unwrap())
}

async fn events(store: &PostgresStore, id: Uuid) -> usize {
    store.collect_stream(&StreamQuery::of(id)).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_cannot_be_stored_fails_alone() {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let (deep, chain) = (Uuid::now_v7(), Uuid::now_v7());
    let alone = store.append_one(too_deep(deep, ExpectedVersion::New)).await.unwrap_err();
    assert_eq!(fault_of(&alone), Some(Fault::Other));
    assert!(!alone.is_retryable() && !alone.is_outcome_unknown());

    let neighbour = || notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10);
    let known = neighbour();
    store.append_one(known.clone()).await.unwrap();
    let batch = vec![
        neighbour(),
        too_deep(deep, ExpectedVersion::New),
        known,
        // In one group, each expecting what the one before it leaves.
        notes(chain, ExpectedVersion::New, 1, 10),
        too_deep(chain, ExpectedVersion::Exact(1)),
        notes(chain, ExpectedVersion::Exact(2), 1, 10),
        // Of the same aggregate, for another statement.
        notes(chain, ExpectedVersion::Exact(1), 1, 10),
        neighbour(),
    ];
    let answers = store.append(batch).await;
    for at in [0, 3, 6, 7] {
        assert!(answers[at].as_ref().is_ok_and(|appended| !appended.replayed), "{at}: {answers:?}");
    }
    assert!(answers[2].as_ref().is_ok_and(|appended| appended.replayed), "{answers:?}");
    for at in [1, 4] {
        assert_eq!(fault_of(answers[at].as_ref().unwrap_err()), Some(Fault::Other), "{at}: {answers:?}");
    }
    assert!(answers[5].as_ref().is_err_and(Error::is_conflict), "{answers:?}");
    assert_eq!((events(&store, deep).await, events(&store, chain).await), (0, 2));
}
