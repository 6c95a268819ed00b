//! Where the program is run: each database, filled by a store whose clock stands still.

use std::sync::Arc;

use annals::{Clock, ManualClock, PostgresStore, SqliteStore};
use chrono::DateTime;
use tempfile::TempDir;

use crate::postgres_server::Database;

/// Makes a test of each function for each database: it is given the URL, a store on it, and the store's clock.
///
/// The clock of the store begins at 2026-01-05T10:00:00Z. The program's own is the machine's.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let (url, store, clock, _folder) = crate::cli::place::sqlite().await;
                    super::$test(&url, store, clock).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let (url, store, clock, _database) = crate::cli::place::postgres().await;
                    super::$test(&url, store, clock).await;
                }
            )+
        }
    };
}
pub(super) use on_both;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(DateTime::from_timestamp(1_767_607_200, 0).unwrap()))
}

pub async fn sqlite() -> (String, SqliteStore, Arc<ManualClock>, TempDir) {
    let (clock, folder) = (clock(), tempfile::tempdir().unwrap());
    let path = folder.path().join("shop.db");
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let store = SqliteStore::options().shared_clock(shared).open(&path).await.unwrap();
    (format!("sqlite:{}", path.display()), store, clock, folder)
}

pub async fn postgres() -> (String, PostgresStore, Arc<ManualClock>, Database) {
    let (clock, database) = (clock(), Database::create().await);
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let store = PostgresStore::options().shared_clock(shared).connect(database.url()).await.unwrap();
    (database.url().to_owned(), store, clock, database)
}
