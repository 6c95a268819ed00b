//! Where processes are kept: each database, with a clock that stands still.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use annals::PostgresStore;
use annals::{
    CheckpointStore, Clock, ManualClock, SqliteStore, StepStore,
    store::{Auditable, TimerStore},
};
use chrono::DateTime;
use tempfile::TempDir;

#[cfg(feature = "postgres")]
use crate::postgres_server::Database;

/// A store that has all a runner needs.
pub trait Runs: CheckpointStore + StepStore + TimerStore + Clone + 'static {}
impl<S: CheckpointStore + StepStore + TimerStore + Clone + 'static> Runs for S {}

/// A store whose log can be checked, too.
pub trait Whole: Runs + Auditable {}
impl<S: Runs + Auditable> Whole for S {}

/// Makes a test of each function for each database: it is given a store, and the clock.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let (store, clock, _folder) = crate::process::place::sqlite().await;
                    super::$test(store, clock).await;
                }
            )+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let (store, clock, _database) = crate::process::place::postgres().await;
                    super::$test(store, clock).await;
                }
            )+
        }
    };
}
pub(super) use on_both;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()))
}

pub async fn sqlite() -> (SqliteStore, Arc<ManualClock>, TempDir) {
    let (clock, folder) = (clock(), tempfile::tempdir().unwrap());
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let store = SqliteStore::options().shared_clock(shared).open(folder.path().join("processes.db")).await.unwrap();
    (store, clock, folder)
}

#[cfg(feature = "postgres")]
pub async fn postgres() -> (PostgresStore, Arc<ManualClock>, Database) {
    let (clock, database) = (clock(), Database::create().await);
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let store = PostgresStore::options().shared_clock(shared).connect(database.url()).await.unwrap();
    (store, clock, database)
}
