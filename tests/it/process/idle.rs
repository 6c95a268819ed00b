//! What a runner costs that has nothing to do.

use std::time::{Duration, Instant};

use annals::{PostgresStore, Repository, process::ProcessStatus};
use sqlx::{Connection as _, PgConnection};

use super::{
    late::until,
    request, runner,
    service::{Fate, Service},
    status,
    trip::{Flight, flight},
    with_points::WithPoints,
};
use crate::{postgres_server::Database, steps::points::Points};

/// Statements outside a transaction are one each.
const TRANSACTIONS: &str =
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";

/// How often it looks while it is counted, and how many statements a second it may need on average.
const LOOKS: u32 = 8;
const MOST_A_SECOND: f64 = 8.0;

/// What the server does of its own accord (it vacuums a database once a minute) is counted, too, so one count may be
/// too high: the least of so many is the runner's.
const COUNTS: usize = 3;

async fn transactions(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(TRANSACTIONS).fetch_one(connection).await.unwrap()
}

/// How many statements the database executes each second while the runner looks a few times.
async fn each_second(counting: &mut PgConnection, points: &Points) -> f64 {
    let (before, began, passed) = (transactions(counting).await, Instant::now(), points.passed());
    // Each look has a point before and after it.
    until(async || points.passed() >= passed + 2 * LOOKS).await;
    let (took, asked) = (began.elapsed(), transactions(counting).await - before);
    let each_second = f64::from(i32::try_from(asked).unwrap()) / took.as_secs_f64();
    println!("figures: statements={asked} in {took:?}, {each_second:.1} a second");
    assert!(took > Duration::from_secs(u64::from(LOOKS) / 2), "it looks too often: {LOOKS} times in {took:?}");
    each_second
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_with_nothing_to_do_asks_the_database_a_few_times_a_second() {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let (service, points) = (Service::default(), Points::stop_at(None));
    // One process waits for its timer, another for its next try.
    let waiting = request(&store, 1).await;
    service.always("charge", Fate::Busy);
    let looked_at = WithPoints::new(&store, &points);
    let hour = Duration::from_secs(3600);
    let runner = runner(&looked_at, &service).attempts(5, hour, hour).poll(Duration::from_secs(1));
    let (end, ends) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(async move { runner.run(async { drop(ends.await) }).await });
    until(async || service.calls("charge") == 1).await;
    // A connection that has nothing to do tells within ten seconds of what it has done before.
    let begun = points.passed() + 26;
    until(async || points.passed() >= begun).await;

    let mut counting = PgConnection::connect(database.url()).await.unwrap();
    let mut least = f64::INFINITY;
    for _ in 0..COUNTS {
        least = least.min(each_second(&mut counting, &points).await);
        if least <= MOST_A_SECOND {
            break;
        }
    }
    drop(end);
    running.await.unwrap().unwrap();
    assert!(least <= MOST_A_SECOND, "{least} a second");
    assert_eq!(status(&store, waiting).await, ProcessStatus::Running);
    assert_eq!(Repository::<Flight>::new(&store).load(flight()).await.unwrap().state.taken, 1);
}
