//! On PostgreSQL: new schemas, old, newer, edited and foreign ones, several openers at once, and roles of few rights.

use annals::{Append, Error, EventStoreExt as _, LogQuery, NewEvent, PostgresStore, postgres::SCHEMA_VERSION};
use sqlx::{
    PgConnection, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use uuid::Uuid;

use crate::postgres_server::Database;

async fn append_one(store: &PostgresStore) {
    let event = NewEvent::new("noted", "text").unwrap();
    store.append_one(Append::new("note", Uuid::now_v7()).event(event)).await.unwrap();
}

/// A database with a schema and one event.
async fn used() -> Database {
    let database = Database::create().await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    append_one(&store).await;
    store.close().await;
    database
}

async fn run(database: &Database, statements: &'static str) {
    sqlx::raw_sql(statements).execute(&mut database.connection().await).await.unwrap();
}

const TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename";

async fn tables(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(TABLES).fetch_all(connection).await.unwrap()
}

/// All that a refused opener could have changed: tables, migrations and positions.
async fn seen(database: &Database) -> (Vec<String>, Vec<String>, Option<i64>) {
    let connection = &mut database.connection().await;
    let migrations = "SELECT migration::text FROM annals_migrations AS migration ORDER BY version";
    let migrations = sqlx::query_scalar(migrations).fetch_all(&mut *connection).await.unwrap();
    let positions = "SELECT last_value FROM annals_positions";
    let position = sqlx::query_scalar(positions).fetch_one(&mut *connection).await.unwrap();
    (tables(connection).await, migrations, position)
}

/// The schema cannot be used, and nothing of it is touched.
async fn is_refused_unchanged(database: &Database, says: &str) {
    let before = seen(database).await;
    let error = PostgresStore::connect(database.url()).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }), "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(seen(database).await, before);
}

