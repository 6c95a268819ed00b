//! Being told to stop.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::sync::watch;

/// Goes up once, and is seen by all who look.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

/// Puts a [`Stop`] up.
#[derive(Debug)]
pub(super) struct Stopper(watch::Sender<bool>);

pub(super) fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    pub(super) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    pub(super) fn is_up(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is up; for ever, where nobody is left to put it up.
    pub(super) async fn up(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|is_up| *is_up).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs a future until it is up; `None`: it came first.
    pub(super) async fn unless<T>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        match select(pin!(self.up()), pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}
