//! Appends that the server cannot store.

use annals::{
    Append, Error, EventStore as _, EventStoreExt as _, ExpectedVersion, Fault, NewEvent, PostgresStore, StreamQuery,
};
use uuid::Uuid;

use crate::{
    faults::{fault_of, notes},
    postgres_server::Database,
};

/// The application's own trigger refuses what it does not like: an error that says nothing of the rest of the batch.
const TRIGGER: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON annals_events
        FOR EACH ROW WHEN (NEW.payload::text LIKE '%poison%') EXECUTE FUNCTION refuse()";

/// A row of the application's own that another event has brought already, for ever: no race that was lost.
const UNIQUE: &str = "
    CREATE TABLE own (id int PRIMARY KEY);
    INSERT INTO own VALUES (7);
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO own VALUES (7); RETURN NEW; END $$";

fn poisoned(id: Uuid, expected: ExpectedVersion) -> Append {
    Append::new("note", id).expected(expected).event(NewEvent::new("noted", "poison").unwrap())
}

async fn events(store: &PostgresStore, id: Uuid) -> usize {
    store.collect_stream(&StreamQuery::of(id)).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_cannot_be_stored_fails_alone() {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut operator = database.connection().await;
    for trigger in [TRIGGER, UNIQUE] {
        sqlx::raw_sql(trigger).execute(&mut operator).await.unwrap();
        the_others_are_written(&store).await;
    }
}

async fn the_others_are_written(store: &PostgresStore) {
    let (poor, chain) = (Uuid::now_v7(), Uuid::now_v7());
    let alone = store.append_one(poisoned(poor, ExpectedVersion::New)).await.unwrap_err();
    assert_eq!(fault_of(&alone), Some(Fault::Other));
    assert!(!alone.is_retryable() && !alone.is_outcome_unknown());

    let neighbour = || notes(Uuid::now_v7(), ExpectedVersion::New, 2, 10);
    let known = neighbour();
    store.append_one(known.clone()).await.unwrap();
    let batch = vec![
        neighbour(),
        poisoned(poor, ExpectedVersion::New),
        known,
        // In one group, each expecting what the one before it leaves.
        notes(chain, ExpectedVersion::New, 1, 10),
        poisoned(chain, ExpectedVersion::Exact(1)),
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
    assert_eq!((events(store, poor).await, events(store, chain).await), (0, 2));
}
