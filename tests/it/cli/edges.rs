//! What all verbs have in common.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use super::program::{annals, ended, run};

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
        let expected = if url.starts_with("mysql") { 2 } else { 1 };
        assert_eq!((code, out.as_str()), (expected, ""), "{url}");
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

/// Whoever has seen enough closes the pipe: there is nothing to be said of it.
#[tokio::test(flavor = "multi_thread")]
async fn data_for_a_closed_pipe_is_no_failure() {
    let (url, store, clock, _folder) = super::place::sqlite().await;
    super::shop::fill(&store, &clock).await;
    for args in [&["types"][..], &["status"], &["status", "--format", "json"], &["migrate", "--print", "--all"]] {
        let mut command = annals(args);
        command.env("DATABASE_URL", &url).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let (code, _, err) = ended(child.wait_with_output().unwrap());
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn without_a_database_it_is_called_wrongly() {
    for verb in ["status", "types", "verify", "migrate", "bench", "sweep"] {
        let (code, out, err) = run(&[verb]);
        assert_eq!((code, out.as_str()), (2, ""), "{verb}");
        assert!(err.contains("--database-url") && err.contains("DATABASE_URL"), "{verb}: {err}");
    }
}

/// With -v what the library does is said on standard error, and data stays data.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_what_it_does_where_it_is_asked_to() {
    let (url, _store, _, _folder) = super::place::sqlite().await;
    let (code, out, err) = ended(annals(&["sweep", "-vv"]).env("DATABASE_URL", &url).output().unwrap());
    assert_eq!((code, out.starts_with("KIND ")), (0, true));
    assert!(!err.contains('\u{1b}'), "{err}");
    assert_eq!(run(&["sweep", "-q", "-v", "--database-url", &url]).0, 2, "either");
}
