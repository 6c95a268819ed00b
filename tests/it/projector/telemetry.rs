//! What consumers tell of themselves.

use std::{path::Path, sync::Arc, time::Duration};

use annals::{
    Attempts, CheckpointStore as _, Clock as _, Consumer, Error, ManualClock, OnFailure, Projector, SqliteStore,
    Subscription,
};
use chrono::DateTime;
use uuid::Uuid;

use super::{
    place::{InMemory, Place as _},
    sums::Sums,
};
use crate::telemetry::{alone, listen};

fn failing() -> Sums {
    Sums { judge: Arc::new(|number| if number == 2 { Err("no rate".into()) } else { Ok(()) }), ..Sums::default() }
}

/// Every take-over, failure, parked event and end of a runner is a line and a metric, without payloads.
#[test]
fn what_consumers_give_up_or_take_over_is_a_log_line_and_a_metric() {
    let name = "projector::telemetry::what_consumers_give_up_or_take_over_is_a_log_line_and_a_metric";
    alone(name, || {
        let told = listen(|| async {
            let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
            let place = InMemory::open_at(Arc::<ManualClock>::clone(&clock)).await;
            let notebook = Uuid::now_v7();
            place.write(notebook, &[1, 2, 3]).await;
            let attempts = Attempts { most: 2, first_pause: Duration::ZERO, longest_pause: Duration::ZERO };
            let stopping = Projector::new(place.store(), failing()).unwrap().attempts(attempts);
            stopping.catch_up().await.unwrap_err();
            let parking =
                Projector::new(place.store(), failing()).unwrap().attempts(attempts).on_failure(OnFailure::park());
            parking.catch_up().await.unwrap();

            let mail = Subscription::new(place.store(), "mail").unwrap().lease(Duration::from_secs(60));
            // It dies with its lease.
            let dying = mail.run(std::future::pending(), |_| std::future::pending::<Result<(), Error>>());
            let started = async {
                while place.store().checkpoint(&Consumer::new("mail").unwrap()).await.unwrap().is_none() {
                    tokio::task::yield_now().await;
                }
            };
            futures_util::future::select(std::pin::pin!(dying), std::pin::pin!(started)).await;
            clock.set(clock.now() + Duration::from_secs(120));
            mail.catch_up(|_| std::future::ready(Ok::<_, Error>(()))).await.unwrap();
        });
        let failures = told.lines("an event was not handled");
        assert_eq!(failures.len(), 4, "twice by each: {failures:?}");
        assert!(failures.iter().all(|line| line["annals.consumer"] == "sums" && line["error"] == "no rate"));
        let parked = told.lines("an event was parked");
        assert_eq!(parked.iter().map(|line| line["is_behind"].as_str()).collect::<Vec<_>>(), ["false", "true"]);
        assert_eq!(told.lines("a consumer has stopped").len(), 1);
        let taken_over = told.lines("taken over from a runner whose lease had lapsed");
        assert_eq!(taken_over.len(), 1);
        assert!(taken_over[0]["earlier_owner"].starts_with("process "));
        for (metric, count) in [
            ("annals_projection_errors_total{consumer=sums}", 4),
            ("annals_events_parked_total{consumer=sums}", 2),
            ("annals_consumers_stopped_total{consumer=sums}", 1),
            ("annals_leases_taken_total{consumer=sums}", 2),
            ("annals_leases_taken_total{consumer=mail}", 2),
        ] {
            assert_eq!(told.metrics.get(metric), Some(&count), "{metric} of {:?}", told.metrics);
        }
    });
}

/// A runner tells how far it is behind, how many events are parked, and that it lives.
#[test]
fn a_runner_tells_its_lag_and_that_it_lives() {
    alone("projector::telemetry::a_runner_tells_its_lag_and_that_it_lives", || {
        let told = listen(|| async {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(folder.path().join(Path::new("events.db"))).await.unwrap();
            let append = annals::Append::new("notebook", Uuid::now_v7());
            let event = || annals::NewEvent::new("noted", &1).unwrap();
            annals::EventStoreExt::append_one(&store, append.event(event()).event(event())).await.unwrap();
            let mail = Subscription::new(&store, "mail").unwrap().lease(Duration::from_millis(100));
            let consumer = Consumer::new("mail").unwrap();
            let beats = async {
                let mut seen = std::collections::BTreeSet::new();
                // The handler never comes back: only signs of life renew the lease.
                while seen.len() < 3 {
                    let lease = store.checkpoint(&consumer).await.unwrap().and_then(|checkpoint| checkpoint.lease);
                    seen.extend(lease.map(|lease| lease.renewed_at));
                    tokio::task::yield_now().await;
                }
            };
            let running = mail.run(std::future::pending(), |_| std::future::pending::<Result<(), Error>>());
            futures_util::future::select(std::pin::pin!(running), std::pin::pin!(beats)).await;
        });
        assert_eq!(told.gauges.get("annals_subscription_lag_events"), Some(&2.0), "{:?}", told.gauges);
        assert_eq!(told.gauges.get("annals_parked_events"), Some(&0.0));
        assert!(told.gauges.contains_key("annals_subscription_lag_seconds"));
        assert!(told.gauges["annals_consumer_alive_timestamp_seconds"] > 1.7e9);
    });
}
