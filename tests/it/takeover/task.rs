//! What a child does: it runs a consumer until its input ends, and says how it gets on.

use std::{io::BufRead as _, path::Path, sync::Arc, time::Duration};

use annals::{Attempts, BoxError, Error, Projection, ProjectionStore, Projector, RecordedEvent, Subscription, Work};
use tokio::sync::watch;

use super::{BATCH_EVENTS, deliveries::Deliveries, place::with_store, tallies::Tallies};
use crate::faults::child;

/// Where a runner can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// In the handler of a subscription, which has had its effect.
    Handler,
    /// Before the transaction of a batch.
    Effect,
    /// In the transaction of a batch, which has written.
    Transaction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Subscription,
    Projector,
}

impl Kind {
    /// The name of the consumer.
    pub const fn consumer(self) -> &'static str {
        match self {
            Self::Subscription => "deliveries",
            Self::Projector => "tallies",
        }
    }
}

/// What a child is told.
#[derive(Debug, Clone)]
pub struct Task {
    pub kind: Kind,
    pub lease: Duration,
    /// Holds there with the event of this number, counted from 1 in this process, until it is told to go on.
    pub hold: Option<(Point, u64)>,
    /// The runner's name.
    pub name: String,
}

impl Task {
    pub fn new(kind: Kind, lease: Duration, name: &str) -> Self {
        Self { kind, lease, hold: None, name: name.to_owned() }
    }

    pub fn hold(mut self, point: Point, event: u64) -> Self {
        self.hold = Some((point, event));
        self
    }

    /// As one word of the environment has it.
    pub fn text(&self) -> String {
        let (point, event) = self.hold.unwrap_or((Point::Handler, 0));
        format!("{:?},{},{point:?},{event},{}", self.kind, self.lease.as_millis(), self.name)
    }

    fn read(text: &str) -> Self {
        let mut words = text.split(',');
        let mut next = || words.next().unwrap();
        let kind = if next() == "Projector" { Kind::Projector } else { Kind::Subscription };
        let lease = Duration::from_millis(next().parse().unwrap());
        let point = match next() {
            "Effect" => Point::Effect,
            "Transaction" => Point::Transaction,
            _ => Point::Handler,
        };
        let event: u64 = next().parse().unwrap();
        Self { kind, lease, hold: (event > 0).then_some((point, event)), name: next().to_owned() }
    }

    /// Runs the consumer until the shutdown, with the tables of the same place. Each event is tried once.
    pub async fn run<S>(
        &self,
        store: &S,
        place: &Path,
        teller: Teller,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Error>
    where
        S: ProjectionStore,
        Tallies: Projection<<S::Work as Work>::Connection>,
    {
        match self.kind {
            Kind::Subscription => {
                let deliveries = Deliveries::connect(place).await;
                let subscription = Subscription::new(store, self.kind.consumer())?
                    .batch_events(BATCH_EVENTS)
                    .attempts(Attempts::once());
                let handler = |event: RecordedEvent| {
                    let (deliveries, teller) = (deliveries.clone(), teller.clone());
                    async move {
                        deliveries.tell(&event).await?;
                        teller.is_at(Point::Handler).await;
                        Ok::<(), BoxError>(())
                    }
                };
                subscription.owner(&*self.name).lease(self.lease).run(shutdown, handler).await
            }
            Kind::Projector => {
                let projector =
                    Projector::new(store, Tallies(teller))?.batch_events(BATCH_EVENTS).attempts(Attempts::once());
                projector.owner(&*self.name).lease(self.lease).run(shutdown).await
            }
        }
    }
}

/// Says that an event was told, and holds the runner where it is to be held.
#[derive(Clone)]
pub struct Teller {
    says: Arc<dyn Fn(&str) + Send + Sync>,
    hold: Option<(Point, u64)>,
    /// How often the runner has been at the point it is held at, or at those it tells of.
    passed: watch::Sender<u64>,
    go_on: watch::Receiver<bool>,
}

impl Teller {
    pub fn new(
        hold: Option<(Point, u64)>,
        go_on: watch::Receiver<bool>,
        says: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self { says: Arc::new(says), hold, passed: watch::channel(0).0, go_on }
    }

    /// One that tells nobody, and holds nobody.
    pub fn silent() -> Self {
        Self::new(None, watch::channel(true).1, |_| ())
    }

    pub async fn is_at(&self, point: Point) {
        let held_at = self.hold.map(|(point, _)| point);
        if point != Point::Effect {
            (self.says)("told");
        }
        if held_at != Some(point) {
            return;
        }
        self.passed.send_modify(|passed| *passed += 1);
        if self.hold == Some((point, *self.passed.borrow())) {
            (self.says)("holding");
            self.go_on.clone().wait_for(|goes_on| *goes_on).await.unwrap();
        }
    }
}

#[test]
fn child_runs_a_consumer_until_its_input_ends() {
    let Some(place) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(run_child(&place));
}

async fn run_child(place: &Path) {
    let task = Task::read(&child::name());
    let (go_on, goes_on) = watch::channel(false);
    let (end, mut ends) = watch::channel(false);
    std::thread::spawn(move || {
        // The only line there is; then the end of the input is the end of the runner.
        for _ in std::io::stdin().lock().lines() {
            go_on.send_replace(true);
        }
        end.send_replace(true);
    });
    let shutdown = async move { drop(ends.wait_for(|is_over| *is_over).await) };
    let teller = Teller::new(task.hold, goes_on, child::say);
    with_store!(place, store => {
        child::say("open");
        task.run(&store, place, teller, shutdown).await.unwrap();
        child::say("ended");
        store.close().await;
    })
}
