//! A database that goes away while a subscription and a projector run: they ride it out, and end complete.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use annals::{Consumers, Error, Position, PostgresStore, RecordedEvent, Subscription};
use sqlx::Connection as _;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{
    BATCH_EVENTS, LEASE, LONGEST_WAIT,
    deliveries::{Told, log, names},
    fence, tallies,
    task::{Kind, Task, Teller},
    writer::{AHEAD_EVENTS, Writer},
};
use crate::{
    campaign,
    faults::log_check::check_log,
    postgres::faults::proxy::{Cut, Kind as Request, Proxy},
    postgres_server::{Database, Server},
};

/// A subscription and a projector of this process, and a writer.
struct Running {
    writer: Writer,
    store: PostgresStore,
    /// The subscription's, when it was first told anything.
    first_fence: Option<u64>,
    /// What the subscription's handler was told, in its order.
    told: Arc<Mutex<Vec<(String, i64)>>>,
    end: watch::Sender<bool>,
    consumers: JoinSet<Result<(), Error>>,
}

impl Running {
    /// Starts them: the writer on a store of its own, or on the same.
    fn start(store: &PostgresStore, writers: &PostgresStore, seed: u64) -> Self {
        let writer = Writer::start(writers, seed, u64::MAX);
        let (told, end, mut consumers) = (Arc::default(), watch::channel(false).0, JoinSet::new());
        consumers.spawn(subscribe(store.clone(), Arc::clone(&told), writer.told(), shutdown(&end)));
        consumers.spawn(project(store.clone(), shutdown(&end)));
        Self { writer, store: writers.clone(), first_fence: None, told, end, consumers }
    }

    /// Waits until so many more events were told.
    async fn tell(&mut self, events: u64) {
        let told = async {
            let mut count = self.writer.counts();
            let target = *count.borrow() + events;
            drop(count.wait_for(|told| *told >= target).await.unwrap());
        };
        tokio::select! {
            () = told => {}
            ended = self.consumers.join_next() => panic!("a consumer has ended: {ended:?}"),
            () = tokio::time::sleep(LONGEST_WAIT) => panic!("nothing is told any more"),
        }
        if self.first_fence.is_none() {
            self.first_fence = Some(fence(&self.store, Kind::Subscription).await.unwrap());
        }
    }

    /// Lets them catch up, compares everything, and prints what was counted.
    async fn conclude(mut self, url: &str, campaign: &str) {
        let store = PostgresStore::connect(url).await.unwrap();
        let last = self.writer.end().await;
        for kind in [Kind::Subscription, Kind::Projector] {
            Consumers::new(&store).wait_until(kind.consumer(), last, LONGEST_WAIT).await.unwrap();
        }
        self.end.send_replace(true);
        while let Some(ended) = timeout(LONGEST_WAIT, self.consumers.join_next()).await.unwrap() {
            ended.unwrap().unwrap();
        }
        let log = log(url.as_ref()).await;
        let told = Told::compare(&self.told.lock().unwrap(), &log);
        let applied = tallies::judge(url.as_ref()).await;
        check_log(&store).await;
        let turns = fence(&store, Kind::Subscription).await.unwrap() - self.first_fence.unwrap();
        store.close().await;
        println!("figures: {campaign} interruptions={turns} {told} applied={}", applied.deliveries);
        assert!(told.duplicates() <= usize::try_from(turns).unwrap() * BATCH_EVENTS, "{told}");
    }
}

fn shutdown(end: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut ends = end.subscribe();
    async move { drop(ends.wait_for(|is_over| *is_over).await) }
}

async fn subscribe(
    store: PostgresStore,
    told: Arc<Mutex<Vec<(String, i64)>>>,
    count: impl Fn() + Send + Sync + 'static,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    let handler = |event: RecordedEvent| {
        told.lock().unwrap_or_else(PoisonError::into_inner).push(names(&event));
        count();
        async { Ok::<(), Error>(()) }
    };
    let subscription = Subscription::new(&store, Kind::Subscription.consumer())?.lease(LEASE);
    subscription.batch_events(BATCH_EVENTS).run(shutdown, handler).await
}

async fn project(store: PostgresStore, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let task = Task::new(Kind::Projector, LEASE, "this process");
    task.run(&store, Path::new("none"), Teller::silent(), shutdown).await
}

fn seed() -> u64 {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    seed
}

/// The transactions that wait for a lock in this database.
const WAITING: &str = "SELECT DISTINCT virtualtransaction FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE NOT granted AND datname = current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn store_072_what_passes_by_itself_is_no_fault_of_the_event() {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut running = Running::start(&store, &store, seed());
    running.tell(1).await;
    Consumers::new(&store).wait_until(Kind::Projector.consumer(), Position::new(1), LONGEST_WAIT).await.unwrap();
    let mut owner = database.connection().await;
    let mut lock = owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE tallies__1 IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    // Each event is tried once: one transaction has met the lock and given up, and another one tries again.
    let mut operator = database.connection().await;
    let mut met = HashSet::new();
    let meet = async {
        while met.len() < 2 {
            met.extend(sqlx::query_scalar::<_, String>(WAITING).fetch_all(&mut operator).await.unwrap());
        }
    };
    timeout(LONGEST_WAIT, meet).await.expect("the projector tries again");
    lock.rollback().await.unwrap();
    running.conclude(database.url(), "locks=1").await;
}

