//! Finishing requests whose clients have not come back.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use backon::ExponentialBackoff;
use futures_util::{
    FutureExt as _,
    future::{Either, select},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{patience::Pauses, telemetry};
use crate::store::{AbandonedRequest, Error, ResponseStore, ScopedKey};

/// Carries an abandoned request out.
///
/// Whoever knows how requests are carried out implements this.
#[async_trait]
pub trait Resume: fmt::Debug + Send + Sync {
    /// Claims the request as a client that comes back would, and carries it out.
    ///
    /// The claim is what keeps it from being run twice: by two completers, or by one and its client.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being carried out: it is tried again, later each time.
    async fn resume(&self, request: AbandonedRequest) -> Result<Resumed, Error>;
}

/// Says what became of an abandoned request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resumed {
    /// It has its answer now.
    Finished,
    /// Somebody else has it, or had: a client that came back, or another completer.
    Elsewhere,
    /// It was begun again, and its outcome is still not known.
    ///
    /// It is taken up again when its lease has lapsed, later each time.
    Unfinished,
    /// It was begun too often, and was given up.
    GivenUp,
}

impl Resumed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Elsewhere => "elsewhere",
            Self::Unfinished => "unfinished",
            Self::GivenUp => "given_up",
        }
    }
}

/// What one pass of a [`Completer`] came to, in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Finished {
    /// Taken up without an error, whatever came of it.
    pub resumed: u64,
    /// Failed: they are tried again, later each time.
    pub failed: u64,
    /// Found and not tried.
    ///
    /// They have failed or stayed unfinished not long ago, or the completer was told to stop.
    pub left: u64,
}

/// Finishes requests whose process has died and whose clients have not come back.
///
/// It needs requests that were stored with their claim. Any number of completers may run, in any number of processes.
///
/// A request that cannot be taken up, or stays unfinished, is tried again after a pause that grows from 10 seconds to 10
/// minutes, so it neither keeps a completer busy nor stands in the way of others. How often it is begun is bounded by its
/// claim, where beginning it uses up one of its attempts; where it does not, the pauses alone are the bound.
pub struct Completer {
    store: Arc<dyn ResponseStore>,
    resume: Arc<dyn Resume>,
    lapsed_for: Duration,
    poll: Duration,
    limit: u32,
    concurrency: usize,
    longest: Duration,
    set_aside: Mutex<HashMap<ScopedKey, SetAside>>,
}

impl fmt::Debug for Completer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completer").field("store", &self.store).field("resume", &self.resume).finish_non_exhaustive()
    }
}

/// A request that has failed or stayed unfinished, and from when on it is tried again.
struct SetAside {
    from: Instant,
    pauses: ExponentialBackoff,
}

/// The pauses of a request that is set aside.
const SET_ASIDE: Pauses = Pauses::new(Duration::from_secs(10), Duration::from_secs(600));

/// How many requests that are set aside are remembered; also the most that the store lists at once.
const MOST_SET_ASIDE: usize = 1_000;

/// The pauses while the store fails.
const OUTAGE: Pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(60));

impl Completer {
    /// Makes a completer with the defaults.
    pub fn new(store: Arc<dyn ResponseStore>, resume: Arc<dyn Resume>) -> Self {
        Self {
            store,
            resume,
            lapsed_for: Duration::from_secs(60),
            poll: Duration::from_secs(30),
            limit: 100,
            concurrency: 4,
            longest: Duration::from_secs(15 * 60),
            set_aside: Mutex::default(),
        }
    }

    /// How long ago the lease has to have lapsed. Default: 60 s.
    ///
    /// So long the client may come back by itself.
    #[must_use]
    pub const fn lapsed_for(mut self, time: Duration) -> Self {
        self.lapsed_for = time;
        self
    }

    /// The time between two passes, lengthened by up to a half at random.
    ///
    /// At least 10 ms. Default: 30 s.
    #[must_use]
    pub const fn poll(mut self, every: Duration) -> Self {
        self.poll = every;
        self
    }

    /// How many requests a pass takes up at the most: 1 to 1,000. Default: 100.
    #[must_use]
    pub const fn limit(mut self, requests: u32) -> Self {
        self.limit = requests;
        self
    }

    /// How many requests are carried out at once: at least 1. Default: 4.
    #[must_use]
    pub const fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// How long one request may take; longer is a failure. Default: 15 min.
    #[must_use]
    pub const fn longest(mut self, time: Duration) -> Self {
        self.longest = time;
        self
    }

