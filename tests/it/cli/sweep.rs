//! `annals sweep`.

use std::time::Duration;

use annals::{ResponseStore, SqliteStore};

use super::program::{annals, ended, run};
use crate::sweeper::expired;

/// Answers that have expired by the machine's clock, which is the program's, and some that have not.
async fn some_expired(store: &dyn ResponseStore) {
    expired::fill(store, "gone", 5, Duration::from_millis(1)).await;
    expired::fill(store, "kept", 2, Duration::from_secs(1_000)).await;
}

async fn sweeps(url: &str, store: &dyn ResponseStore) {
    some_expired(store).await;
    let (code, out, err) = run(&["sweep", "--database-url", url, "--batch", "2", "--format", "json"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let rows = ["responses", "receipts", "steps", "total"].map(|kind| told[kind].as_u64());
    assert_eq!(rows, [Some(5), Some(0), Some(0), Some(5)], "{out}");
    assert_eq!((&told["ended_early"], told["seconds"].is_f64()), (&false.into(), true));
    assert_eq!(expired::count(store).await, 2);
    // By the environment, as a table, of some kinds.
    let output = annals(&["sweep", "--only", "steps,receipts"]).env("DATABASE_URL", url).output().unwrap();
    let (code, out, err) = ended(output);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "KIND      ROWS\nsteps     0\nreceipts  0\ntotal     0\n");
    assert_eq!(run(&["sweep", "-q", "--database-url", url]), (0, String::new(), String::new()));
}

#[tokio::test]
async fn annals_sweep_sweeps_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = SqliteStore::open(&path).await.unwrap();
    sweeps(&format!("sqlite:{}", path.display()), &store).await;
}

#[tokio::test]
async fn annals_sweep_sweeps_postgresql() {
    let database = crate::postgres_server::Database::create().await;
    let store = annals::PostgresStore::connect(database.url()).await.unwrap();
    sweeps(database.url(), &store).await;
}
