//! On SQLite.

use std::sync::Arc;

use annals::{ManualClock, SqliteStore};

async fn open(clock: Arc<ManualClock>) -> (SqliteStore, ()) {
    (SqliteStore::options().shared_clock(clock).open_in_memory().await.unwrap(), ())
}

super::on_transactions!(open);
