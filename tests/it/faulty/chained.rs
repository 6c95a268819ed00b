//! Commands that were decided on top of another that is still on its way, and what becomes of them where that fails.

use std::sync::Arc;

use annals::{
    Aggregate, Append, Appended, Error, EventStore, EventStoreExt as _, Id, LogQuery, LogRead, Position, Receipt,
    Repository, SqliteStore, StreamQuery, StreamRead,
    store::{LoadQuery, LoadVisitor, SnapshotRef, Visit},
    testing::Faulty,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::{attempts, key, memory};

/// A dial that is set to a value, and doubled.
#[derive(Debug, Default)]
struct Dial(u64);

#[derive(Debug, Serialize)]
enum Turn {
    /// To a value that was looked up, and is not what the client asked for.
    To(u64),
    Double,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Turned {
    To(u64),
    Doubled { from: u64 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("no")]
struct No;

impl Aggregate for Dial {
    const TYPE: &'static str = "dial";
    type Command = Turn;
    type Event = Turned;
    type Rejection = No;

    fn decide(&self, command: &Turn) -> Result<Vec<Turned>, No> {
        Ok(vec![match command {
            Turn::To(value) => Turned::To(*value),
            Turn::Double => Turned::Doubled { from: self.0 },
        }])
    }

    fn evolve(&mut self, event: &Turned) {
        match event {
            Turned::To(value) => self.0 = *value,
            // What was decided on another state would be seen here.
            Turned::Doubled { from } => self.0 = from * 2,
        }
    }
}

/// Holds appends back until it lets them through, in the order in which they came.
#[derive(Debug, Clone)]
struct Gated {
    store: SqliteStore,
    arrived: mpsc::UnboundedSender<()>,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl EventStore for Gated {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, Error>> {
        self.arrived.send(()).unwrap();
        self.gate.acquire().await.unwrap().forget();
        self.store.append(batch).await
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        self.store.read_stream(query, visit).await
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        self.store.load(query, visitor).await
    }

    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error> {
        self.store.save_snapshot(snapshot).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        self.store.read_log(query, visit).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &annals::IdempotencyKey) -> Result<Option<Receipt>, Error> {
        self.store.receipt(aggregate_id, key).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.store.head().await
    }

    async fn wait_for(&self, after: Position) -> Result<Position, Error> {
        self.store.wait_for(after).await
    }
}

#[tokio::test]
async fn what_was_decided_on_an_event_is_not_written_after_another_of_the_same_request() {
    let store = memory().await;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let gated = Gated { store: store.clone(), arrived, gate: Arc::new(Semaphore::new(1)) };
    let here = Repository::<Dial>::new(&gated).retry(attempts(9)).cached(1);
    let elsewhere = Repository::<Dial>::new(&store);
    let id = Id::natural("dial");
    here.execute(id, &Turn::To(1)).await.unwrap();
    arrivals.recv().await.unwrap();
    // One request, for which each process looks a value up by itself; here another command is decided behind it.
    let set = tokio::spawn({
        let here = here.clone();
        async move { here.execute(id, &Turn::To(5)).idempotency_key(key(1)).fingerprint_of("to the price").await }
    });
    arrivals.recv().await.unwrap();
    let double = tokio::spawn({
        let here = here.clone();
        async move { here.execute(id, &Turn::Double).await }
    });
    arrivals.recv().await.unwrap();
    // Elsewhere it is carried out first.
    elsewhere.execute(id, &Turn::To(6)).idempotency_key(key(1)).fingerprint_of("to the price").await.unwrap();
    gated.gate.add_permits(9);
    assert!(set.await.unwrap().unwrap().replayed);
    assert_eq!(double.await.unwrap().unwrap().version, 3);
    let events = store.collect_log(&LogQuery::all()).await.unwrap();
    let payloads: Vec<_> = events.iter().map(|event| event.payload().to_owned()).collect();
    assert_eq!(payloads, ["1", "6", "{\"from\":6}"]);
}

/// How many appends have arrived since the last time.
fn count(arrivals: &mut mpsc::UnboundedReceiver<()>) -> usize {
    std::iter::from_fn(|| arrivals.try_recv().ok()).count()
}

#[tokio::test]
async fn what_is_kept_after_an_answer_of_any_kind_is_what_the_database_has() {
    let store = memory().await;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let gated = Gated { store: store.clone(), arrived, gate: Arc::new(Semaphore::new(99)) };
    let faulty = Faulty::new(gated, 1);
    let elsewhere = Repository::<Dial>::new(&store);
    let here = || Repository::<Dial>::new(&faulty).retry(attempts(9)).cached(1);
    let id = Id::natural("dial");
    let keyed = Turn::To(5);
    elsewhere.execute(id, &Turn::To(1)).await.unwrap();
    elsewhere.execute(id, &keyed).idempotency_key(key(1)).await.unwrap();

    // Answered from a receipt, without reading the history: the next command reads it, and is written at once.
    let dials = here();
    assert!(dials.execute(id, &keyed).idempotency_key(key(1)).await.unwrap().replayed);
    assert_eq!(dials.execute(id, &Turn::Double).await.unwrap().version, 3);
    assert_eq!(count(&mut arrivals), 1);
    // A reply was lost: what was written is the command's own, and the next goes right behind it.
    faulty.lose_next_reply();
    let done = dials.execute(id, &Turn::Double).await.unwrap();
    assert_eq!((done.version, done.replayed), (4, false));
    assert_eq!(count(&mut arrivals), 2);
    assert_eq!(dials.execute(id, &Turn::Double).await.unwrap().version, 5);
    assert_eq!(count(&mut arrivals), 1);
    // Another process has written: one conflict, and what is new is read.
    elsewhere.execute(id, &Turn::To(7)).await.unwrap();
    assert_eq!(dials.execute(id, &Turn::Double).await.unwrap().version, 7);
    assert_eq!(count(&mut arrivals), 2);
    assert_eq!(elsewhere.load(id).await.unwrap().state.0, 14);
}

#[tokio::test]
async fn commands_behind_one_that_is_lost_or_late_are_decided_again() {
    type Fault = fn(&Faulty<Gated>);
    let faults: [Fault; 4] = [Faulty::lose_next_request, Faulty::delay_next_write, Faulty::lose_next_reply, |faulty| {
        faulty.fail_next(Error::Contention { source: None })
    }];
    for fault in faults {
        for gives_up in [false, true] {
            let store = memory().await;
            let (arrived, _arrivals) = mpsc::unbounded_channel();
            let gated = Gated { store: store.clone(), arrived, gate: Arc::new(Semaphore::new(0)) };
            let faulty = Faulty::new(gated.clone(), 1);
            let dials = Repository::<Dial>::new(&faulty).retry(attempts(999)).cached(1);
            let id = Id::natural("dial");
            gated.gate.add_permits(1);
            dials.execute(id, &Turn::To(1)).await.unwrap();
            // Three on their way at once, of which the first meets a fault, for good or not.
            fault(&faulty);
            let first = dials.clone().retry(if gives_up { attempts(1) } else { attempts(999) });
            let first = tokio::spawn(async move { first.execute(id, &Turn::To(10)).await });
            tokio::task::yield_now().await;
            let behind: Vec<_> = (0..2)
                .map(|_| {
                    let dials = dials.clone();
                    tokio::spawn(async move { dials.execute(id, &Turn::Double).await })
                })
                .collect();
            tokio::task::yield_now().await;
            gated.gate.add_permits(9_999);
            let first = first.await.unwrap();
            assert_eq!(first.is_err(), gives_up, "{first:?}");
            for behind in behind {
                behind.await.unwrap().unwrap();
            }
            faulty.flush().await;
            // Whatever was written was decided on what was there.
            let (mut state, mut events) = (0, 0);
            for event in store.collect_log(&LogQuery::all()).await.unwrap() {
                let event: Turned = event.decode(&annals::Upcasters::none()).unwrap();
                let is_on_state = !matches!(event, Turned::Doubled { from } if from != state);
                assert!(is_on_state, "{event:?} was decided on another state than {state}");
                state = match event {
                    Turned::To(value) => value,
                    Turned::Doubled { from } => from * 2,
                };
                events += 1;
            }
            let unknown = u64::from(first.is_err());
            assert!((4 - unknown..=4).contains(&events), "{events} events");
            assert_eq!(dials.load(id).await.unwrap().state.0, state);
        }
    }
}
