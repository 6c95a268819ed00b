//! The program `annals`, run as operators run it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
    time::Duration,
};

use annals::{ResponseStore, SqliteStore};

use crate::sweeper::expired;

fn annals(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.args(args).env_remove("DATABASE_URL").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    ended(annals(args).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("it was not killed"), text(output.stdout), text(output.stderr))
}

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
    assert_eq!(
        out,
        "kind               rows\nsteps                 0\nreceipts              0\ntotal                 0\n"
    );
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

#[tokio::test]
async fn annals_never_makes_or_migrates_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.db");
    let (code, out, err) = run(&["sweep", "--database-url", &format!("sqlite:{}", missing.display())]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(!err.is_empty() && !missing.exists(), "{err}");
    // A file without our tables.
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let (code, _, err) = run(&["sweep", "--database-url", &format!("sqlite:{}", empty.display())]);
    assert_eq!(code, 1);
    assert!(err.contains("schema 0") && err.contains("open it once for writing"), "{err}");
    assert_eq!(std::fs::metadata(&empty).unwrap().len(), 0);
    let database = crate::postgres_server::Database::create().await;
    let (code, _, err) = run(&["sweep", "--database-url", database.url()]);
    assert_eq!(code, 1);
    assert!(err.contains("schema 0") && err.contains("open it once for writing"), "{err}");
}

#[test]
fn annals_called_wrongly_says_so_and_shows_no_password() {
    for args in [
        &[][..],
        &["sweep"],
        &["swoop"],
        &["sweep", "postgres://ann:s3cret@db/shop"],
        &["sweep", "--database-url", "postgres://ann:s3cret@db/shop", "--batch", "0"],
        &["sweep", "--database-url", "sqlite:a.db", "--only", "events"],
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(err.contains("--help") && !err.contains("s3cret"), "{args:?}: {err}");
    }
    for url in ["mysql://ann:s3cret@db/shop", "postgres://ann:s3cret@127.0.0.1:1/shop", "postgres://ann:s3cret@:x"] {
        let (code, out, err) = run(&["sweep", "--database-url", url]);
        assert_eq!((code, out.as_str()), (1, ""), "{url}");
        assert!(err.starts_with("annals: ") && !err.contains("s3cret"), "{url}: {err}");
    }
    let output = annals(&["sweep", "--help"]).env("DATABASE_URL", "postgres://ann:s3cret@db/shop").output().unwrap();
    let (code, out, err) = ended(output);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains("Example:") && out.contains("annals sweep --database-url") && !out.contains("s3cret"),
        "{out}"
    );
}

#[test]
fn annals_is_quiet_where_nobody_reads() {
    let mut child = annals(&["sweep", "--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let said = BufReader::new(child.stderr.take().unwrap()).lines().count();
    assert_eq!((child.wait().unwrap().code(), said), (Some(0), 0));
}
