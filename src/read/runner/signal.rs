//! Flags that are waited for, and tasks that end with whoever started them.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::{sync::watch, task::JoinHandle};

/// Goes up once, and is seen by all who look.
#[derive(Debug, Clone)]
pub(crate) struct Signal(watch::Receiver<bool>);

/// Puts a [`Signal`] up.
#[derive(Debug)]
pub(crate) struct Raise(watch::Sender<bool>);

pub(crate) fn signal() -> (Raise, Signal) {
    let (sender, receiver) = watch::channel(false);
    (Raise(sender), Signal(receiver))
}

impl Raise {
    pub(crate) fn raise(&self) {
        self.0.send_replace(true);
    }
}

impl Signal {
    pub(crate) fn is_up(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is up; for ever, where nobody is left to put it up.
    pub(crate) async fn up(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|is_up| *is_up).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs a future until the signal is up; `None`: it came first.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        match select(pin!(self.up()), pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}

/// A task that is ended when it is dropped.
#[derive(Debug)]
pub(in crate::read) struct Task(JoinHandle<()>);

impl Task {
    pub(in crate::read) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
