//! `annals migrate`.

use annals::{PostgresStore, SqliteStore};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, sqlite::SqliteConnectOptions};

use super::{
    program::{done_on, run_on},
    shown::shows_but_for,
};
use crate::postgres_server::Database;

/// What there is in a SQLite file, but for when.
async fn schema_of(path: &std::path::Path) -> Vec<(String, Option<String>)> {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let schema =
        sqlx::query("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE '%annals_migrations%' ORDER BY name");
    let rows = schema.fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| (row.get("name"), row.get("sql"))).collect()
}

#[tokio::test]
async fn migrate_makes_a_file_where_it_is_told_to_and_is_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let url = format!("sqlite:{}", path.display());
    let (code, out, err) = run_on(&url, &["migrate"]);
    assert_eq!((code, out.as_str(), path.exists()), (1, "", false), "{err}");
    let made = format!("{url}?mode=rwc");
    let newest = annals::sqlite::SCHEMA_VERSION.to_string();
    let also = [(newest.as_str(), "[newest]"), (r"(?s)0006_.*\]|0006_.*", "…")];
    shows_but_for("migrate", &done_on(&made, &["migrate"]), &also);
    assert!(SqliteStore::options().migrates(false).open(&path).await.is_ok());
    assert_eq!(done_on(&url, &["migrate"]), format!("schema {newest}: up to date\n"));
    assert_eq!(done_on(&url, &["migrate", "-q"]), "");
    let told: serde_json::Value = serde_json::from_str(&done_on(&url, &["migrate", "--format", "json"])).unwrap();
    assert_eq!((&told["from"], &told["migrations"]), (&told["to"], &serde_json::json!([])));
}

#[tokio::test]
async fn migrate_prints_a_script_for_sqlite3_that_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (migrated, scripted) = (folder.path().join("migrated.db"), folder.path().join("scripted.db"));
    SqliteStore::open(&migrated).await.unwrap().close().await;
    // The database need not be there.
    let url = format!("sqlite:{}", scripted.display());
    let script = done_on(&url, &["migrate", "--print", "--all"]);
    assert!(!scripted.exists());
    let made = SqliteConnectOptions::new().filename(&scripted).create_if_missing(true);
    // Safe: what our own program prints.
    sqlx::raw_sql(AssertSqlSafe(script.as_str())).execute(&mut made.connect().await.unwrap()).await.unwrap();
    assert_eq!(schema_of(&scripted).await, schema_of(&migrated).await);
    // It opens as it is, and for whoever would migrate it there is nothing to do.
    SqliteStore::options().migrates(false).open(&scripted).await.unwrap().close().await;
    SqliteStore::open(&scripted).await.unwrap().close().await;
    let (code, out, err) = run_on(&url, &["migrate", "--print"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("up to date"), "{err}");
    assert_eq!(run_on(&url, &["migrate", "--all"]).0, 2, "all of what?");
}

#[tokio::test]
async fn migrate_prints_a_script_for_psql_that_does_the_same() {
    let database = Database::create().await;
    let script = done_on(database.url(), &["migrate", "--print"]);
    assert_eq!(script, done_on(database.url(), &["migrate", "--print", "--all"]));
    let (code, out, _) = run_on(database.url(), &["status"]);
    assert_eq!((code, out.contains("schema    0, this program needs")), (3, true), "{out}");
    // Safe: what our own program prints.
    sqlx::raw_sql(AssertSqlSafe(script.as_str())).execute(&mut database.connection().await).await.unwrap();
    PostgresStore::options().migrates(false).connect(database.url()).await.unwrap().close().await;
    PostgresStore::connect(database.url()).await.unwrap().close().await;
    assert_eq!(run_on(database.url(), &["status"]).0, 0);
    let newest = annals::postgres::SCHEMA_VERSION;
    assert_eq!(done_on(database.url(), &["migrate"]), format!("schema {newest}: up to date\n"));
}

#[tokio::test]
async fn migrate_brings_an_older_schema_up_to_date() {
    let database = Database::create().await;
    let whole = done_on(database.url(), &["migrate", "--print", "--all"]);
    // As an earlier version has left it.
    let (older, _) = whole.split_once("\n-- 0006_").unwrap();
    // Safe: what our own program prints.
    let script = AssertSqlSafe(format!("{older}\nCOMMIT;"));
    sqlx::raw_sql(script).execute(&mut database.connection().await).await.unwrap();
    for verb in ["status", "types", "sweep"] {
        let (code, out, err) = run_on(database.url(), &[verb]);
        let expected = if verb == "status" { 3 } else { 1 };
        assert_eq!(code, expected, "{verb}: {out}{err}");
        assert!(format!("{out}{err}").contains("schema"), "{verb}: {out}{err}");
    }
    let printed = done_on(database.url(), &["migrate", "--print"]);
    assert!(
        !printed.contains("-- 0005_") && printed.contains("-- 0006_") && printed.contains("from schema 5"),
        "{printed}"
    );
    let done = done_on(database.url(), &["migrate"]);
    assert!(done.starts_with("schema 5 → ") && done.contains("0006_responses"), "{done}");
    assert_eq!(run_on(database.url(), &["types"]).0, 0);
}

#[tokio::test]
async fn a_schema_of_newer_code_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    let note = "INSERT INTO annals_migrations (version, description, success, checksum, execution_time)
                VALUES (9999, 'later', TRUE, x'00', -1)";
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::raw_sql(note).execute(&mut connection).await.unwrap();
    for verb in ["status", "migrate", "types"] {
        let (code, out, err) = run_on(&format!("sqlite:{}", path.display()), &[verb]);
        assert_eq!((code, out.as_str()), (1, ""), "{verb}");
        assert!(err.contains("schema 9999") && err.contains("use a newer annals"), "{verb}: {err}");
    }
}

/// The tables of a store may lie in a schema that no search path leads to.
#[tokio::test]
async fn a_schema_is_named_by_an_option_or_by_the_environment() {
    let database = Database::create().await;
    sqlx::raw_sql("CREATE SCHEMA ordering").execute(&mut database.connection().await).await.unwrap();
    done_on(database.url(), &["migrate", "--schema", "ordering"]);
    let out = super::program::annals(&["status"])
        .env("DATABASE_URL", database.url())
        .env("ANNALS_SCHEMA", "ordering")
        .output()
        .unwrap();
    assert_eq!(super::program::ended(out).0, 0);
    assert_eq!(run_on(database.url(), &["status"]).0, 3, "public has none");
    let (code, _, err) = run_on(database.url(), &["status", "--schema", "Ordering; DROP"]);
    assert_eq!((code, err.contains("name of a schema")), (1, true), "{err}");
}