    /// Looks for abandoned requests again and again, until told to stop.
    ///
    /// Those under way are then waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the settings make no sense. Whatever the store said, where that does not pass by itself; what
    /// does, an outage, is waited out.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.check()?;
        let (stop, stopped) = watch::channel(false);
        let work = self.run_until(&stopped);
        match select(pin!(shutdown), pin!(work)).await {
            Either::Left(((), work)) => {
                stop.send_replace(true);
                work.await
            }
            Either::Right((ended, _)) => ended,
        }
    }

    async fn run_until(&self, stopped: &watch::Receiver<bool>) -> Result<(), Error> {
        let mut outage = OUTAGE.begin();
        while !*stopped.borrow() {
            let pause = match self.pass(stopped).await {
                Ok(_) => {
                    outage = OUTAGE.begin();
                    self.poll.mul_f64(1.0 + fastrand::f64() / 2.0)
                }
                Err(error) if error.is_retryable() || error.is_outcome_unknown() => {
                    telemetry::completer_interrupted(&error);
                    outage.next().unwrap_or(OUTAGE.longest)
                }
                Err(error) => {
                    telemetry::completer_stopped(&error);
                    return Err(error);
                }
            };
            let mut told = stopped.clone();
            // Whether it was told to stop, or nobody is left to tell: the loop looks.
            drop(timeout(pause, told.wait_for(|stopped| *stopped)).await);
        }
        Ok(())
    }

    /// Makes one pass: for an external scheduler, and for tests.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the settings make no sense. A failed read: call again.
    pub async fn finish(&self) -> Result<Finished, Error> {
        self.check()?;
        let (_go_on, stopped) = watch::channel(false);
        self.pass(&stopped).await
    }

    fn check(&self) -> Result<(), Error> {
        if self.limit == 0 || self.limit > 1_000 || self.concurrency == 0 {
            return Err(Error::invalid("a completer takes up 1 to 1,000 requests in a pass, at least one at once"));
        }
        if self.poll < Duration::from_millis(10) || self.longest.is_zero() {
            return Err(Error::invalid("a completer looks every 10 ms at the most, and gives a request some time"));
        }
        Ok(())
    }

    async fn pass(&self, stopped: &watch::Receiver<bool>) -> Result<Finished, Error> {
        let waiting_before = self.forget_what_is_long_past();
        // What is set aside lapsed long ago and comes first: it must not hide what follows.
        let listed = (self.limit as usize + waiting_before).min(MOST_SET_ASIDE);
        let found = self.store.abandoned_requests(self.lapsed_for, u32::try_from(listed).unwrap_or(self.limit)).await?;
        let mut finished = Finished::default();
        let (due, waiting): (Vec<_>, Vec<_>) = found.into_iter().partition(|request| self.is_due(request));
        finished.left += waiting.len() as u64;
        finished.left += due.len().saturating_sub(self.limit as usize) as u64;
        let mut due: VecDeque<_> = due.into_iter().take(self.limit as usize).collect();
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < self.concurrency && !*stopped.borrow() {
                let Some(request) = due.pop_front() else { break };
                under_way.spawn(take_up(Arc::clone(&self.resume), request, self.longest));
            }
            let Some(ended) = under_way.join_next().await else { break };
            // A panic is caught within; what is left is a runtime that shuts down.
            let Ok((key, ended)) = ended else { break };
            if self.note(&key, &ended) {
                finished.resumed += 1;
            } else {
                finished.failed += 1;
            }
        }
        finished.left += due.len() as u64;
        Ok(finished)
    }

    fn set_aside(&self) -> std::sync::MutexGuard<'_, HashMap<ScopedKey, SetAside>> {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets those that have long been due without being found: they are settled. Says how many are waited with.
    fn forget_what_is_long_past(&self) -> usize {
        let now = Instant::now();
        let mut set_aside = self.set_aside();
        set_aside.retain(|_, request| request.from + SET_ASIDE.longest * 2 > now);
        set_aside.values().filter(|request| request.from > now).count()
    }

    fn is_due(&self, request: &AbandonedRequest) -> bool {
        let key = ScopedKey::new(request.scope.clone(), request.key.clone());
        self.set_aside().get(&key).is_none_or(|request| request.from <= Instant::now())
    }

    /// Notes how a request ended; whether it was well.
    fn note(&self, key: &ScopedKey, ended: &Result<Resumed, Failed>) -> bool {
        let mut set_aside = self.set_aside();
        match ended {
            Ok(resumed) => telemetry::abandoned(resumed.as_str(), None),
            Err(failed) => telemetry::abandoned("failed", Some(failed)),
        }
        match ended {
            Ok(Resumed::Finished | Resumed::Elsewhere | Resumed::GivenUp) => drop(set_aside.remove(key)),
            // It may have used up none of its attempts: nothing else keeps it from being begun in every pass.
            Ok(Resumed::Unfinished) | Err(_) => put_off(&mut set_aside, key),
        }
        ended.is_ok()
    }
}

/// Sets a request aside, for longer each time.
fn put_off(set_aside: &mut HashMap<ScopedKey, SetAside>, key: &ScopedKey) {
    if set_aside.len() >= MOST_SET_ASIDE && !set_aside.contains_key(key) {
        return;
    }
    let request =
        set_aside.entry(key.clone()).or_insert_with(|| SetAside { from: Instant::now(), pauses: SET_ASIDE.begin() });
    request.from = Instant::now() + request.pauses.next().unwrap_or(SET_ASIDE.longest);
}

/// Why a request could not be taken up.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it took too long")]
    TooLong,
    #[error("whoever carries it out has panicked")]
    Panicked,
    #[error("it could not be carried out: {0}")]
    Store(Error),
}

async fn take_up(
    resume: Arc<dyn Resume>,
    request: AbandonedRequest,
    longest: Duration,
) -> (ScopedKey, Result<Resumed, Failed>) {
    let key = ScopedKey::new(request.scope.clone(), request.key.clone());
    let work = AssertUnwindSafe(async { resume.resume(request).await }).catch_unwind();
    let ended = match timeout(longest, work).await {
        Err(_) => Err(Failed::TooLong),
        Ok(Err(_)) => Err(Failed::Panicked),
        Ok(Ok(ended)) => ended.map_err(Failed::Store),
    };
    (key, ended)
}
