//! `annals bench`.

use std::{io::Read as _, process::Stdio};

use annals::EventStore;
use rustix::process::{Pid, Signal, kill_process};

use super::{
    place,
    program::{annals, done_on, run_on},
};

#[tokio::test(flavor = "multi_thread")]
async fn bench_measures_beside_the_file_and_leaves_nothing() {
    let (url, store, _, folder) = place::sqlite().await;
    let told = done_on(&url, &["bench", "--seconds", "1", "--format", "json", "-q"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let commands = told["commands"].as_array().unwrap();
    let cells: Vec<_> = commands.iter().map(|cell| (cell["tasks"].as_u64(), cell["has_keys"].as_bool())).collect();
    let expected = [false, true].into_iter().flat_map(|keys| [1, 8, 64].map(|tasks| (Some(tasks), Some(keys))));
    assert_eq!(cells, expected.collect::<Vec<_>>());
    assert!(commands.iter().all(|cell| cell["per_second"].as_f64() > Some(1.0)), "{told}");
    assert!(commands.iter().all(|cell| cell["p99_micros"].as_u64() >= cell["p50_micros"].as_u64()), "{told}");
    assert!(told["log_events_per_second"].as_f64() > Some(100.0) && told["fsync_micros"].is_u64(), "{told}");
    assert_eq!(store.head().await.unwrap(), annals::Position::START, "it has written into the application's log");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("shop.db")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_measures_in_a_schema_of_its_own_and_leaves_nothing() {
    let (url, store, _, database) = place::postgres().await;
    let (code, out, err) = run_on(&url, &["bench", "--seconds", "1"]);
    assert_eq!((code, err.as_str()), (0, "annals: in the schema annals_bench, removed at the end\n"));
    assert!(out.starts_with("TASKS  KEYS  COMMANDS A SECOND") && out.contains("64     yes"), "{out}");
    assert!(out.contains("loads of an aggregate of 1,000 events"), "{out}");
    assert_eq!(store.head().await.unwrap(), annals::Position::START, "it has written into the application's log");
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'annals_bench'";
    let mut connection = database.connection().await;
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await.unwrap(), 0);
    // What a killed one has left is no obstacle; another that is at work is.
    sqlx::raw_sql("CREATE SCHEMA annals_bench; CREATE TABLE annals_bench.left_over ()")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(run_on(&url, &["bench", "--seconds", "1", "-q"]).0, 0);
    sqlx::raw_sql("SELECT pg_advisory_lock(1634627169, 1650814819)").execute(&mut connection).await.unwrap();
    let (code, _, err) = run_on(&url, &["bench", "--seconds", "1"]);
    assert_eq!((code, err.as_str()), (1, "annals: another bench is running in this database\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_cleans_up_where_it_is_interrupted() {
    let (url, _store, _, folder) = place::sqlite().await;
    let mut command = annals(&["bench", "--seconds", "600"]);
    let mut child = command.env("DATABASE_URL", &url).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = child.stderr.take().unwrap();
    // It says where it is once it has begun.
    let mut said = [0; 8];
    err.read_exact(&mut said).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("annals: interrupted\n"), "{rest}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("shop.db")), "{left:?}");
}

#[test]
fn bench_makes_no_database_of_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = run_on(&format!("sqlite:{}/missing.db", folder.path().display()), &["bench"]);
    assert_eq!((code, std::fs::read_dir(folder.path()).unwrap().count()), (1, 0), "{err}");
}
