//! What the cases append, and how they look at what was stored.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use tokio::{sync::Barrier, task::JoinSet};
use uuid::Uuid;

use crate::store::{
    Append, Appended, Error, EventStore, EventStoreExt as _, ExpectedVersion, IdempotencyKey, LogQuery, NewEvent,
    RecordedEvent, StreamQuery,
};

/// The type of the aggregates that hold [`noted`] events.
pub(super) const NOTEBOOK: &str = "notebook";

/// Events of type `noted`, each with its number for a payload.
pub(super) fn noted(numbers: impl IntoIterator<Item = u64>) -> Vec<NewEvent> {
    numbers.into_iter().map(|number| NewEvent::new("noted", &number).unwrap()).collect()
}

/// An append of [`noted`] events at any version.
pub(super) fn note(id: Uuid, numbers: impl IntoIterator<Item = u64>) -> Append {
    Append::new(NOTEBOOK, id).events(noted(numbers))
}

pub(super) fn key(key: &str) -> IdempotencyKey {
    IdempotencyKey::new(key).unwrap()
}

/// Writes an append that has to be written now.
pub(super) async fn write(store: &dyn EventStore, append: Append) -> Appended {
    let appended = store.append_one(append).await.expect("the append is sound, and has to be written");
    assert!(!appended.replayed, "the append is new, yet it was answered as a retry: {appended:?}");
    appended
}

/// The events of an aggregate.
pub(super) async fn stream(store: &dyn EventStore, id: Uuid) -> Vec<RecordedEvent> {
    store.collect_stream(&StreamQuery::of(id)).await.expect("a stream can be read")
}

/// The whole log.
pub(super) async fn log(store: &dyn EventStore) -> Vec<RecordedEvent> {
    store.collect_log(&LogQuery::all()).await.expect("the log can be read")
}

/// The number that a [`noted`] event holds.
pub(super) fn number(event: &RecordedEvent) -> u64 {
    event.payload().parse().expect("a noted event holds a number")
}

pub(super) fn numbers(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(number).collect()
}

/// Makes sure that an aggregate holds these numbers, in sequences without holes and at rising positions.
pub(super) async fn assert_stream(store: &dyn EventStore, id: Uuid, expected: impl IntoIterator<Item = u64>) {
    let events = stream(store, id).await;
    assert_eq!(numbers(&events), expected.into_iter().collect::<Vec<_>>(), "the numbers stored in {id}");
    assert_dense(&events);
    let read = store.read_stream(&StreamQuery::of(id), &mut |_| Ok(())).await.expect("a stream can be read");
    assert_eq!(read.version, events.len() as u64, "the version of {id} and its number of events");
}

/// Makes sure that sequences are 1, 2, 3 … and positions rise.
#[track_caller]
pub(super) fn assert_dense(events: &[RecordedEvent]) {
    let sequences: Vec<_> = events.iter().map(RecordedEvent::sequence).collect();
    assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<_>>(), "sequences are 1, 2, 3 … without holes");
    assert_rising(events);
}

/// Makes sure that each position is greater than the one before.
#[track_caller]
pub(super) fn assert_rising(events: &[RecordedEvent]) {
    for pair in events.windows(2) {
        assert!(pair[0].position() < pair[1].position(), "positions rise: {:?}, then {:?}", pair[0], pair[1]);
    }
}

/// Makes sure that a retry got the first answer.
#[track_caller]
pub(super) fn assert_replay(again: Result<Appended, Error>, first: &Appended) {
    let again = again.expect("a retry gets the first answer");
    assert_eq!(again, Appended { replayed: true, ..first.clone() }, "a retry gets the first answer, and is told so");
}

#[track_caller]
pub(super) fn assert_conflict(answer: Result<Appended, Error>, wanted: ExpectedVersion, found: u64) {
    match answer {
        Err(Error::Conflict { expected, actual, .. }) => {
            assert_eq!((expected, actual), (wanted, found), "the conflict's expected and actual version");
        }
        other => panic!("expected a conflict ({wanted}, found {found}), got {}", shown(&other)),
    }
}

#[track_caller]
pub(super) fn assert_key_reused(answer: Result<Appended, Error>) {
    match answer {
        Err(Error::KeyReused { .. }) => {}
        other => panic!("expected the key to be refused, got {}", shown(&other)),
    }
}

/// An answer, short enough to be read.
fn shown(answer: &Result<Appended, Error>) -> String {
    format!("{answer:?}").chars().take(400).collect()
}

/// Makes sure that a call was refused, and that the message names what is wrong.
#[track_caller]
pub(super) fn assert_invalid(answer: Result<Appended, Error>, naming: &str) {
    match answer {
        Err(error @ Error::Invalid { .. }) => {
            assert!(error.to_string().contains(naming), "the refusal names {naming:?}: {error}");
        }
        other => panic!("expected a refusal that names {naming:?}, got {}", shown(&other)),
    }
}

/// Runs tasks that all begin at the same moment, and gathers their results in the order of the tasks.
pub(super) async fn at_once<T, W, P>(tasks: usize, work: W) -> Vec<T>
where
    T: Send + 'static,
    W: Fn(usize) -> P,
    P: Future<Output = T> + Send + 'static,
{
    let (mut running, start) = (JoinSet::new(), Arc::new(Barrier::new(tasks)));
    for task in 0..tasks {
        let (start, work) = (Arc::clone(&start), work(task));
        running.spawn(async move {
            start.wait().await;
            (task, work.await)
        });
    }
    let mut results = running.join_all().await;
    results.sort_by_key(|(task, _)| *task);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Sends appends one by one, all at the same moment.
pub(super) async fn send_at_once(store: &Arc<dyn EventStore>, appends: Vec<Append>) -> Vec<Result<Appended, Error>> {
    at_once(appends.len(), |task| {
        let (store, append) = (Arc::clone(store), appends[task].clone());
        async move { store.append_one(append).await }
    })
    .await
}

/// Runs a future up to the n-th time it has to wait, then drops it.
pub(super) async fn until_wait<T>(future: impl Future<Output = T>, waits: u64) -> Option<T> {
    let (mut future, mut waited) = (pin!(future), 0);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            waited += 1;
            if waited >= waits { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}
