//! The schema, and the plans of the statements on it.

use std::{borrow::Cow, fs, path::Path};

use annals::{Append, Error, EventStoreExt as _, NewEvent, SqliteStore, StreamQuery, sqlite};
use sqlx::{
    AssertSqlSafe, Connection as _, Row as _, SqlSafeStr as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    Database, assert_contiguous, note,
    process::{self, Process},
};

/// What a database consists of, as SQL.
async fn schema(database: &Database) -> Vec<(String, String, Option<String>)> {
    let mut connection = database.connect().await;
    let rows = sqlx::query("SELECT name, type, sql FROM sqlite_schema ORDER BY name").fetch_all(&mut connection).await;
    rows.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

async fn fresh_schema() -> Vec<(String, String, Option<String>)> {
    let database = Database::new();
    database.open().await.close().await;
    let schema = schema(&database).await;
    let tables: Vec<_> = schema.iter().map(|(name, ..)| name.as_str()).collect();
    assert!(tables.contains(&"annals_events") && tables.contains(&"annals_receipts"), "{tables:?}");
    schema
}

/// The migrations as they lie in their folder, in their order.
fn migrations() -> Vec<Migration> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let migration = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (version, name) = name.split_once('_').unwrap();
        let sql = AssertSqlSafe(fs::read_to_string(path).unwrap()).into_sql_str();
        let name = Cow::Owned(name.to_owned());
        Migration::new(version.parse().unwrap(), name, MigrationType::Simple, sql, false)
    };
    files.iter().map(migration).collect()
}

