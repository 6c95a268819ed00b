//! The points at which an attempt can be stopped: before and after each write and each call.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use annals::{
    Error, StepStore,
    store::{StepRecord, StepRun},
};
use async_trait::async_trait;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
};

/// How an attempt stops at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its process is killed.
    Killed,
    /// It is held up, and goes on when others have taken over.
    HeldUp,
}

/// The points of one attempt.
#[derive(Debug)]
pub struct Points {
    passed: AtomicU32,
    stop_at: Option<(u32, Stop)>,
    stopped: Notify,
    gate: Semaphore,
}

impl Points {
    pub fn stop_at(stop_at: Option<(u32, Stop)>) -> Arc<Self> {
        Arc::new(Self { passed: AtomicU32::new(0), stop_at, stopped: Notify::new(), gate: Semaphore::new(0) })
    }

    /// How many were passed.
    pub fn passed(&self) -> u32 {
        self.passed.load(Ordering::SeqCst)
    }

    pub async fn pass(&self) {
        tokio::task::yield_now().await;
        let number = self.passed.fetch_add(1, Ordering::SeqCst);
        match self.stop_at {
            Some((at, stop)) if at == number => {
                self.stopped.notify_one();
                match stop {
                    Stop::Killed => pending().await,
                    Stop::HeldUp => drop(self.gate.acquire().await.unwrap()),
                }
            }
            _ => {}
        }
    }
}

/// An attempt that was held up.
pub struct Zombie<T> {
    pub task: JoinHandle<T>,
    points: Arc<Points>,
}

impl<T> Zombie<T> {
    pub fn go_on(&self) {
        self.points.gate.add_permits(1);
    }
}

/// How an attempt came off.
pub enum Attempt<T> {
    Ended(T),
    Killed,
    HeldUp(Zombie<T>),
}

/// Runs an attempt until it ends or comes to its point.
pub async fn attempt<T: Send + 'static>(
    points: &Arc<Points>,
    work: impl Future<Output = T> + Send + 'static,
) -> Attempt<T> {
    let mut task = tokio::spawn(work);
    tokio::select! {
        biased;
        ended = &mut task => Attempt::Ended(ended.unwrap()),
        () = points.stopped.notified() => {
            if matches!(points.stop_at, Some((_, Stop::HeldUp))) {
                return Attempt::HeldUp(Zombie { task, points: Arc::clone(points) });
            }
            task.abort();
            assert!(task.await.err().unwrap().is_cancelled());
            Attempt::Killed
        }
    }
}

/// A store of steps with a point before and after each write, which loses some replies.
#[derive(Debug)]
pub struct WithPoints {
    pub inner: Arc<dyn StepStore>,
    pub points: Arc<Points>,
    /// Every so many-th write's reply is lost; 0: none.
    pub lost_reply_each: u32,
    pub writes: AtomicU32,
}

impl WithPoints {
    pub fn new(inner: &Arc<dyn StepStore>, points: &Arc<Points>) -> Self {
        Self { inner: Arc::clone(inner), points: Arc::clone(points), lost_reply_each: 0, writes: AtomicU32::new(0) }
    }
}

#[async_trait]
impl StepStore for WithPoints {
    async fn open_steps(&self, run: &StepRun) -> Result<Option<Vec<StepRecord>>, Error> {
        self.points.pass().await;
        let opened = self.inner.open_steps(run).await;
        self.points.pass().await;
        opened
    }

    async fn write_step(&self, run: &StepRun, step: &StepRecord) -> Result<Option<StepRecord>, Error> {
        self.points.pass().await;
        let written = self.inner.write_step(run, step).await?;
        self.points.pass().await;
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        if self.lost_reply_each > 0 && number.is_multiple_of(self.lost_reply_each) {
            return Err(Error::outcome_unknown(std::io::Error::other("the reply was lost")));
        }
        Ok(written)
    }
}
