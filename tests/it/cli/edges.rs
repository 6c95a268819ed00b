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
