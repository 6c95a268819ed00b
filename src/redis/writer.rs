//! Writes behind: what Redis is to hold or to forget, in the background and within bounds.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{
    breaker::Breaker,
    entry,
    link::{Encoded, Link},
    options::RedisOptions,
    telemetry::{self, Outcome},
};
use crate::store::FinishedResponse;

/// How many answers wait, and how many bytes of them.
const WAITING: usize = 1_024;
const WAITING_BYTES: usize = 16 << 20;
/// How many go at once.
const BATCH: usize = 64;
/// The longest one batch takes.
const LONGEST_BATCH: Duration = Duration::from_secs(2);
/// How many keys are remembered that Redis has not forgotten yet.
const OWED: usize = 4_096;
/// How soon what is owed is tried again.
const AGAIN: Duration = Duration::from_millis(250);
const NAME: &str = "storing answers";

/// An answer that the database has committed.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) name: Arc<str>,
    pub(super) finished: Arc<FinishedResponse>,
    /// When, or before, the database counted what is left of its time.
    pub(super) as_of: Instant,
}

#[derive(Debug)]
enum Job {
    Fill(Fill, OwnedSemaphorePermit),
    /// Something is owed.
    Wake,
    /// Say when all before it is done with.
    Tell(oneshot::Sender<()>),
}

/// Takes what is to be written. Never waits for Redis.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    bytes: Arc<Semaphore>,
    owed: Arc<Owed>,
    largest: usize,
}

/// Keys whose answers are to go from Redis and may be there still.
#[derive(Debug, Default)]
pub(super) struct Owed(Mutex<HashSet<Arc<str>>>);

impl Owed {
    fn add(&self, name: &Arc<str>) {
        let mut owed = self.owed();
        if owed.len() < OWED {
            owed.insert(Arc::clone(name));
        } else {
            telemetry::removal_forgotten();
        }
    }

    /// Whether an answer in Redis does not count.
    pub(super) fn has(&self, name: &str) -> bool {
        self.owed().contains(name)
    }

    fn some(&self) -> Vec<Arc<str>> {
        self.owed().iter().take(BATCH).map(Arc::clone).collect()
    }

    fn paid(&self, names: &[Arc<str>]) {
        let mut owed = self.owed();
        for name in names {
            owed.remove(name);
        }
    }

    fn owed(&self) -> std::sync::MutexGuard<'_, HashSet<Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the task that writes. It ends with the last of its clones.
    pub(super) fn start(link: Arc<Link>, options: &RedisOptions) -> Self {
        let (jobs, received) = mpsc::channel(WAITING);
        let writer = Self {
            jobs,
            bytes: Arc::new(Semaphore::new(WAITING_BYTES)),
            owed: Arc::default(),
            largest: options.largest_body_bytes,
        };
        let breaker = Breaker::new(options.failures, options.pause);
        let written = Written { link, breaker, owed: Arc::clone(&writer.owed), longest_kept: options.longest_kept };
        tokio::spawn(written.run(received));
        writer
    }

    /// Has an answer stored, if there is room for it.
    pub(super) fn fill(&self, fill: Fill) {
        let size = entry::size(&fill.finished.response);
        // Nothing of what was given up: it may be revived.
        if fill.finished.is_dead || size > self.largest {
            return telemetry::count(Outcome::Refused, 1);
        }
        let permits = u32::try_from(size + 256).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.bytes).try_acquire_many_owned(permits).ok();
        if taken.and_then(|permit| self.jobs.try_send(Job::Fill(fill, permit)).ok()).is_none() {
            telemetry::count(Outcome::Refused, 1);
        }
    }

    /// Has an answer removed. Until it is, this process does not count it.
    pub(super) fn remove(&self, name: &Arc<str>) {
        self.owed.add(name);
        // Where the queue is full the task is awake.
        let _ = self.jobs.try_send(Job::Wake);
    }

    /// Waits until what was given before is written, or given up.
    pub(super) async fn drained(&self) {
        let (teller, told) = oneshot::channel();
        if self.jobs.send(Job::Tell(teller)).await.is_ok() {
            let _ = told.await;
        }
    }

    pub(super) fn owed(&self) -> &Owed {
        &self.owed
    }
}

/// What the task has.
#[derive(Debug)]
struct Written {
    link: Arc<Link>,
    breaker: Breaker,
    owed: Arc<Owed>,
    longest_kept: Duration,
}

impl Written {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            // What is owed is tried again also where nothing comes.
            let patience = if self.owed.some().is_empty() { Duration::MAX } else { AGAIN };
            if let Ok(0) = timeout(patience, jobs.recv_many(&mut batch, BATCH)).await {
                return;
            }
            self.pay().await;
            let (mut fills, mut permits, mut told) = (Vec::new(), Vec::new(), Vec::new());
            for job in batch.drain(..) {
                match job {
                    Job::Fill(fill, permit) => {
                        fills.push(fill);
                        permits.push(permit);
                    }
                    Job::Wake => {}
                    Job::Tell(teller) => told.push(teller),
                }
            }
            self.fill(fills).await;
            for teller in told {
                // Whoever asked may be gone.
                let _ = teller.send(());
            }
        }
    }

    /// Removes some of what is owed.
    async fn pay(&self) {
        let owed = self.owed.some();
        if !owed.is_empty() && self.bounded(self.link.remove(&owed)).await.is_some() {
            self.owed.paid(&owed);
        }
    }

    async fn fill(&self, fills: Vec<Fill>) {
        if fills.is_empty() {
            return;
        }
        let count = fills.len() as u64;
        let stored = self.bounded(self.store(fills)).await.unwrap_or_default();
        let filled = stored.iter().filter(|is_stored| **is_stored).count() as u64;
        telemetry::count(Outcome::Filled, filled);
        telemetry::count(Outcome::Refused, count - filled);
    }

    async fn store(&self, fills: Vec<Fill>) -> ::redis::RedisResult<Vec<bool>> {
        let time_us = self.link.time().await?;
        let now = Instant::now();
        let encoded: Vec<Encoded> = fills
            .into_iter()
            .filter(|fill| !self.owed.has(&fill.name))
            .map(|fill| {
                // Redis's clock stood here or later when the database counted: so the entry never ends after the row.
                let as_of_us = time_us.saturating_sub(micros(now.saturating_duration_since(fill.as_of)));
                let left = fill.finished.left.min(self.longest_kept);
                let expires_at_ms = as_of_us.saturating_add(micros(left)) / 1_000;
                let bytes = entry::encode(&fill.name, &fill.finished, expires_at_ms);
                Encoded { name: fill.name, bytes, as_of_ms: as_of_us / 1_000, expires_at_ms }
            })
            .collect();
        if encoded.is_empty() {
            return Ok(Vec::new());
        }
        self.link.store(&encoded).await
    }

    /// Asks Redis, if it is not left alone; within a bound.
    async fn bounded<T>(&self, work: impl Future<Output = ::redis::RedisResult<T>> + Send) -> Option<T> {
        let permit = self.breaker.permit(Instant::now())?;
        let reason = match timeout(LONGEST_BATCH, work).await {
            Ok(Ok(done)) => {
                if permit.answered() {
                    telemetry::back(NAME);
                }
                return Some(done);
            }
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => "no answer in time".to_owned(),
        };
        if permit.failed(Instant::now()) {
            telemetry::left_alone(NAME, &reason);
        }
        // After a fail-over the old connection may lead to one that can only be read.
        self.link.renew();
        None
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