#[tokio::test]
async fn the_applications_own_migrations_live_beside_ours() {
    let own = || {
        let create = "CREATE TABLE invoices (id bigint PRIMARY KEY)".into_sql_str();
        let first = Migration::new(1, "invoices".into(), MigrationType::Simple, create, false);
        Migrator::with_migrations(vec![first])
    };
    for own_first in [true, false] {
        let database = Database::create().await;
        let mut connection = database.connection().await;
        if own_first {
            own().run(&mut connection).await.unwrap();
        }
        for _ in 0..2 {
            let store = PostgresStore::connect(database.url()).await.unwrap();
            append_one(&store).await;
            store.close().await;
            own().run(&mut connection).await.unwrap();
        }
        let mut found = tables(&mut connection).await;
        found.retain(|name| !name.starts_with("annals_"));
        assert_eq!(found, ["_sqlx_migrations", "invoices"]);
        let theirs = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM _sqlx_migrations");
        assert_eq!(theirs.fetch_one(&mut connection).await.unwrap(), 1);
        let ours = sqlx::query_scalar::<_, i64>("SELECT max(version) FROM annals_migrations");
        assert_eq!(ours.fetch_one(&mut connection).await.unwrap(), SCHEMA_VERSION);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_openers_at_once_all_succeed() {
    for openers in [2, 8] {
        let database = Database::create().await;
        let tasks: Vec<_> = (0..openers)
            .map(|_| {
                let url = database.url().to_owned();
                tokio::spawn(async move {
                    let store = PostgresStore::connect(&url).await.unwrap();
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

#[tokio::test]
async fn schemas_of_one_database_know_nothing_of_each_other() {
    let database = Database::create().await;
    run(&database, "CREATE SCHEMA one; CREATE SCHEMA other").await;
    let open = |schema| PostgresStore::options().schema(schema).connect(database.url());
    let (one, other) = tokio::join!(open("one"), open("other"));
    let (one, other) = (one.unwrap(), other.unwrap());
    append_one(&one).await;
    assert_eq!(one.collect_log(&LogQuery::all()).await.unwrap().len(), 1);
    assert_eq!(other.collect_log(&LogQuery::all()).await.unwrap().len(), 0);
    assert!(tables(&mut database.connection().await).await.is_empty());
}

#[tokio::test]
async fn an_older_schema_becomes_the_newest() {
    let database = used().await;
    run(
        &database,
        "DROP TABLE annals_receipts, annals_snapshots, annals_checkpoints, annals_parked_events, annals_responses,
                    annals_steps, annals_client_keys, annals_timers, annals_inbox, annals_inbox_places;
         DROP SEQUENCE annals_fences;
         DELETE FROM annals_migrations WHERE version > 1",
    )
    .await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    append_one(&store).await;
    assert_eq!(store.collect_log(&LogQuery::all()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let database = used().await;
    run(
        &database,
        "INSERT INTO annals_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'later', true, '\\x00', 0)",
    )
    .await;
    is_refused_unchanged(&database, "schema 99").await;
}

#[tokio::test]
async fn an_edited_migration_and_one_that_failed_are_refused() {
    for edit in [
        "UPDATE annals_migrations SET checksum = '\\x00' WHERE version = 2",
        "UPDATE annals_migrations SET success = false WHERE version = 2",
    ] {
        let database = used().await;
        run(&database, edit).await;
        is_refused_unchanged(&database, "migration 2 ").await;
    }
}

#[tokio::test]
async fn a_schema_is_made_whole_or_not_at_all() {
    let database = Database::create().await;
    // In the way of the second migration.
    run(&database, "CREATE TABLE annals_receipts (something text)").await;
    for _ in 0..2 {
        let error = PostgresStore::connect(database.url()).await.unwrap_err();
        assert!(matches!(error, Error::Schema { .. } | Error::Backend { .. }), "{error:?}");
        assert_eq!(tables(&mut database.connection().await).await, ["annals_receipts"]);
    }
    run(&database, "DROP TABLE annals_receipts").await;
    append_one(&PostgresStore::connect(database.url()).await.unwrap()).await;
}

#[tokio::test]
async fn positions_that_would_be_issued_twice_or_out_of_order_are_refused() {
    for (change, says) in [
        ("SELECT setval('annals_positions', 1, false)", "set it right with setval()"),
        ("ALTER SEQUENCE annals_positions CACHE 5", "CACHE 5"),
        ("ALTER SEQUENCE annals_positions INCREMENT 2", "INCREMENT 2"),
    ] {
        let database = used().await;
        run(&database, change).await;
        is_refused_unchanged(&database, says).await;
    }
    // As it says: a restore of the tables alone is mended, and goes on behind the last event.
    let database = used().await;
    run(&database, "SELECT setval('annals_positions', 1, false)").await;
    run(&database, "SELECT setval('annals_positions', (SELECT max(position) FROM annals_events))").await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    append_one(&store).await;
    let log = store.collect_log(&LogQuery::all()).await.unwrap();
    assert!(log[0].position() < log[1].position(), "{log:?}");
}

#[tokio::test]
async fn another_isolation_is_overruled_and_refused_where_it_cannot_be() {
    let database = used().await;
    let name = database.name();
    for isolation in ["repeatable read", "serializable"] {
        // Safe: a name that the harness has made up, and a constant.
        let set =
            sqlx::AssertSqlSafe(format!("ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'"));
        sqlx::raw_sql(set).execute(&mut database.connection().await).await.unwrap();
        append_one(&PostgresStore::connect(database.url()).await.unwrap()).await;
        let error = PostgresStore::options().pooled(true).connect(database.url()).await.unwrap_err();
        assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains(isolation), "{error:?}");
    }
}

#[tokio::test]
async fn without_a_schema_to_make_tables_in_there_is_a_clear_error() {
    let database = Database::create().await;
    let error = PostgresStore::options().schema("nowhere").connect(database.url()).await.unwrap_err();
    assert!(matches!(&error, Error::Schema { message, .. } if message.contains("no schema")), "{error:?}");
    for name in ["", "Upper", "a b", "1st", "a\"b", "a,b"] {
        let error = PostgresStore::options().schema(name).connect(database.url()).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{name:?}: {error:?}");
    }
}

/// Roles are of the whole server: this one is made once, and stays.
const OPENER: &str = "
    DO $$ BEGIN
        CREATE ROLE annals_test_opener LOGIN PASSWORD 'annals';
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC";

const GRANTS: &str = "
    GRANT SELECT ON annals_migrations TO annals_test_opener;
    GRANT SELECT, INSERT ON annals_events TO annals_test_opener;
    GRANT SELECT, INSERT, UPDATE, DELETE ON annals_receipts, annals_snapshots, annals_checkpoints, annals_parked_events
        TO annals_test_opener;
    GRANT SELECT, USAGE ON SEQUENCE annals_positions TO annals_test_opener";

#[tokio::test]
async fn only_the_first_opener_needs_the_right_to_create() {
    let database = Database::create().await;
    run(&database, OPENER).await;
    let url = database.url_as("annals_test_opener", Some("annals"));
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
    assert!(tables(&mut database.connection().await).await.is_empty());

    PostgresStore::connect(database.url()).await.unwrap().close().await;
    run(&database, GRANTS).await;
    append_one(&PostgresStore::connect(&url).await.unwrap()).await;
}
