//! Every statement of the SQLite store.

use std::collections::BTreeSet;

use annals::SqliteStore;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _, SqliteConnection};
use sqlx::{Statement as _, sqlite::SqliteConnectOptions};

async fn migrated() -> (tempfile::TempDir, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    let connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    (folder, connection)
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let (_folder, mut connection) = migrated().await;
    for (name, sql) in annals::sqlite::statements() {
        // Safe: the text of a file of the crate.
        let prepared = (&mut connection).prepare(AssertSqlSafe(sql.as_str()).into_sql_str()).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{name}.sql: {error}\n{sql}"));
        let binds = prepared.parameters().and_then(|parameters| parameters.right()).unwrap_or(0);
        let documented = (1..).take_while(|number| sql.contains(&format!("?{number} "))).count();
        // A row of VALUES is repeated, what stands beside it is not; all others document each bind.
        if let Some((_, rows)) = sql.split_once("VALUES (?") {
            let row = rows.split_once(')').unwrap().0.matches('?').count() + 1;
            let beside = documented - row;
            assert_eq!((binds - beside) % row, 0, "{name}.sql takes {binds} binds: {beside}, and rows of {row}");
        } else {
            assert_eq!(binds, documented, "{name}.sql takes {binds} binds and documents {documented}");
        }
    }
}

#[test]
fn every_file_is_among_the_statements_and_every_statement_has_a_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sqlite/sql");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".sql").unwrap_or_else(|| panic!("{name} is no .sql file")).to_owned())
        .collect();
    let listed: BTreeSet<String> = annals::sqlite::statements().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(files, listed);
    for (name, sql) in annals::sqlite::statements() {
        let file = std::fs::read_to_string(format!("{folder}/{name}.sql")).unwrap();
        let (same, _) = file.rsplit_once("VALUES (").unwrap_or((&file, ""));
        assert!(sql.starts_with(same.trim_end()), "{name} is not the text of its file");
    }
}

/// Reads go by an index: none walks through all events, however many there are.
#[tokio::test]
async fn no_statement_walks_through_all_events() {
    let (_folder, mut connection) = migrated().await;
    // For whoever looks after the store: everything, or up to a bound.
    let counts = |name: &str| ["count_rows", "count_types"].contains(&name);
    for (name, sql) in annals::sqlite::statements().into_iter().filter(|(name, _)| !counts(name)) {
        // Safe: the text of a file of the crate.
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan = sqlx::query(explain).fetch_all(&mut connection).await.unwrap();
        for step in plan.iter().map(|row| row.get::<String, _>("detail")) {
            // What is given as JSON is walked through, and so are rows of VALUES, those that a LIMIT has
            // counted out, and where groups begin.
            let given = [
                "input",
                "bounded",
                "span",
                "json_each",
                "CONSTANT ROW",
                "VALUES CLAUSE",
                "annals_migrations",
                "sqlite_schema",
                "pragma_",
                "queues",
            ];
            let walks = step.starts_with("SCAN ") && !given.iter().any(|given| step.contains(given));
            assert!(!walks, "{name}.sql: {step}");
            assert!(!step.contains("TEMP B-TREE"), "{name}.sql sorts: {step}");
        }
    }
}