/// How often the server crashes.
const RESTARTS: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn store_099_a_server_that_crashes_keeps_no_consumer_from_being_told_everything() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    // As in production: a checkpoint that was acknowledged was synced.
    let mut server = Server::options().setting("fsync", "on").start().await.unwrap();
    let url = server.url("postgres");
    let store = PostgresStore::connect(&url).await.unwrap();
    let mut running = Running::start(&store, &store, seed);
    let restarts = campaign::sized(RESTARTS);
    for _ in 0..restarts {
        running.tell(random.u64(50..400)).await;
        server.stop_immediately().await;
        server.start_again().await;
    }
    running.tell(400).await;
    running.conclude(&url, &format!("restarts={restarts}")).await;
}

/// How many backends are ended.
const TERMINATIONS: u32 = 30;

/// Ends one of the others in this database, at random: that of a batch, of a lease, of the log, or of the notices.
const TERMINATE_ONE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    ORDER BY random() LIMIT 1";

#[tokio::test(flavor = "multi_thread")]
async fn store_099_ended_backends_keep_no_consumer_from_being_told_everything() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut operator = database.connection().await;
    let mut running = Running::start(&store, &store, seed);
    let (wanted, mut ended) = (campaign::sized(TERMINATIONS), 0);
    while ended < wanted {
        running.tell(random.u64(1..60)).await;
        let found: Option<bool> = sqlx::query_scalar(TERMINATE_ONE).fetch_optional(&mut operator).await.unwrap();
        ended += u32::from(found == Some(true));
    }
    running.tell(400).await;
    running.conclude(database.url(), &format!("terminations={ended}")).await;
}

/// Ends all others in this database.
const TERMINATE_ALL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// So many outages, after each of which something is told: pauses that grew from one to the next were at their longest.
const OUTAGES: usize = 12;

/// Longer than the first pauses take on a slow machine, shorter than the longest.
const NO_LONG_PAUSE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_waited_out_no_longer_for_those_before_it() {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut operator = database.connection().await;
    let mut running = Running::start(&store, &store, seed());
    let mut shortest = Duration::MAX;
    for outage in 0..OUTAGES {
        running.tell(AHEAD_EVENTS).await;
        let began = Instant::now();
        sqlx::query(TERMINATE_ALL).execute(&mut operator).await.unwrap();
        // More than can have been under way.
        running.tell(2 * AHEAD_EVENTS).await;
        if outage >= OUTAGES - 3 {
            shortest = shortest.min(began.elapsed());
        }
    }
    assert!(shortest < NO_LONG_PAUSE, "{shortest:?}");
    running.conclude(database.url(), &format!("outages={OUTAGES}")).await;
}

/// How many requests of a projector and a subscription are cut, by chance.
const CUTS: u32 = 25;

/// One of so many requests that commit, and one of ten times as many others.
const ONE_OF: u32 = 12;

/// A writer beside a proxy, and consumers that reach the server through it alone.
async fn through_a_proxy(seed: u64) -> (Server, Proxy, Running) {
    let server = Server::options().tcp().start().await.unwrap();
    let proxy = Proxy::start(server.tcp_address().unwrap(), seed).await;
    let through = server.tcp_url(proxy.address(), "postgres");
    let writers = PostgresStore::connect(&server.url("postgres")).await.unwrap();
    let store = PostgresStore::connect(&through).await.unwrap();
    let running = Running::start(&store, &writers, seed);
    (server, proxy, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn store_067_a_commit_whose_reply_is_cut_is_applied_once() {
    let (server, proxy, mut running) = through_a_proxy(seed()).await;
    for cut in Cut::ALL {
        proxy.cut_next(Request::Commit, cut);
        let made = proxy.cuts().len();
        while proxy.cuts().len() == made {
            running.tell(1).await;
        }
        // Time for what comes late to come between.
        running.tell(2 * BATCH_EVENTS as u64).await;
    }
    timeout(LONGEST_WAIT, proxy.late_have_arrived()).await.unwrap();
    running.conclude(&server.url("postgres"), &format!("commits_cut={}", proxy.cuts().len())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_099_cut_connections_keep_no_consumer_from_being_told_everything() {
    let (server, proxy, mut running) = through_a_proxy(seed()).await;
    let wanted = campaign::sized(CUTS) as usize;
    proxy.cut_one_of(ONE_OF);
    while proxy.cuts().len() < wanted {
        running.tell(10).await;
    }
    timeout(LONGEST_WAIT, proxy.late_have_arrived()).await.unwrap();
    let cuts = proxy.cuts();
    let of_commits = cuts.iter().filter(|(request, _)| *request == Request::Commit).count();
    let campaign = format!("cuts={} of_commits={of_commits}", cuts.len());
    running.conclude(&server.url("postgres"), &campaign).await;
}
