//! Sweeping away what has expired.

use std::{future::pending, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{patience::Pauses, telemetry};
use crate::store::{Error, Expiring, Retention};

/// Deletes what has expired, in batches.
///
/// Nobody who works beside it waits long. Expired rows change nothing but the size of their table: a key that has expired is
/// free, swept or not. Any number of sweepers may run, in any number of processes.
///
/// ```
/// # async fn example(store: impl annals::Retention + Clone + 'static) -> Result<(), annals::Error> {
/// use annals::Sweeper;
///
/// let shutdown = async { /* any future: a signal, a channel, a token */ };
/// Sweeper::new(&store).run(shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is run"]
pub struct Sweeper<S> {
    store: S,
    kinds: Vec<Expiring>,
    batch: u32,
    every: Duration,
    between: Duration,
    longest: Duration,
}

/// What one pass of a [`Sweeper`] came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many rows of each kind were deleted, in the order they were asked for.
    pub rows: Vec<(Expiring, u64)>,
    /// It ended because its time was over, or it was told to: there may be more.
    pub ended_early: bool,
    /// How long it took.
    pub took: Duration,
}

impl Swept {
    /// How many rows were deleted, of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rows.iter().map(|(_, rows)| rows).sum()
    }
}

/// The most rows of one batch: as many as a store takes.
const LARGEST_BATCH: u32 = 10_000;

/// The longest that can be set, a day: no clock overflows.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The pauses while the store fails.
const OUTAGE: Pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(60));

impl<S: Retention + Clone + 'static> Sweeper<S> {
    /// Makes a sweeper with the defaults. It sweeps all that expires.
    pub fn new(store: &S) -> Self {
        Self {
            store: store.clone(),
            kinds: Expiring::ALL.to_vec(),
            batch: 1_000,
            every: Duration::from_secs(60),
            between: Duration::from_millis(50),
            longest: Duration::from_secs(300),
        }
    }

    /// Sweeps these alone. Default: all.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Expiring>) -> Self {
        self.kinds.clear();
        for kind in kinds {
            if !self.kinds.contains(&kind) {
                self.kinds.push(kind);
            }
        }
        self
    }

    /// Deletes so many rows in one statement: 1 to 10,000. Default: 1,000.
    pub const fn batch(mut self, rows: u32) -> Self {
        self.batch = rows;
        self
    }

    /// The time between two passes: 10 milliseconds to a day. Default: 60 seconds.
    ///
    /// Lengthened by up to a half at random, as all pauses here: several sweepers do not come at once for long.
    pub const fn every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    /// The time between two batches, for others to work in.
    ///
    /// Up to a minute. Default: 50 milliseconds.
    pub const fn pause_between_batches(mut self, time: Duration) -> Self {
        self.between = time;
        self
    }

    /// Ends a pass after so long, up to a day. Default: 5 minutes.
    ///
    /// The next one goes on. No batch is begun after that. One is begun in any case.
    pub const fn longest_pass(mut self, time: Duration) -> Self {
        self.longest = time;
        self
    }

    /// Sweeps again and again, until `shutdown` is ready.
    ///
    /// That may be any future. The batch under way is finished.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the settings make no sense. Whatever the store said, where that does not pass by itself; what
    /// does, an outage, is waited out.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.check()?;
        let (stop, stopped) = watch::channel(false);
        match select(pin!(shutdown), pin!(self.run_until(stopped))).await {
            Either::Left(((), work)) => {
                stop.send_replace(true);
                work.await
            }
            Either::Right((ended, _)) => ended,
        }
    }

    /// Makes one pass: batch after batch until none is full, or its time is over.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the settings make no sense. A failed write: call again; what was swept before stays so.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        self.check()?;
        // Nobody tells this one to stop.
        let (_go_on, stopped) = watch::channel(false);
        self.pass(&stopped).await
    }

    async fn run_until(&self, stopped: watch::Receiver<bool>) -> Result<(), Error> {
        let mut outage = OUTAGE.begin();
        while !*stopped.borrow() {
            let pause = match self.pass(&stopped).await {
                Ok(_) => {
                    outage = OUTAGE.begin();
                    lengthened(self.every)
                }
                Err(error) if error.is_retryable() || error.is_outcome_unknown() => {
                    telemetry::sweeper_interrupted(&error);
                    outage.next().unwrap_or(OUTAGE.longest)
                }
                Err(error) => {
                    telemetry::sweeper_stopped(&error);
                    return Err(error);
                }
            };
            wait(&stopped, pause).await;
        }
        Ok(())
    }

    /// One batch of each kind in turn: one that has much does not keep the others waiting.
    async fn pass(&self, stopped: &watch::Receiver<bool>) -> Result<Swept, Error> {
        let start = Instant::now();
        let mut swept = Swept { rows: self.kinds.iter().map(|kind| (*kind, 0)).collect(), ..Swept::default() };
        let mut has_more = vec![true; self.kinds.len()];
        let mut is_first = true;
        'pass: while has_more.contains(&true) {
            for (place, has_more) in has_more.iter_mut().enumerate().filter(|(_, has_more)| **has_more) {
                if !std::mem::take(&mut is_first) {
                    wait(stopped, lengthened(self.between)).await;
                    if *stopped.borrow() || start.elapsed() >= self.longest {
                        swept.ended_early = true;
                        break 'pass;
                    }
                }
                let (kind, rows) = &mut swept.rows[place];
                let gone = self.store.sweep(*kind, self.batch).await?;
                telemetry::rows_swept(kind.as_str(), gone);
                *rows += gone;
                *has_more = gone >= u64::from(self.batch);
            }
        }
        swept.took = start.elapsed();
        telemetry::pass_swept(swept.total(), swept.took, swept.ended_early);
        Ok(swept)
    }

    fn check(&self) -> Result<(), Error> {
        if self.kinds.is_empty() {
            return Err(Error::invalid("a sweeper sweeps at least one kind of rows"));
        }
        if self.batch == 0 || self.batch > LARGEST_BATCH {
            return Err(Error::invalid(format!("a batch has 1 to {LARGEST_BATCH} rows, not {}", self.batch)));
        }
        if self.every < Duration::from_millis(10) || self.every > LONGEST {
            return Err(Error::invalid(format!("passes begin every 10 ms to every day, not every {:?}", self.every)));
        }
        if self.between > Duration::from_secs(60) {
            return Err(Error::invalid(format!(
                "between batches there is a minute at the most, not {:?}",
                self.between
            )));
        }
        if self.longest.is_zero() || self.longest > LONGEST {
            return Err(Error::invalid(format!(
                "a pass takes some time, and a day at the most, not {:?}",
                self.longest
            )));
        }
        Ok(())
    }
}

fn lengthened(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64() / 2.0)
}

/// Waits for so long, or until told to stop.
async fn wait(stopped: &watch::Receiver<bool>, pause: Duration) {
    let mut told = stopped.clone();
    let is_told = async {
        if told.wait_for(|stopped| *stopped).await.is_err() {
            // Nobody is left to tell.
            pending::<()>().await;
        }
    };
    // Which of the two it was, whoever goes on sees.
    let _ = timeout(pause, is_told).await;
}
