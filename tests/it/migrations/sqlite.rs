//! On SQLite: new files, old, newer, foreign and damaged ones, and several openers at once.

use std::{fs, path::Path};

use annals::{Append, Error, EventStoreExt as _, Fault, LogQuery, NewEvent, SqliteStore, sqlite::SCHEMA_VERSION};
use sqlx::{
    AssertSqlSafe, Connection as _, Row as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use uuid::Uuid;

use crate::faults::{child, fault_of, raw};

async fn append_one(store: &SqliteStore) {
    let event = NewEvent::new("noted", "text").unwrap();
    store.append_one(Append::new("note", Uuid::now_v7()).event(event)).await.unwrap();
}

async fn run(path: &Path, statement: &'static str) {
    let mut connection = raw(path).await;
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    // Closed before anybody looks at the file.
    connection.close().await.unwrap();
}

async fn tables(path: &Path) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let rows = sqlx::query(sql).fetch_all(&mut raw(path).await).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_applications_own_migrations_live_beside_ours() {
    let own = || {
        let create = "CREATE TABLE invoices (id INTEGER PRIMARY KEY)".into_sql_str();
        let first = Migration::new(1, "invoices".into(), MigrationType::Simple, create, false);
        Migrator::with_migrations(vec![first])
    };
    for own_first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        fs::write(&path, []).unwrap();
        if own_first {
            own().run(&mut raw(&path).await).await.unwrap();
        }
        for _ in 0..2 {
            let store = SqliteStore::open(&path).await.unwrap();
            append_one(&store).await;
            store.close().await;
            own().run(&mut raw(&path).await).await.unwrap();
        }
        let others: Vec<_> = tables(&path).await.into_iter().filter(|name| !name.starts_with("annals_")).collect();
        assert_eq!(others, ["_sqlx_migrations", "invoices"]);
        let mut connection = raw(&path).await;
        let count = |row: sqlx::sqlite::SqliteRow| row.get::<i64, _>(0);
        let theirs = sqlx::query("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut connection).await;
        assert_eq!(count(theirs.unwrap()), 1);
        let ours = sqlx::query("SELECT max(version) FROM annals_migrations").fetch_one(&mut connection).await;
        assert_eq!(count(ours.unwrap()), SCHEMA_VERSION);
    }
}

/// Opens, expects a schema error that says `says`, and that no byte of the file has changed.
async fn is_refused_unchanged(path: &Path, says: &str) {
    let before = fs::read(path).unwrap();
    for url in [path.display().to_string(), format!("{}?mode=ro", path.display())] {
        let error = SqliteStore::connect(&format!("sqlite:{url}")).await.unwrap_err();
        assert!(matches!(error, Error::Schema { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(fs::read(path).unwrap() == before, "the file was changed");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    // In the journal mode that somebody else may have left it in, too.
    for journal in ["PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let store = SqliteStore::open(&path).await.unwrap();
        append_one(&store).await;
        store.close().await;
        let newer = "INSERT INTO annals_migrations (version, description, success, checksum, execution_time)
                     VALUES (99, 'later', 1, x'00', 0)";
        run(&path, newer).await;
        run(&path, journal).await;
        is_refused_unchanged(&path, "schema 99").await;
    }
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    run(&path, "UPDATE annals_migrations SET checksum = x'00' WHERE version = 1").await;
    let before = fs::read(&path).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }), "{error:?}");
    assert!(error.to_string().contains("migration 1 "), "{error}");
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[tokio::test]
async fn an_interrupted_migration_is_finished() {
    // What the first migration made is there; then nothing but the table of migrations.
    for (kept, forgotten) in [("annals_events", 1), ("", 0)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        SqliteStore::open(&path).await.unwrap().close().await;
        let mut connection = raw(&path).await;
        for table in tables(&path).await.iter().filter(|name| *name != kept && *name != "annals_migrations") {
            // Safe: a name of the schema's own.
            let drop = AssertSqlSafe(format!("DROP TABLE {table}"));
            sqlx::query(drop).execute(&mut connection).await.unwrap();
        }
        let forget = sqlx::query("DELETE FROM annals_migrations WHERE version > ?").bind(forgotten);
        forget.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let reader = SqliteStore::connect(&format!("sqlite:{}?mode=ro", path.display())).await.unwrap_err();
        assert!(matches!(reader, Error::Schema { .. }), "{reader:?}");
        let store = SqliteStore::open(&path).await.unwrap();
        append_one(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_migration_said_to_have_failed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    run(&path, "UPDATE annals_migrations SET success = 0 WHERE version = 2").await;
    assert!(matches!(SqliteStore::open(&path).await.unwrap_err(), Error::Schema { .. }));
}

#[tokio::test]
async fn tables_of_our_names_that_are_not_ours_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    fs::write(&path, []).unwrap();
    run(&path, "CREATE TABLE annals_events (something TEXT)").await;
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. } | Error::Backend { .. }), "{error:?}");
    assert_eq!(tables(&path).await, ["annals_events"], "half a schema was left behind");
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    let text = "Dear database, ".repeat(1000);
    fs::write(&path, &text).unwrap();
    for url in ["", "?mode=ro"] {
        let error = SqliteStore::connect(&format!("sqlite:{}{url}", path.display())).await.unwrap_err();
        assert_eq!(fault_of(&error), Some(Fault::Corrupt), "{error:?}");
    }
    assert!(fs::read_to_string(&path).unwrap() == text, "the file was changed");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "files were left beside it");
    let error = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    // A folder that is not there, and one that is a file.
    for path in [folder.path().join("no/such/folder/events.db"), path.join("below")] {
        let error = SqliteStore::open(&path).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid { message } if message.contains("there is no folder")), "{error:?}");
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    fs::write(&path, []).unwrap();
    append_one(&SqliteStore::open(&path).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_openers_at_once_all_succeed() {
    for openers in [2, 8] {
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("events.db");
            let tasks: Vec<_> = (0..openers)
                .map(|_| {
                    let path = path.clone();
                    tokio::spawn(async move {
                        let store = SqliteStore::open(&path).await.unwrap();
                        append_one(&store).await;
                        store
                    })
                })
                .collect();
            let mut store = None;
            for task in tasks {
                store = Some(task.await.unwrap());
            }
            assert_eq!(store.unwrap().collect_log(&LogQuery::all()).await.unwrap().len(), openers);
        }
    }
}

