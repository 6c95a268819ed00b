//! The relay: order, ids, checkpoints, outages, and what is refused; on both databases.

mod behaviour;
mod broker;
#[cfg(feature = "nats")]
mod campaign;
mod cloud_events;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
mod proxy;

use std::time::Duration;

use annals::{Append, CheckpointStore, EventStoreExt as _, NewEvent, Position, process::Relay};
use uuid::Uuid;

use self::broker::Broker;

/// Longer than anything may take here, short enough to call it lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a dead relay keeps its lease.
const LEASE: Duration = Duration::from_millis(500);

/// Runs cases on every database, each on one of its own.
macro_rules! on_every_place {
    ($($case:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let folder = tempfile::tempdir().unwrap();
                    let store = annals::SqliteStore::open(folder.path().join("events.db")).await.unwrap();
                    super::$case(store).await;
                }
            )+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let database = crate::postgres_server::Database::create().await;
                    let store = annals::PostgresStore::connect(database.url()).await.unwrap();
                    super::$case(store).await;
                }
            )+
        }
    };
}
use on_every_place;

fn relay<S: CheckpointStore + Clone + 'static>(store: &S, broker: &Broker) -> Relay<S> {
    Relay::new(store, "out", broker.clone()).unwrap().lease(LEASE)
}

/// Appends numbers to a notebook.
async fn write<S: CheckpointStore>(store: &S, notebook: Uuid, numbers: std::ops::Range<u64>) -> Position {
    let events: Vec<_> = numbers.map(|number| NewEvent::new("noted", &number).unwrap()).collect();
    store.append_one(Append::new("notebook", notebook).events(events)).await.unwrap().position.unwrap()
}

/// Looks again and again until it is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looks = async {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        while !is_so().await {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.unwrap_or_else(|_| panic!("it is not so that {what}"));
}
