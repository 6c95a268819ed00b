//! Commands and the application's own rows in one commit.

use annals::{Aggregate, ExecuteError, Id, IdempotencyKey, Repository, SqliteStore, Transactional as _, Work as _};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

#[derive(Debug, Default)]
struct Seats(u32);

#[derive(Debug, Serialize)]
struct Book(u32);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Booked(u32),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{0} seats are left")]
struct TooFew(u32);

impl Aggregate for Seats {
    const TYPE: &'static str = "seats";
    type Command = Book;
    type Event = Event;
    type Rejection = TooFew;

    fn decide(&self, Book(seats): &Book) -> Result<Vec<Event>, TooFew> {
        let left = 3 - self.0;
        if *seats <= left { Ok(vec![Event::Booked(*seats)]) } else { Err(TooFew(left)) }
    }

    fn evolve(&mut self, Event::Booked(seats): &Event) {
        self.0 += seats;
    }
}

async fn store_with_tickets() -> SqliteStore {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let mut work = store.begin().await.unwrap();
    sqlx::query("CREATE TABLE tickets (seats INTEGER NOT NULL)").execute(work.connection()).await.unwrap();
    work.commit().await.unwrap();
    store
}

async fn tickets(store: &SqliteStore) -> i64 {
    let mut work = store.begin().await.unwrap();
    let row = sqlx::query("SELECT count(*) FROM tickets").fetch_one(work.connection()).await.unwrap();
    row.get(0)
}

async fn book(store: &SqliteStore, seats: u32, key: &str, commit: bool) -> Result<bool, ExecuteError<TooFew>> {
    let repository = Repository::<Seats>::new(store);
    let mut work = store.begin().await?;
    let key = IdempotencyKey::new(key)?;
    let done = repository.execute(Id::natural("hall"), &Book(seats)).idempotency_key(key).within(&mut work).await;
    if let Ok(done) = &done
        && !done.replayed
    {
        let insert = sqlx::query("INSERT INTO tickets VALUES (?)").bind(seats);
        insert.execute(work.connection()).await.unwrap();
    }
    if commit {
        work.commit().await?;
    }
    done.map(|done| done.replayed)
}

#[tokio::test]
async fn a_command_and_own_rows_commit_together_and_once() {
    let store = store_with_tickets().await;
    assert!(!book(&store, 2, "a", true).await.unwrap());
    assert!(book(&store, 2, "a", true).await.unwrap(), "the retry is answered from the receipt");
    assert_eq!(tickets(&store).await, 1);
}

#[tokio::test]
async fn a_dropped_transaction_leaves_neither_events_nor_rows_nor_receipt() {
    let store = store_with_tickets().await;
    assert!(!book(&store, 2, "a", false).await.unwrap());
    assert_eq!(tickets(&store).await, 0);
    assert!(!Repository::<Seats>::new(&store).load(Id::natural("hall")).await.unwrap().exists());
    assert!(!book(&store, 2, "a", true).await.unwrap(), "the first attempt left nothing");
}

#[tokio::test]
async fn a_rejection_is_kept_with_the_transaction_it_was_made_in() {
    let store = store_with_tickets().await;
    for (commit, replayed) in [(false, false), (true, false), (true, true)] {
        let no = book(&store, 4, "b", commit).await.unwrap_err();
        let ExecuteError::Rejected { rejection, replayed: was } = no else { panic!("{no}") };
        assert_eq!((rejection, was), (TooFew(3), replayed));
    }
}

#[tokio::test]
async fn a_transaction_sees_its_own_events() {
    let store = store_with_tickets().await;
    let repository = Repository::<Seats>::new(&store);
    let id = Id::natural("hall");
    let mut work = store.begin().await.unwrap();
    repository.execute(id, &Book(2)).within(&mut work).await.unwrap();
    let no = repository.execute(id, &Book(2)).within(&mut work).await.unwrap_err();
    assert_eq!(no.rejection(), Some(&TooFew(1)));
    let done = repository.execute(id, &Book(1)).within(&mut work).await.unwrap();
    assert_eq!((done.version, done.events()), (2, 1));
    work.commit().await.unwrap();
    assert_eq!(repository.load(id).await.unwrap().state.0, 3);
}

#[tokio::test]
async fn a_deferred_constraint_that_does_not_hold_is_no_unknown_outcome() {
    let store = store_with_tickets().await;
    let mut work = store.begin().await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE rows (row INTEGER PRIMARY KEY);
         CREATE TABLE places (row INTEGER REFERENCES rows (row) DEFERRABLE INITIALLY DEFERRED)",
    )
    .execute(work.connection())
    .await
    .unwrap();
    work.commit().await.unwrap();
    let mut work = store.begin().await.unwrap();
    sqlx::query("INSERT INTO places VALUES (7)").execute(work.connection()).await.unwrap();
    let refused = work.commit().await.unwrap_err();
    assert!(matches!(refused, annals::Error::Backend { .. }), "{refused}");
    assert!(!book(&store, 1, "after", true).await.unwrap());
}