/// Makes the database of an earlier version.
async fn migrate_up_to(connection: &mut SqliteConnection, count: usize) {
    let mut migrator = Migrator::with_migrations(migrations().into_iter().take(count).collect());
    migrator.dangerous_set_table_name("annals_migrations");
    migrator.run(connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn store_096_every_earlier_schema_becomes_the_newest() {
    let (newest, steps) = (fresh_schema().await, migrations().len());
    assert_eq!(steps as i64, sqlite::SCHEMA_VERSION, "every migration in the folder is run");
    for step in 0..=steps {
        let database = Database::new();
        let mut connection = database.connect().await;
        migrate_up_to(&mut connection, step).await;
        connection.close().await.unwrap();
        let read_only = format!("sqlite:{}?mode=ro", database.path().display());
        let opened = SqliteStore::connect(&read_only).await;
        match opened {
            Ok(store) if step == steps => store.close().await,
            Err(Error::Schema { message, .. }) if step < steps => {
                assert!(message.contains(&format!("schema {step}")), "the message names what was found: {message}");
            }
            other => panic!("a pending migration makes opening for reading fail, from {step}: {other:?}"),
        }
        let store = database.open().await;
        store.append_one(note(Uuid::now_v7(), [1])).await.unwrap();
        store.close().await;
        assert_eq!(schema(&database).await, newest, "from schema {step}");
        let store = database.open().await;
        assert_contiguous(&store, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_096_many_first_openers_at_once_all_succeed() {
    let newest = fresh_schema().await;
    for _ in 0..5 {
        let database = Database::new();
        let mut openers = JoinSet::new();
        for opener in 0..8 {
            let path = database.path();
            openers.spawn(async move {
                let store = SqliteStore::open(path).await?;
                store.append_one(note(Uuid::now_v7(), [opener])).await
            });
        }
        for opened in openers.join_all().await {
            opened.expect("every first opener succeeds");
        }
        assert_eq!(schema(&database).await, newest);
        assert_contiguous(&database.open().await, 8).await;
    }
}

#[test]
fn store_096_two_processes_that_open_first_at_once_both_succeed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let newest = runtime.block_on(fresh_schema());
    for _ in 0..5 {
        let database = Database::new();
        let mut openers = [(); 2].map(|()| Process::start("sqlite::schema::an_opener", &database.path()));
        for opener in &mut openers {
            assert_eq!(opener.answer(), "ready");
        }
        openers.iter_mut().for_each(|opener| opener.tell("go"));
        for opener in &mut openers {
            assert_eq!(opener.answer(), "opened and written");
        }
        assert_eq!(runtime.block_on(schema(&database)), newest);
        runtime.block_on(async { assert_contiguous(&database.open().await, 2).await });
    }
}

#[tokio::test]
#[ignore = "run by store_096_two_processes_that_open_first_at_once_both_succeed, as a process of its own"]
async fn an_opener() {
    process::answer("ready");
    process::told();
    let store = SqliteStore::open(process::database()).await.unwrap();
    store.append_one(note(Uuid::now_v7(), [1])).await.unwrap();
    process::answer("opened and written");
    process::told();
}

#[tokio::test(flavor = "multi_thread")]
async fn store_096_a_schema_that_is_not_known_is_a_clear_error() {
    for (change, naming) in [
        ("INSERT INTO annals_migrations SELECT version + 1, description, installed_on, success, checksum, execution_time
          FROM annals_migrations ORDER BY version DESC LIMIT 1", "newer"),
        ("UPDATE annals_migrations SET checksum = zeroblob(48) WHERE version = 1", "migration 1"),
    ] {
        let database = Database::new();
        database.open().await.close().await;
        let mut connection = database.connect().await;
        sqlx::query(change).execute(&mut connection).await.unwrap();
        let before = schema(&database).await;
        match SqliteStore::open(database.path()).await {
            Err(Error::Schema { message, .. }) => assert!(message.contains(naming), "{message}"),
            other => panic!("expected an error about the schema, got {other:?}"),
        }
        assert_eq!(schema(&database).await, before, "nothing was changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_096_the_applications_own_migrations_are_left_alone() {
    let database = Database::new();
    let mut connection = database.connect().await;
    let sql = "CREATE TABLE invoices (id INTEGER PRIMARY KEY)".into_sql_str();
    let own = Migration::new(1, Cow::Borrowed("invoices"), MigrationType::Simple, sql, false);
    let own = Migrator::with_migrations(vec![own]);
    own.run(&mut connection).await.unwrap();
    let store = database.open().await;
    store.append_one(note(Uuid::now_v7(), [1])).await.unwrap();
    own.run(&mut connection).await.expect("the application's migrations are as it left them");
    let rows = sqlx::query("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(rows.get::<i64, _>(0), 1);
}

/// Makes sure that every statement finds its rows through an index.
async fn assert_indexed(database: &Database, when: &str) {
    let mut connection = database.connect().await;
    let mut searches = 0;
    // For whoever looks after the store: these count everything, or up to a bound.
    let counts = |name: &str| ["count_rows", "count_types"].contains(&name);
    for (name, sql) in sqlite::statements().into_iter().filter(|(name, _)| !counts(name)) {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&mut connection).await;
        for row in plan.unwrap_or_else(|error| panic!("{name}: {error}")) {
            let step: &str = row.get("detail");
            // What is read whole: the list of tables, and what a statement was given.
            let small = step.starts_with("SCAN sqlite_schema")
                || step.contains("VIRTUAL TABLE")
                || step.contains("VALUES CLAUSE")
                || step.contains("CONSTANT ROW")
                || step == "SCAN input"
                // Where the groups of a long read begin.
                || step == "SCAN span"
                // One row for each name that was found.
                || step == "SCAN queues"
                // What a part of the statement has found, up to a bound.
                || step == "SCAN bounded";
            assert!(!step.starts_with("SCAN") || small, "{name} scans, {when}: {step}");
            let sorts = step.contains("TEMP B-TREE") || step.contains("AUTOMATIC");
            assert!(!sorts, "{name} sorts, {when}: {step}");
            searches += usize::from(step.starts_with("SEARCH"));
        }
    }
    assert!(searches >= 15, "only {searches} searches were seen: the plans are not what this test takes them for");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_097_every_statement_finds_its_rows_by_an_index() {
    let database = Database::new();
    let store = database.open().await;
    assert_indexed(&database, "on an empty database").await;
    let few: Vec<_> = (0..10).map(|_| Uuid::now_v7()).collect();
    for round in 0..20 {
        let batch = (0..500).map(|at| {
            let id = if at % 2 == 0 { few[at % 10] } else { Uuid::now_v7() };
            let key = annals::IdempotencyKey::new(format!("{round}-{at}")).unwrap();
            note(id, [1, 2]).idempotency_key(key)
        });
        assert!(annals::EventStore::append(&store, batch.collect()).await.iter().all(Result::is_ok));
    }
    assert_indexed(&database, "with 20,000 events").await;
    sqlx::query("ANALYZE").execute(&mut database.connect().await).await.unwrap();
    assert_indexed(&database, "with 20,000 events and statistics").await;
}

#[tokio::test]
async fn text_comes_back_as_it_was_written_and_other_encodings_are_refused() {
    let database = Database::new();
    let store = database.open().await;
    let payload = "naïve \u{1f600} \u{0} \u{1f}";
    for number in 0..50 {
        let id = Uuid::new_v5(&Uuid::nil(), &[number]);
        store.append_one(Append::new("thing", id).event(NewEvent::new("naïf", payload).unwrap())).await.unwrap();
        let events = store.collect_stream(&StreamQuery::of(id)).await.unwrap();
        assert_eq!(events[0].payload(), serde_json::to_string(payload).unwrap());
        assert_eq!((events[0].event_type(), events[0].aggregate_id()), ("naïf", id));
    }
    for encoding in ["UTF-16le", "UTF-16be"] {
        let database = Database::new();
        let options = SqliteStore::options().pragma("encoding", format!("\"{encoding}\""));
        let refused = options.open(database.path()).await.unwrap_err();
        assert!(matches!(&refused, Error::Schema { message, .. } if message.contains("encoding")), "{refused:?}");
    }
}
