//! Timers that fire: once, at their time, through deaths of their runners.

mod campaign;
mod deaths;
mod firing;
mod idle;
mod within;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::{
    Aggregate, EventStore, Id, ManualClock, Repository, TimerStore, TimerWork, Transactional,
    process::{FiredTimer, TimerRunner, Timers},
    store::{DueClaim, HeldTimer, Timer, TimerState},
};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, task::JoinHandle};
use uuid::Uuid;

/// Makes a test of each function for each database, with a clock that stands still.
macro_rules! on_every_database {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let folder = tempfile::tempdir().unwrap();
                    let clock = crate::timers::clock();
                    let options = annals::SqliteStore::options().shared_clock(clock.clone());
                    super::$test(options.open(folder.path().join("timers.db")).await.unwrap(), clock).await;
                }
            )+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let database = crate::postgres_server::Database::create().await;
                    let clock = crate::timers::clock();
                    let options = annals::PostgresStore::options().shared_clock(clock.clone());
                    super::$test(options.connect(database.url()).await.unwrap(), clock).await;
                }
            )+
        }
    };
}
use on_every_database;

/// A store that these tests need.
trait Store: EventStore + TimerStore + Transactional<Work: TimerWork> + Clone + 'static {}

impl<S: EventStore + TimerStore + Transactional<Work: TimerWork> + Clone + 'static> Store for S {}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()))
}

const QUEUE: &str = "reminders";
const MINUTE: Duration = Duration::from_secs(60);

/// Counts its effects: each reminder that was sent.
#[derive(Debug, Default)]
struct Mailbox(u32);

#[derive(Debug, Serialize)]
struct Remind;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
enum Event {
    Reminded {},
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("never")]
enum Never {}

impl Aggregate for Mailbox {
    const TYPE: &'static str = "mailbox";
    type Command = Remind;
    type Event = Event;
    type Rejection = Never;

    fn decide(&self, _: &Remind) -> Result<Vec<Event>, Never> {
        Ok(vec![Event::Reminded {}])
    }

    fn evolve(&mut self, _: &Event) {
        self.0 += 1;
    }
}

async fn effects<S: Store>(store: &S, id: Uuid) -> u32 {
    Repository::<Mailbox>::new(store).load(Id::from_uuid(id)).await.unwrap().state.0
}

/// The effect of a timer, under its key.
async fn remind<S: Store>(store: &S, timer: &FiredTimer) {
    let repository = Repository::<Mailbox>::new(store);
    repository.execute(Id::from_uuid(timer.id()), &Remind).idempotency_key(timer.key()).await.unwrap();
}

fn timers<S: Store>(store: &S) -> Timers {
    Timers::new(store, QUEUE).unwrap()
}

/// A runner that looks often: what moves the clock of the tests wakes nobody.
fn quick(timers: &Timers) -> TimerRunner {
    timers.runner().poll(Duration::from_millis(5))
}

/// A runner at work; ended as if its process had died when this is dropped.
struct Running {
    task: JoinHandle<Result<(), annals::Error>>,
    shutdown: Arc<Notify>,
}

impl Running {
    fn start<F>(runner: TimerRunner, handler: impl Fn(FiredTimer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), annals::BoxError>> + Send + 'static,
    {
        let shutdown = Arc::new(Notify::new());
        let told = Arc::clone(&shutdown);
        let task = tokio::spawn(async move { runner.run(told.notified(), handler).await });
        Self { task, shutdown }
    }

    async fn stop(mut self) {
        self.shutdown.notify_one();
        (&mut self.task).await.unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks until it is so, for a minute at the most.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looking = async {
        while !is_so().await {
            // Between two looks, so that what is looked at is not kept from its work.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(MINUTE, looking).await.unwrap_or_else(|_| panic!("it never came to it: {what}"));
}

async fn until_in_state(timers: &Timers, id: Uuid, state: TimerState) -> Timer {
    until("the state of a timer", async || timers.find(id).await.unwrap().is_some_and(|timer| timer.state == state))
        .await;
    timers.find(id).await.unwrap().unwrap()
}

/// Takes what is due as a runner would that dies then.
async fn die_with_it<S: Store>(store: &S, clock: &ManualClock) -> Vec<HeldTimer> {
    let claim = DueClaim { queue: QUEUE.into(), owner: "the dead".into(), lease: MINUTE, limit: 100 };
    let held = store.claim_due(&claim).await.unwrap().timers;
    clock.advance(MINUTE);
    held
}

/// Told when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What handlers have seen, in its order.
type Seen<T> = Arc<Mutex<Vec<T>>>;
