//! A horizon that stands still is told of, with the name of who holds it.

use std::time::Duration;

use annals::{
    EventStore as _, EventStoreExt as _, Polling, Position, PostgresStore, Transactional as _, Work as _,
    postgres::Holder,
};
use sqlx::Executor as _;

use super::{append, pause, pid};
use crate::{
    postgres_server::Database,
    telemetry::{Told, alone, listen},
};

const STALLED: &str = "readers of the log are held back";
const GOES_ON: &str = "readers of the log go on";

/// Looks often, and says so soon.
async fn open(database: &Database) -> PostgresStore {
    let often = Polling { every: Duration::from_millis(2), idle: Duration::from_millis(2) };
    let options = PostgresStore::options().stall_after(Duration::from_millis(50)).polling(often);
    options.connect(database.url()).await.unwrap()
}

/// Has somebody wait for an event that is held back, until that was told; then lets go, and waits to the end.
async fn wait_held_back<F: Future<Output = ()>>(
    store: &PostgresStore,
    database: &Database,
    let_go: impl FnOnce() -> F,
) {
    store.append_one(append(1)).await.unwrap();
    let waiting = store.clone();
    let waits = tokio::spawn(async move { waiting.wait_for(Position::START).await.unwrap() });
    let mut breath = database.connection().await;
    pause(&mut breath, 0.3).await;
    assert!(!waits.is_finished());
    let_go().await;
    assert_eq!(waits.await.unwrap(), store.head().await.unwrap());
}

fn gauge(told: &Told, name: &str) -> Vec<f64> {
    told.gauges.iter().filter(|(known, _)| *known == name).map(|(_, value)| *value).collect()
}

#[test]
fn store_060_a_metric_and_a_log_line_name_the_process_that_holds_readers_back() {
    alone(
        "postgres::horizon::stall::store_060_a_metric_and_a_log_line_name_the_process_that_holds_readers_back",
        || {
            let (sender, holder) = std::sync::mpsc::channel();
            let held = listen(move || async move {
                let database = Database::create().await;
                let store = open(&database).await;
                let mut work = store.begin().await.unwrap();
                work.append(&append(1)).await.unwrap();
                sender.send(pid(work.connection()).await).unwrap();
                store.append_one(append(1)).await.unwrap();
                let waiting = store.clone();
                let waits = tokio::spawn(async move { waiting.wait_for(Position::START).await });
                pause(&mut database.connection().await, 0.3).await;
                assert!(!waits.is_finished());
                waits.abort();
                drop(work);
            });
            let pid = holder.recv().unwrap();
            let lines = held.lines(STALLED);
            // After 50, 100 and 200 milliseconds, or less often where the machine is busy.
            assert!((1..=4).contains(&lines.len()), "{lines:?}");
            for line in &lines {
                assert_eq!(line["pid"], pid.to_string());
                assert_eq!(line["holder"], format!("process {pid}"));
                assert_eq!(line["annals.position"], "0");
                assert!(line["stalled_seconds"].parse::<f64>().unwrap() >= 0.05);
            }
            assert_eq!(gauge(&held, "annals_horizon_holder_pid"), [f64::from(pid)]);
            assert!(gauge(&held, "annals_horizon_stalled_seconds")[0] >= 0.05);
        },
    );
}

#[test]
fn a_prepared_transaction_that_holds_readers_back_is_told_by_its_name() {
    alone("postgres::horizon::stall::a_prepared_transaction_that_holds_readers_back_is_told_by_its_name", || {
        let told = listen(|| async {
            let database = Database::create().await;
            let store = open(&database).await;
            let mut work = store.begin().await.unwrap();
            work.append(&append(1)).await.unwrap();
            work.connection().execute("PREPARE TRANSACTION 'left behind'").await.unwrap();
            drop(work);
            let mut operator = database.connection().await;
            wait_held_back(&store, &database, || async {
                let held_by = store.horizon().await.unwrap().held_by.unwrap();
                assert_eq!(held_by, Holder::Prepared { name: Some("left behind".to_owned()) });
                assert_eq!(held_by.pid(), None);
                operator.execute("COMMIT PREPARED 'left behind'").await.unwrap();
            })
            .await;
        });
        let lines = told.lines(STALLED);
        assert!(!lines.is_empty());
        for line in lines {
            assert_eq!(line["holder"], "prepared transaction \"left behind\"");
            assert!(!line.contains_key("pid"));
        }
        // It has ended: that is told once, and the gauges say so.
        assert_eq!(told.lines(GOES_ON).len(), 1);
        assert_eq!(gauge(&told, "annals_horizon_stalled_seconds"), [0.0]);
        assert_eq!(gauge(&told, "annals_horizon_holder_pid"), [0.0]);
    });
}

#[test]
fn nothing_is_told_where_nobody_is_held_back() {
    alone("postgres::horizon::stall::nothing_is_told_where_nobody_is_held_back", || {
        let told = listen(|| async {
            let database = Database::create().await;
            let store = open(&database).await;
            let unrelated = super::adversity::Unrelated::open(database.url()).await;
            store.append_one(append(1)).await.unwrap();
            let waiting = store.clone();
            let waits = tokio::spawn(async move { waiting.wait_for(Position::new(1)).await });
            pause(&mut database.connection().await, 0.2).await;
            waits.abort();
            unrelated.end().await;
        });
        assert!(told.lines(STALLED).is_empty() && told.lines(GOES_ON).is_empty());
        assert!(told.gauges.is_empty());
    });
}
