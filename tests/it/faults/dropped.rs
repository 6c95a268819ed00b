//! Callers who go away: a future dropped at any of its await points.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use annals::{
    EventStoreExt as _, ExpectedVersion, IdempotencyKey, Repository, SqliteStore, StreamQuery, Transactional, Work as _,
};
use uuid::Uuid;

use super::{
    log_check::check_file,
    notes,
    tally::{Request, Tally, answer_line},
};

/// Polls a future so many times and then gives it up.
struct Impatient<F> {
    future: Option<Pin<Box<F>>>,
    polls: usize,
}

impl<F: Future> Future for Impatient<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls > 0 {
            self.polls -= 1;
            let future = self.future.as_mut().expect("polled after its end");
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if self.polls > 0 {
                return Poll::Pending;
            }
        }
        self.future = None;
        Poll::Ready(None)
    }
}

/// `None` where the future was dropped.
pub async fn within<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    Impatient { future: Some(Box::pin(future)), polls }.await
}

/// More polls than any of the calls below take.
const MANY: usize = 400;

/// Runs `attempt` with 0, 1, 2 … polls until it comes to its end a few times in a row.
pub async fn for_every_await_point<F: Future<Output = bool>>(least: usize, mut attempt: impl FnMut(usize) -> F) {
    let mut finished = 0;
    let mut dropped = 0;
    for polls in 0..MANY {
        if attempt(polls).await {
            finished += 1;
        } else {
            (finished, dropped) = (0, dropped + 1);
        }
        if finished == 5 {
            assert!(dropped >= least, "only {dropped} await points were met");
            return;
        }
    }
    panic!("the call did not end within {MANY} polls");
}

/// The writer is free and nothing is open on it.
pub async fn writer_is_usable<S: Transactional>(store: &S) {
    let id = Uuid::now_v7();
    let mut work = store.begin().await.unwrap();
    work.append(&notes(id, ExpectedVersion::New, 1, 1)).await.unwrap();
    drop(work);
    assert_eq!(store.collect_stream(&StreamQuery::of(id)).await.unwrap().len(), 0);
    let appended = store.append_one(notes(id, ExpectedVersion::New, 1, 1)).await.unwrap();
    assert!(!appended.replayed);
}

pub async fn dropped_appends<S: Transactional>(store: &S) {
    for expected in [ExpectedVersion::New, ExpectedVersion::Any] {
        // The answer can be there before it is waited for.
        for_every_await_point(1, |polls| async move {
            let append = notes(Uuid::now_v7(), expected, 7, 20);
            let ended = within(polls, store.append_one(append.clone())).await;
            let whole = StreamQuery::of(append.aggregate_id);
            let seen = store.collect_stream(&whole).await.unwrap().len();
            assert!(seen == 0 || seen == 7, "{seen} of 7 events are there after {polls} polls");
            let again = store.append_one(append.clone()).await.unwrap();
            assert_eq!((again.first_sequence, again.version), (1, 7));
            assert!(again.replayed || seen == 0, "events were there, and were written again");
            assert_eq!(store.collect_stream(&whole).await.unwrap().len(), 7);
            writer_is_usable(store).await;
            ended.is_some_and(|answer| !answer.unwrap().replayed && again.replayed)
        })
        .await;
    }
}

pub async fn dropped_commands<S: Transactional + Clone + 'static>(store: &S) {
    let tallies = &Repository::<Tally>::new(store);
    for_every_await_point(1, |polls| async move {
        let key = Uuid::now_v7().to_string();
        let request = Request::of(&key);
        let ended = within(polls, request.run(tallies)).await;
        let answer = answer_line(&request.run(tallies).await).unwrap();
        let again = request.run(tallies).await;
        assert_eq!(answer_line(&again).unwrap(), answer);
        if let Some(ended) = &ended {
            assert_eq!(answer_line(ended).unwrap(), answer);
        }
        let receipt = store.receipt(request.id.uuid(), &IdempotencyKey::new(&key).unwrap()).await.unwrap();
        assert!(receipt.is_some());
        ended.is_some()
    })
    .await;
    writer_is_usable(store).await;
}

async fn dropped_work(store: &SqliteStore) {
    for_every_await_point(1, |polls| async move {
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let ended = within(polls, async {
            let mut work = store.begin().await.unwrap();
            work.append(&notes(one, ExpectedVersion::New, 3, 20)).await.unwrap();
            sqlx::query("INSERT INTO own (id) VALUES (?)").bind(one).execute(work.connection()).await.unwrap();
            work.append(&notes(two, ExpectedVersion::New, 1, 20)).await.unwrap();
            work.commit().await.unwrap();
        })
        .await;
        // Whatever was under way has ended once the writer is free.
        let mut work = store.begin().await.unwrap();
        let own = sqlx::query("SELECT 1 FROM own WHERE id = ?").bind(one).fetch_all(work.connection()).await.unwrap();
        drop(work);
        let first = store.collect_stream(&StreamQuery::of(one)).await.unwrap().len();
        let second = store.collect_stream(&StreamQuery::of(two)).await.unwrap().len();
        let all = (own.len(), first, second);
        assert!(all == (0, 0, 0) || all == (1, 3, 1), "{all:?} after {polls} polls");
        assert!(ended.is_none() || all == (1, 3, 1));
        writer_is_usable(store).await;
        ended.is_some()
    })
    .await;
}

async fn own_table(store: &SqliteStore) {
    let mut work = store.begin().await.unwrap();
    sqlx::query("CREATE TABLE own (id BLOB)").execute(work.connection()).await.unwrap();
    work.commit().await.unwrap();
}

async fn all_in(store: &SqliteStore) {
    own_table(store).await;
    // More than once: where a call stands after n polls depends on the threads beneath it.
    for _ in 0..3 {
        dropped_appends(store).await;
        dropped_commands(store).await;
        dropped_work(store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_leaves_all_or_nothing_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::open(&path).await.unwrap();
    all_in(&store).await;
    check_file(&store, &path).await;
}

#[tokio::test]
async fn whoever_goes_away_leaves_all_or_nothing_on_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::open(&path).await.unwrap();
    all_in(&store).await;
    check_file(&store, &path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_leaves_all_or_nothing_in_memory() {
    all_in(&SqliteStore::open_in_memory().await.unwrap()).await;
}