#[test]
fn child_opens_and_appends() {
    let Some(path) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        // Both are started before either may begin.
        while !path.with_extension("go").exists() {
            std::thread::yield_now();
        }
        append_one(&SqliteStore::open(path).await.unwrap()).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn first_openers_of_two_processes_both_succeed() {
    for _ in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let children =
            [(); 2].map(|()| child::command("migrations::sqlite::child_opens_and_appends", &path, "", &[]).spawn());
        fs::write(path.with_extension("go"), []).unwrap();
        for child in children {
            let output = child.unwrap().wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        let store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.collect_log(&LogQuery::all()).await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opener_waits_for_another_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    fs::write(&path, []).unwrap();
    let mut other = raw(&path).await;
    sqlx::query("PRAGMA journal_mode = WAL").execute(&mut other).await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let impatient = SqliteStore::options().busy_timeout(std::time::Duration::from_millis(20)).open(&path).await;
    assert!(matches!(impatient.unwrap_err(), Error::Contention { .. }));
    held.commit().await.unwrap();
    append_one(&SqliteStore::open(&path).await.unwrap()).await;
}

#[tokio::test]
async fn urls_name_files_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().display().to_string();
    for (url, file) in [
        (format!("sqlite:{base}/a.db"), "a.db"),
        (format!("sqlite://{base}/b.db"), "b.db"),
        (format!("sqlite:{base}/c.db?mode=rwc"), "c.db"),
        (format!("sqlite:{base}/d%20%3F.db"), "d ?.db"),
        (format!("sqlite:{base}/a.db?mode=rw"), "a.db"),
    ] {
        let store = SqliteStore::connect(&url).await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        append_one(&store).await;
        store.close().await;
        assert!(folder.path().join(file).is_file(), "{url}");
    }
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:anything?mode=memory"] {
        let (one, two) = (SqliteStore::connect(url).await.unwrap(), SqliteStore::connect(url).await.unwrap());
        append_one(&one).await;
        assert_eq!(one.collect_log(&LogQuery::all()).await.unwrap().len(), 1);
        assert_eq!(two.collect_log(&LogQuery::all()).await.unwrap().len(), 0, "{url} is a database of its own");
    }
    // To write a file that has to be there already.
    let error = SqliteStore::connect(&format!("sqlite:{base}/none.db?mode=rw")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(!folder.path().join("none.db").exists());
    for url in [
        "",
        "orders.db",
        "postgres://host/db",
        "sqlite:",
        "sqlite://",
        "sqlite:?mode=rwc",
        "sqlite:x?mode=odd",
        "sqlite:x?y=z",
    ] {
        let error = SqliteStore::connect(url).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{url:?}: {error:?}");
    }
}

#[tokio::test]
async fn paths_are_taken_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b.db", "what?.db", "100%41.db", "#1.db", "ünï.db", "x:memory:"] {
        let path = folder.path().join(name);
        let store = SqliteStore::open(&path).await.unwrap();
        append_one(&store).await;
        store.close().await;
        assert!(path.is_file(), "{name}");
        let again = SqliteStore::open(&path).await.unwrap();
        assert_eq!(again.collect_log(&LogQuery::all()).await.unwrap().len(), 1, "{name}");
    }
    let url = format!("sqlite:{}/y:memory:", folder.path().display());
    append_one(&SqliteStore::connect(&url).await.unwrap()).await;
    assert!(folder.path().join("y:memory:").is_file());
    // SQLite takes these for other things than files: a database that is gone with its connection.
    for path in ["", ":memory:", "file:x?mode=memory"] {
        let error = SqliteStore::open(path).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{path:?}: {error:?}");
    }
}
