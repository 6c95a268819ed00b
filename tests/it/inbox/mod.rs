//! Messages that come more than once, and are handled once.

mod behaviour;
mod dropped;
mod kill;
mod model;
#[cfg(feature = "postgres")]
mod postgres;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use annals::{
    Append, BoxError, CheckpointStore, Clock, EventStoreExt as _, Handled, Inbox, IncomingMessage, ManualClock,
    NewEvent, SqliteStore, StreamQuery, Transactional, Work as _,
    process::InboxError,
    store::{CheckpointWork, InboxStore, InboxWork, Retention},
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A store with all that an inbox needs.
pub trait Place:
    Transactional<Work: InboxWork + CheckpointWork + 'static> + InboxStore + Retention + CheckpointStore + Clone + 'static
{
}

impl<S> Place for S
where
    S: Transactional + InboxStore + Retention + CheckpointStore + Clone + 'static,
    S::Work: InboxWork + CheckpointWork + 'static,
{
}

/// Makes a test of each function for each database, with a clock that stands still.
macro_rules! on_every_database {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let (clock, folder) = (crate::inbox::clock(), tempfile::tempdir().unwrap());
                    let store = crate::inbox::in_file(&clock, folder.path()).await;
                    super::$test(store, clock).await;
                }
            )+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let clock = crate::inbox::clock();
                    let database = crate::postgres_server::Database::create().await;
                    let options = annals::PostgresStore::options().shared_clock(std::sync::Arc::clone(&clock) as _);
                    super::$test(options.connect(database.url()).await.unwrap(), clock).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_database;

fn start() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(start()))
}

pub async fn in_file(clock: &Arc<ManualClock>, folder: &std::path::Path) -> SqliteStore {
    let options = SqliteStore::options().shared_clock(Arc::clone(clock) as Arc<dyn Clock>);
    options.open(folder.join("events.db")).await.unwrap()
}

fn message(id: &str, payload: &str) -> IncomingMessage {
    IncomingMessage::new(id, payload).unwrap()
}

/// The aggregate that has an event for each effect of a message.
fn effects_of(consumer: &str, id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{consumer}/{id}").as_bytes())
}

fn effect(consumer: &str, id: &str) -> Append {
    Append::new("effect", effects_of(consumer, id)).events([NewEvent::new("happened", &id).unwrap()])
}

async fn effects<S: Place>(store: &S, consumer: &str, id: &str) -> usize {
    store.collect_stream(&StreamQuery::of(effects_of(consumer, id))).await.unwrap().len()
}

/// Handles a message, with an event for its effect. What is counted is how often the effects were begun.
async fn handle<S: Place>(
    inbox: &Inbox<S>,
    message: &IncomingMessage,
    begun: &AtomicU32,
) -> Result<Handled<u32>, InboxError> {
    let append = effect(inbox.consumer(), message.id());
    inbox
        .handle(message, |work| {
            Box::pin(async {
                let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                work.append(&append).await?;
                Ok::<_, BoxError>(number)
            })
        })
        .await
}
