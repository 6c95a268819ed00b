//! A database that does what the test lets it do, and checks what it is asked.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use annals::{
    Append, Appended, Error, Fault, IdempotencyKey, LogQuery, LogRead, Position, Receipt, ReceiptOutcome, StreamQuery,
    StreamRead,
    store::{Backend, Concurrency, LoadQuery, LoadVisitor, Page, PageQuery, SnapshotRef, Visit},
};
use async_trait::async_trait;
use chrono::Utc;
use futures_util::future::{Either, select};
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

/// The version that a stream read by itself is said to have.
pub(super) const BY_ITSELF: u64 = 1;

/// The version that a stream read with others is said to have.
pub(super) const WITH_OTHERS: u64 = 2;

/// Something that reached the database and waits to be let through.
pub(super) struct Arrival {
    pub(super) aggregates: Vec<Uuid>,
    go: oneshot::Sender<()>,
}

impl Arrival {
    pub(super) fn let_through(self) {
        self.go.send(()).unwrap();
    }
}

#[derive(Debug)]
pub(super) struct ByHand {
    concurrency: Concurrency,
    arrivals: mpsc::UnboundedSender<Arrival>,
    gate: Arc<Semaphore>,
    writing: Mutex<Writing>,
    /// The connections, where there are fewer than batches and loads.
    pub(super) connections: Semaphore,
    /// Streams that do not fit into a page.
    pub(super) long: Mutex<HashSet<Uuid>>,
    /// Streams that fail whoever reads them in a batch.
    pub(super) unreadable: Mutex<HashSet<Uuid>>,
    pub(super) is_down: AtomicBool,
    /// How long a batch takes at the least.
    pub(super) takes: Mutex<Duration>,
}

#[derive(Debug, Default)]
struct Writing {
    batches: Vec<usize>,
    written: Vec<Append>,
    /// The aggregates of batches in flight.
    in_flight: HashMap<Uuid, usize>,
    batches_in_flight: usize,
    loads_in_flight: usize,
}

impl ByHand {
    pub(super) fn new(
        concurrency: Concurrency,
        arrivals: mpsc::UnboundedSender<Arrival>,
        gate: Arc<Semaphore>,
    ) -> Self {
        Self {
            concurrency,
            arrivals,
            gate,
            writing: Mutex::default(),
            connections: Semaphore::new(1_000),
            long: Mutex::default(),
            unreadable: Mutex::default(),
            is_down: AtomicBool::new(false),
            takes: Mutex::default(),
        }
    }

    pub(super) fn batches(&self) -> Vec<usize> {
        self.writing.lock().unwrap().batches.clone()
    }

    /// The payloads written to an aggregate, in their order.
    pub(super) fn written_to(&self, aggregate_id: Uuid) -> Vec<String> {
        let writing = self.writing.lock().unwrap();
        let of_it = writing.written.iter().filter(|append| append.aggregate_id == aggregate_id);
        of_it.flat_map(|append| append.events.iter().map(|event| event.payload().to_owned())).collect()
    }

    pub(super) fn written(&self) -> usize {
        self.writing.lock().unwrap().written.len()
    }

    /// Tells the test, and waits for the test or the gate.
    async fn arrive(&self, aggregates: Vec<Uuid>) {
        let (go, gone) = oneshot::channel();
        // Nobody listens any more: then nobody lets it through either, but the gate.
        drop(self.arrivals.send(Arrival { aggregates, go }));
        let gate = std::pin::pin!(self.gate.acquire());
        match select(gone, gate).await {
            Either::Left((Ok(()), _)) => {}
            Either::Left((Err(_), gate)) => gate.await.unwrap().forget(),
            Either::Right((permit, _)) => permit.unwrap().forget(),
        }
    }

    fn answer(&self, batch: &[Append]) -> Vec<Result<Appended, Error>> {
        let is_poisoned = batch.iter().any(|append| append.events.iter().any(|event| event.event_type() == "poison"));
        let mut writing = self.writing.lock().unwrap();
        writing.batches.push(batch.len());
        if is_poisoned {
            return batch.iter().map(|_| Err(refused())).collect();
        }
        writing.written.extend_from_slice(batch);
        let position = writing.written.len() as u64;
        let appended = Appended {
            first_sequence: 1,
            version: 1,
            position: Some(Position::new(position)),
            recorded_at: Utc::now(),
            outcome: ReceiptOutcome::Accepted,
            replayed: false,
        };
        batch.iter().map(|_| Ok(appended.clone())).collect()
    }
}

