//! The commit queue between callers and a database, on a database that the test holds by the hand.

use std::sync::{Arc, Mutex};

use annals::{
    Append, Appended, Error, EventStore, EventStoreExt as _, Fault, IdempotencyKey, Limits, LogQuery, LogRead,
    NewEvent, Position, Receipt, ReceiptOutcome, StreamQuery, StreamRead,
    store::{Backend, Front, LoadQuery, LoadVisitor, SnapshotRef, Visit},
};
use async_trait::async_trait;
use chrono::Utc;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

/// Records the size of each batch, writes one when it is allowed to, and refuses events called "poison".
#[derive(Debug)]
struct Gated {
    batches: Mutex<Vec<usize>>,
    arrived: mpsc::UnboundedSender<usize>,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Backend for Gated {
    async fn write(&self, batch: &[Append]) -> Vec<Result<Appended, Error>> {
        self.arrived.send(batch.len()).unwrap();
        self.gate.acquire().await.unwrap().forget();
        self.batches.lock().unwrap().push(batch.len());
        let is_poisoned = batch.iter().any(|append| append.events.iter().any(|event| event.event_type() == "poison"));
        let answer = |_| match is_poisoned {
            true => Err(Error::Backend { fault: Fault::Other, detail: None, source: None }),
            false => Ok(Appended {
                first_sequence: 1,
                version: 1,
                position: Some(Position::new(1)),
                recorded_at: Utc::now(),
                outcome: ReceiptOutcome::Accepted,
                replayed: false,
            }),
        };
        batch.iter().map(answer).collect()
    }

    async fn read_stream(&self, _: &StreamQuery, _: Visit<'_>) -> Result<StreamRead, Error> {
        unreachable!("these tests only write")
    }

    async fn load(&self, _: &LoadQuery, _: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        unreachable!("these tests only write")
    }

    async fn save_snapshot(&self, _: SnapshotRef<'_>) -> Result<(), Error> {
        unreachable!("these tests only write")
    }

    async fn read_log(&self, _: &LogQuery, _: Visit<'_>) -> Result<LogRead, Error> {
        unreachable!("these tests only write")
    }

    async fn receipt(&self, _: Uuid, _: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        unreachable!("these tests only write")
    }

    async fn head(&self) -> Result<Position, Error> {
        unreachable!("these tests only write")
    }
}

struct Fixture {
    front: Arc<Front<Gated>>,
    arrived: mpsc::UnboundedReceiver<usize>,
    gate: Arc<Semaphore>,
}

fn fixture(open: usize) -> Fixture {
    let (sender, arrived) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(open));
    let backend = Gated { batches: Mutex::default(), arrived: sender, gate: Arc::clone(&gate) };
    Fixture { front: Arc::new(Front::new(backend, Limits::default())), arrived, gate }
}

impl Fixture {
    fn spawn(&self, append: Append) -> tokio::task::JoinHandle<Result<Appended, Error>> {
        let front = Arc::clone(&self.front);
        tokio::spawn(async move { front.append_one(append).await })
    }

    fn batches(&self) -> Vec<usize> {
        self.front.backend().batches.lock().unwrap().clone()
    }
}

fn append(event_type: &'static str, payload: &str) -> Append {
    Append::new("thing", Uuid::now_v7()).event(NewEvent::new(event_type, payload).unwrap())
}

