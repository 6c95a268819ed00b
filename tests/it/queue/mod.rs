//! The queues between callers and a database, on a database that the test holds by the hand.

mod by_hand;
mod loads;
mod one_at_a_time;
mod pool;
mod runtimes;
mod several;
mod under_way;

use std::sync::Arc;

use annals::{
    Append, Appended, Error, EventStore as _, EventStoreExt as _, Limits, NewEvent, StreamQuery, StreamRead,
    store::{Concurrency, Front},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use uuid::Uuid;

use self::by_hand::{Arrival, ByHand};

/// As many as a database at the other end of a wire may take.
const SEVERAL: Concurrency = Concurrency { writes: 4, loads: 2 };

struct Fixture {
    front: Arc<Front<ByHand>>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Lets through what was not let through by itself.
    gate: Arc<Semaphore>,
}

fn fixture(concurrency: Concurrency) -> Fixture {
    let (sender, arrivals) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let backend = ByHand::new(concurrency, sender, Arc::clone(&gate));
    Fixture { front: Arc::new(Front::new(backend, Limits::default())), arrivals, gate }
}

impl Fixture {
    fn spawn(&self, append: Append) -> JoinHandle<Result<Appended, Error>> {
        let front = Arc::clone(&self.front);
        tokio::spawn(async move { front.append_one(append).await })
    }

    fn spawn_load(&self, aggregate_id: Uuid) -> JoinHandle<Result<StreamRead, Error>> {
        let front = Arc::clone(&self.front);
        tokio::spawn(async move { front.read_stream(&StreamQuery::of(aggregate_id), &mut |_| Ok(())).await })
    }

    /// What reaches the database next.
    async fn arrival(&mut self) -> Arrival {
        self.arrivals.recv().await.unwrap()
    }

    /// The size of what reaches the database next; the gate is to let it through.
    async fn arrived(&mut self) -> usize {
        self.arrival().await.aggregates.len()
    }

    /// Lets everything through from now on.
    fn open(&self) {
        self.gate.add_permits(1_000_000);
    }

    /// The sizes of the batches that were written.
    fn batches(&self) -> Vec<usize> {
        self.front.backend().batches()
    }

    /// Nothing reaches the database, however often everybody has had a turn.
    async fn assert_nothing_arrives(&mut self) {
        settle().await;
        assert!(self.arrivals.try_recv().is_err(), "something went that should have waited");
    }
}

/// Gives every task of this thread as many turns as it needs to come to where it has to wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn append(event_type: &'static str, payload: &str) -> Append {
    append_to(Uuid::now_v7(), event_type, payload)
}

fn append_to(aggregate_id: Uuid, event_type: &'static str, payload: &str) -> Append {
    Append::new("thing", aggregate_id).event(NewEvent::new(event_type, payload).unwrap())
}