fn refused() -> Error {
    Error::Backend { fault: Fault::Other, detail: None, source: None }
}

/// Keeps a batch registered while it is in flight, also where it is dropped half-way.
struct InFlight<'b>(&'b ByHand, Vec<Uuid>);

impl<'b> InFlight<'b> {
    fn batch(backend: &'b ByHand, batch: &[Append]) -> Self {
        let aggregates: HashSet<Uuid> = batch.iter().map(|append| append.aggregate_id).collect();
        let mut writing = backend.writing.lock().unwrap();
        for id in &aggregates {
            let in_flight = writing.in_flight.entry(*id).or_default();
            *in_flight += 1;
            assert_eq!(*in_flight, 1, "an aggregate is in two batches at once");
        }
        writing.batches_in_flight += 1;
        assert!(writing.batches_in_flight <= backend.concurrency.writes, "more batches than connections");
        drop(writing);
        Self(backend, aggregates.into_iter().collect())
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut writing = self.0.writing.lock().unwrap();
        writing.batches_in_flight -= 1;
        for id in &self.1 {
            writing.in_flight.remove(id);
        }
    }
}

#[derive(Debug)]
struct OnePage {
    is_whole: bool,
}

impl Page for OnePage {
    fn visit(&self, _: &mut dyn LoadVisitor) -> Result<Option<StreamRead>, Error> {
        Ok(self.is_whole.then_some(StreamRead { version: WITH_OTHERS, receipt: None }))
    }
}

#[async_trait]
impl Backend for ByHand {
    fn concurrency(&self) -> Concurrency {
        self.concurrency
    }

    async fn load_pages(&self, queries: &[PageQuery]) -> Vec<Result<Box<dyn Page>, Error>> {
        let _connection = self.connections.acquire().await.unwrap();
        {
            let mut writing = self.writing.lock().unwrap();
            writing.loads_in_flight += 1;
            assert!(writing.loads_in_flight <= self.concurrency.loads, "more batches of loads than connections");
        }
        self.arrive(queries.iter().map(|query| query.aggregate_id).collect()).await;
        self.writing.lock().unwrap().loads_in_flight -= 1;
        if self.is_down.load(Ordering::Relaxed) {
            return queries.iter().map(|_| Err(Error::Unavailable { source: None })).collect();
        }
        let (long, unreadable) = (self.long.lock().unwrap(), self.unreadable.lock().unwrap());
        if queries.iter().any(|query| unreadable.contains(&query.aggregate_id)) {
            return queries.iter().map(|_| Err(refused())).collect();
        }
        let page = |query: &PageQuery| -> Box<dyn Page> {
            Box::new(OnePage { is_whole: !long.contains(&query.aggregate_id) })
        };
        queries.iter().map(|query| Ok(page(query))).collect()
    }

    async fn write(&self, batch: &[Append]) -> Vec<Result<Appended, Error>> {
        let _connection = self.connections.acquire().await.unwrap();
        let _in_flight = InFlight::batch(self, batch);
        self.arrive(batch.iter().map(|append| append.aggregate_id).collect()).await;
        let (started, takes) = (Instant::now(), *self.takes.lock().unwrap());
        while started.elapsed() < takes {
            tokio::task::yield_now().await;
        }
        self.answer(batch)
    }

    async fn read_stream(&self, query: &StreamQuery, _: Visit<'_>) -> Result<StreamRead, Error> {
        let _connection = self.connections.acquire().await.unwrap();
        self.arrive(vec![query.aggregate_id]).await;
        if self.unreadable.lock().unwrap().contains(&query.aggregate_id) {
            return Err(refused());
        }
        Ok(StreamRead { version: BY_ITSELF, receipt: None })
    }

    async fn load(&self, query: &LoadQuery, _: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        let _connection = self.connections.acquire().await.unwrap();
        self.arrive(vec![query.aggregate_id]).await;
        Ok(StreamRead { version: BY_ITSELF, receipt: None })
    }

    async fn save_snapshot(&self, _: SnapshotRef<'_>) -> Result<(), Error> {
        unreachable!("these tests keep no snapshots")
    }

    async fn read_log(&self, _: &LogQuery, _: Visit<'_>) -> Result<LogRead, Error> {
        unreachable!("these tests read no log")
    }

    async fn receipt(&self, _: Uuid, _: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        unreachable!("these tests ask for no receipts")
    }

    async fn head(&self) -> Result<Position, Error> {
        Ok(Position::new(self.writing.lock().unwrap().written.len() as u64))
    }
}