#[tokio::test]
async fn what_waits_while_a_batch_is_written_goes_as_one_commit() {
    let mut at = fixture(0);
    let first = at.spawn(append("made", ""));
    assert_eq!(at.arrived.recv().await, Some(1));
    let rest: Vec<_> = (0..9).map(|_| at.spawn(append("made", ""))).collect();
    // The nine have queued when each of their tasks has run once.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    at.gate.add_permits(2);
    first.await.unwrap().unwrap();
    for waiting in rest {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(at.batches(), [1, 9]);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_with_it() {
    let mut at = fixture(0);
    let abandoned = at.spawn(append("made", ""));
    assert_eq!(at.arrived.recv().await, Some(1));
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    at.gate.add_permits(2);
    at.front.append_one(append("made", "")).await.unwrap();
    assert_eq!(at.batches(), [1, 1], "the abandoned append was written too");
}

#[tokio::test]
async fn an_append_that_cannot_be_stored_does_not_fail_its_neighbours() {
    let mut at = fixture(0);
    let first = at.spawn(append("made", ""));
    assert_eq!(at.arrived.recv().await, Some(1));
    let rest = ["made", "poison", "made"].map(|event_type| at.spawn(append(event_type, "")));
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    at.gate.add_permits(100);
    first.await.unwrap().unwrap();
    let mut failed = Vec::new();
    for waiting in rest {
        failed.push(waiting.await.unwrap().is_err());
    }
    assert_eq!(failed, [false, true, false]);
    assert_eq!(at.batches(), [1, 3, 1, 1, 1]);
}

#[tokio::test]
async fn a_commit_is_bounded_in_appends_and_bytes() {
    let at = fixture(1000);
    let small: Vec<_> = (0..600).map(|_| append("made", "")).collect();
    assert!(at.front.append(small).await.iter().all(Result::is_ok));
    assert_eq!(at.batches(), [512, 88]);

    let large = "x".repeat(1_000_000);
    let heavy: Vec<_> = (0..10).map(|_| append("made", &large)).collect();
    assert!(at.front.append(heavy).await.iter().all(Result::is_ok));
    assert_eq!(at.batches()[2..], [4, 4, 2]);
}

#[tokio::test]
async fn one_batch_larger_than_the_queue_passes_through_it() {
    let at = fixture(usize::MAX >> 4);
    let large = "x".repeat(1_000_000);
    let heavy: Vec<_> = (0..150).map(|_| append("made", &large)).collect();
    assert!(at.front.append(heavy).await.iter().all(Result::is_ok));
    assert_eq!(at.batches().iter().sum::<usize>(), 150);
}

#[tokio::test]
async fn close_answers_what_was_taken_and_takes_no_more() {
    let mut at = fixture(0);
    let taken = at.spawn(append("made", ""));
    assert_eq!(at.arrived.recv().await, Some(1));
    let front = Arc::clone(&at.front);
    let closing = tokio::spawn(async move { front.close().await });
    tokio::task::yield_now().await;
    assert!(!closing.is_finished(), "a batch is still being written");
    at.gate.add_permits(1);
    closing.await.unwrap();
    taken.await.unwrap().unwrap();
    let refused = at.front.append_one(append("made", "")).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    at.front.close().await;
}

#[test]
fn a_runtime_that_ends_leaves_no_caller_hanging() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ending, staying) = (runtime(), runtime());
    let mut at = fixture(0);
    let (written, queued) = staying.block_on(async {
        let first = Arc::clone(&at.front);
        // The batch is begun on the runtime that ends.
        let begun = ending.spawn(async move { first.append_one(append("made", "")).await });
        assert_eq!(at.arrived.recv().await, Some(1));
        let queued = at.spawn(append("made", ""));
        // Once it is queued the queue has less room than before; the runner is held at the gate.
        tokio::task::yield_now().await;
        (begun, queued)
    });
    ending.shutdown_background();
    staying.block_on(async {
        assert!(written.await.unwrap_err().is_cancelled());
        // Never sent, or sent by a runner of its own after the other had ended: an answer in any case.
        at.gate.add_permits(100);
        match queued.await.unwrap() {
            Ok(_) => {}
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        at.front.append_one(append("made", "")).await.unwrap();
    });
}

#[test]
fn without_a_runtime_an_append_is_refused() {
    let at = fixture(1);
    let mut pending = Box::pin(at.front.append_one(append("made", "")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = pending.as_mut().poll(&mut context) else { panic!("it waits") };
    assert!(answer.unwrap_err().is_retryable());
}
