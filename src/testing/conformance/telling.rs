//! Subscriptions under way, as the cases run them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

use super::{
    fixture::{Factory, Fixture, fresh, not_run},
    sample::{note, number, write},
};
use crate::{
    read::{BoxError, Subscription},
    store::{CheckpointStore, Error, Position, RecordedEvent},
};

/// Longer than anything may take here, short enough to call it lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) type Store = Arc<dyn CheckpointStore>;

/// A store with subscriptions; `None`, said aloud, where it has none.
pub(super) async fn subscribing(factory: &dyn Factory, case: &str) -> Option<(Box<dyn Fixture>, Store)> {
    let fixture = fresh(factory).await;
    match fixture.checkpoints() {
        Some(store) => Some((fixture, store)),
        None => {
            not_run(case, "the store keeps no checkpoints");
            None
        }
    }
}

/// A subscription that runs in a task of its own, and what it was told.
pub(super) struct Running {
    pub(super) told: mpsc::UnboundedReceiver<RecordedEvent>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(super) fn start(subscription: Subscription<Store>) -> Self {
        Self::failing(subscription, |_| Ok(()))
    }

    /// With a handler that says of each event whether it has failed.
    pub(super) fn failing(
        subscription: Subscription<Store>,
        mut judge: impl FnMut(&RecordedEvent) -> Result<(), BoxError> + Send + 'static,
    ) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let shutdown = async {
                // Dropped: it runs for ever.
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            subscription
                .run(shutdown, |event| {
                    let judged = judge(&event);
                    drop(tell.send(event));
                    async move { judged }
                })
                .await
        });
        Self { told, stop: Some(stop), task }
    }

    pub(super) async fn next(&mut self) -> RecordedEvent {
        match timeout(PATIENCE, self.told.recv()).await.expect("an event is told") {
            Some(event) => event,
            None => panic!("it has ended: {:?}", (&mut self.task).await),
        }
    }

    pub(super) async fn next_numbers(&mut self, events: usize) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(events);
        for _ in 0..events {
            numbers.push(number(&self.next().await));
        }
        numbers
    }

    /// Stops it as a shutdown would, and gives what it was told since.
    pub(super) async fn stop(mut self) -> Vec<RecordedEvent> {
        let _ = self.stop.take().expect("it is stopped once").send(());
        timeout(PATIENCE, self.task).await.expect("it stops").expect("it does not panic").expect("it ends well");
        let mut rest = Vec::new();
        while let Ok(event) = self.told.try_recv() {
            rest.push(event);
        }
        rest
    }

    /// Ends it as a crash would: whatever it is at.
    pub(super) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    /// What it ended in by itself.
    pub(super) async fn ended(self) -> Result<(), Error> {
        timeout(PATIENCE, self.task).await.expect("it ends by itself").expect("it does not panic")
    }
}

pub(super) fn named(store: &Store, name: &str) -> Subscription<Store> {
    Subscription::new(store, name).expect("the name is sound").lease(Duration::from_millis(500))
}

pub(super) async fn write_numbers(store: &Store, id: Uuid, numbers: impl IntoIterator<Item = u64>) -> Position {
    write(&**store, note(id, numbers)).await.position.expect("events have positions")
}

/// A handler that notes the numbers it is told.
pub(super) fn noting(
    told: &Mutex<Vec<u64>>,
    event: &RecordedEvent,
) -> impl Future<Output = Result<(), Error>> + Send + use<> {
    told.lock().unwrap().push(number(event));
    std::future::ready(Ok(()))
}
