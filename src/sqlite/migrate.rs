//! The schema, brought up to date when a database is opened.

use std::{borrow::Cow, sync::Arc};

use sqlx::{
    Connection as _, Row as _, SqlSafeStr as _, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{
    classify::classify,
    statement::{FIND_MIGRATIONS_TABLE, READ_ENCODING, READ_SCHEMA},
};
use crate::store::{Error, SchemaState};

/// The migrations, in their order. A released one is never edited.
const MIGRATIONS: [(i64, &str, &str); 10] = [
    (1, "events", include_str!("../../migrations/sqlite/0001_events.sql")),
    (2, "receipts", include_str!("../../migrations/sqlite/0002_receipts.sql")),
    (3, "snapshots", include_str!("../../migrations/sqlite/0003_snapshots.sql")),
    (4, "checkpoints", include_str!("../../migrations/sqlite/0004_checkpoints.sql")),
    (5, "read_side", include_str!("../../migrations/sqlite/0005_read_side.sql")),
    (6, "responses", include_str!("../../migrations/sqlite/0006_responses.sql")),
    (7, "client_keys", include_str!("../../migrations/sqlite/0007_client_keys.sql")),
    (8, "timers", include_str!("../../migrations/sqlite/0008_timers.sql")),
    (9, "inbox", include_str!("../../migrations/sqlite/0009_inbox.sql")),
    (10, "replays", include_str!("../../migrations/sqlite/0010_replays.sql")),
];

/// The newest schema this code knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Kept apart from the application's own `_sqlx_migrations`.
const TABLE: &str = "annals_migrations";

/// Brings the schema up to date: all migrations or none, one opener at a time.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), Error> {
    if schema_version(connection).await? == SCHEMA_VERSION {
        return run_migrations(connection).await;
    }
    // sqlx takes no lock on SQLite. Each of its migrations becomes a savepoint in this transaction.
    let mut exclusive = connection.begin_with("BEGIN EXCLUSIVE").await.map_err(classify)?;
    schema_version(&mut exclusive).await?;
    run_migrations(&mut exclusive).await?;
    exclusive.commit().await.map_err(classify)
}

/// Makes sure that the schema, if there is one, is none that only newer code knows.
pub(super) async fn refuse_newer(connection: &mut SqliteConnection) -> Result<(), Error> {
    schema_version(connection).await.map(drop)
}

/// Makes sure the schema is the one this code knows, where nothing may be written.
pub(super) async fn check(connection: &mut SqliteConnection) -> Result<(), Error> {
    match schema_version(connection).await? {
        SCHEMA_VERSION => Ok(()),
        found => Err(Error::Schema {
            message: format!(
                "the database has schema {found}, this version of annals needs {SCHEMA_VERSION}: open it once for writing, or \
             run `annals migrate`"
            ),
            source: None,
        }),
    }
}

/// Which schema the database has. One that is newer is refused.
pub(super) async fn state(connection: &mut SqliteConnection) -> Result<SchemaState, Error> {
    Ok(SchemaState::new(schema_version(connection).await?, &MIGRATIONS))
}

/// What a database lacks that is not there.
pub(super) fn nothing_seen() -> SchemaState {
    SchemaState::new(0, &MIGRATIONS)
}

/// As sqlx makes it, with the same columns.
const MAKE_TABLE: &str = "CREATE TABLE IF NOT EXISTS annals_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);";

/// Writes the migrations above a schema as one script for `sqlite3`.
///
/// It also notes that they were done.
/// Afterwards the store opens without migrating. 0: all migrations. Empty where there are none.
#[must_use]
pub fn schema_script(found: i64) -> String {
    SchemaState::new(found, &MIGRATIONS).script(MAKE_TABLE, |digest| format!("x'{digest}'"))
}

/// Text is read as UTF-8 bytes; a database that was made with another encoding would give other bytes.
async fn check_encoding(connection: &mut SqliteConnection) -> Result<(), Error> {
    let row = sqlx::query(READ_ENCODING).fetch_one(connection).await.map_err(classify)?;
    match row.try_get::<&str, _>(0) {
        Ok("UTF-8") => Ok(()),
        _ => Err(Error::Schema {
            message: "the database was made with another encoding than UTF-8: its text cannot be read".to_owned(),
            source: None,
        }),
    }
}

/// The newest migration the database has seen: 0 where there was none.
async fn schema_version(connection: &mut SqliteConnection) -> Result<i64, Error> {
    check_encoding(connection).await?;
    let found = sqlx::query(FIND_MIGRATIONS_TABLE).fetch_one(&mut *connection).await.map_err(classify)?;
    if found.try_get::<i64, _>(0).map_err(classify)? == 0 {
        return Ok(0);
    }
    let newest = sqlx::query(READ_SCHEMA).fetch_one(connection).await.map_err(classify)?;
    match newest.try_get::<Option<i64>, _>(0).map_err(classify)?.unwrap_or(0) {
        version if version > SCHEMA_VERSION => Err(Error::Schema {
            message: format!(
                "the database has schema {version}, this version of annals knows up to {SCHEMA_VERSION}: use a newer annals"
            ),
            source: None,
        }),
        version => Ok(version),
    }
}

/// Not through `Migrator::run`: its future cannot be shown to be `Send`, and stores are opened in spawned tasks.
async fn run_migrations(connection: &mut SqliteConnection) -> Result<(), Error> {
    migrator().run_direct(None, connection, false).await.map_err(unfit)
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.into());
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

fn unfit(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => classify(error),
        MigrateError::VersionMismatch(version) => Error::Schema {
            message: format!("migration {version} of this database is not the one that was released"),
            source: Some(Arc::new(error)),
        },
        other => {
            Error::Schema { message: "the database could not be migrated".to_owned(), source: Some(Arc::new(other)) }
        }
    }
}
