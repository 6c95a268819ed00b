//! The schema, brought up to date when a store connects.

use std::{borrow::Cow, sync::Arc};

use sqlx::{
    Connection as _, PgConnection, Row as _, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{
    classify::classify,
    row::named,
    statement::{CHECK_POSITIONS, FIND_MIGRATIONS_TABLE, LOCK_SCHEMA, READ_SCHEMA},
};
use crate::store::{Error, SchemaState};

/// The migrations, in their order. A released one is never edited.
const MIGRATIONS: [(i64, &str, &str); 10] = [
    (1, "events", include_str!("../../migrations/postgres/0001_events.sql")),
    (2, "receipts", include_str!("../../migrations/postgres/0002_receipts.sql")),
    (3, "snapshots", include_str!("../../migrations/postgres/0003_snapshots.sql")),
    (4, "checkpoints", include_str!("../../migrations/postgres/0004_checkpoints.sql")),
    (5, "read_side", include_str!("../../migrations/postgres/0005_read_side.sql")),
    (6, "responses", include_str!("../../migrations/postgres/0006_responses.sql")),
    (7, "client_keys", include_str!("../../migrations/postgres/0007_client_keys.sql")),
    (8, "timers", include_str!("../../migrations/postgres/0008_timers.sql")),
    (9, "inbox", include_str!("../../migrations/postgres/0009_inbox.sql")),
    (10, "replays", include_str!("../../migrations/postgres/0010_replays.sql")),
];

/// The newest schema this code knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Kept apart from the application's own `_sqlx_migrations`.
const TABLE: &str = "annals_migrations";

/// Stands for annals among advisory locks: the first four letters.
const LOCK: i32 = i32::from_be_bytes(*b"anna");

/// Brings the schema up to date: all migrations or none, one opener at a time.
///
/// Where it is up to date nothing is written: a role that may create nothing can open the store. Where it may not be
/// brought up to date, an older one is refused.
pub(super) async fn migrate(connection: &mut PgConnection, may: bool) -> Result<(), Error> {
    if !may {
        check_schema(connection).await?;
    } else if schema_version(connection).await? < SCHEMA_VERSION {
        // Each of sqlx's migrations becomes a savepoint in this transaction.
        let mut alone = connection.begin().await.map_err(classify)?;
        sqlx::query(LOCK_SCHEMA).bind(LOCK).execute(&mut *alone).await.map_err(classify)?;
        schema_version(&mut alone).await?;
        // Not through `Migrator::run`: its future cannot be shown to be `Send`, and stores are opened in spawned tasks.
        migrator().run_direct(None, &mut *alone, false).await.map_err(unfit)?;
        alone.commit().await.map_err(classify)?;
    }
    check_positions(connection).await
}

/// Which schema the database has. One that is newer, or not ours, is refused.
pub(super) async fn state(connection: &mut PgConnection) -> Result<SchemaState, Error> {
    Ok(SchemaState::new(schema_version(connection).await?, &MIGRATIONS))
}

/// As sqlx makes it, with the same columns.
const MAKE_TABLE: &str = "CREATE TABLE IF NOT EXISTS annals_migrations (
    version bigint PRIMARY KEY,
    description text NOT NULL,
    installed_on timestamptz NOT NULL DEFAULT now(),
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);";

/// Writes the migrations above a schema as one script for `psql`.
///
/// It also notes that they were done.
/// For a database administrator, where the service's role may create no tables: afterwards the store opens without
/// migrating. 0: all migrations. Empty where there are none.
#[must_use]
pub fn schema_script(found: i64) -> String {
    SchemaState::new(found, &MIGRATIONS).script(MAKE_TABLE, |digest| format!("'\\x{digest}'"))
}

/// Makes sure that the schema is the one this code knows, and of nothing else.
pub(super) async fn check_schema(connection: &mut PgConnection) -> Result<(), Error> {
    match schema_version(connection).await? {
        SCHEMA_VERSION => Ok(()),
        found => Err(schema(format!(
            "the database has schema {found}, this version of annals needs {SCHEMA_VERSION}: open it once for writing, or \
             run `annals migrate`"
        ))),
    }
}

/// The newest migration the database has seen: 0 where there was none. One that is not ours, or newer, is refused.
async fn schema_version(connection: &mut PgConnection) -> Result<i64, Error> {
    let found = sqlx::query(FIND_MIGRATIONS_TABLE).fetch_one(&mut *connection).await.map_err(classify)?;
    if !named::<bool>(&found, "has_schema")? {
        return Err(schema("the search path names no schema that exists: create it first".to_owned()));
    }
    if !named::<bool>(&found, "has_migrations")? {
        return Ok(0);
    }
    let mut version = 0;
    let known = migrator();
    for row in sqlx::query(READ_SCHEMA).fetch_all(connection).await.map_err(classify)? {
        version = row.try_get("version").map_err(classify)?;
        let Some(migration) = known.iter().find(|migration| migration.version == version) else {
            return Err(schema(format!(
                "the database has schema {version}, this version of annals knows up to {SCHEMA_VERSION}: use a newer annals"
            )));
        };
        if named::<&[u8]>(&row, "checksum")? != &*migration.checksum || !named::<bool>(&row, "success")? {
            return Err(schema(format!("migration {version} of this database is not the one that was released")));
        }
    }
    Ok(version)
}

/// Makes sure that positions come one by one and that none is beyond what was drawn.
///
/// A restore of the tables without their sequence, or logical replication, would have positions issued twice. And an
/// append needs to see what others committed while it waited: that is READ COMMITTED.
async fn check_positions(connection: &mut PgConnection) -> Result<(), Error> {
    let row = sqlx::query(CHECK_POSITIONS).fetch_one(connection).await.map_err(classify)?;
    let (cache, increment) = (named::<i64>(&row, "cache")?, named::<i64>(&row, "increment")?);
    if (cache, increment) != (1, 1) {
        return Err(schema(format!(
            "the sequence annals_positions has CACHE {cache} and INCREMENT {increment}: both have to be 1"
        )));
    }
    let last_event = named::<Option<i64>>(&row, "last_event")?.unwrap_or(0);
    let last_drawn = named::<i64>(&row, "last_position")?;
    if last_drawn < last_event {
        return Err(schema(format!(
            "the log ends at position {last_event}, but its sequence annals_positions only at {last_drawn}: \
             set it right with setval() before anything is written"
        )));
    }
    let encoding: &str = named(&row, "encoding")?;
    if encoding != "UTF8" {
        return Err(schema(format!(
            "the database's encoding is {encoding}: some texts could not be stored in it, UTF8 can"
        )));
    }
    match named::<&str>(&row, "isolation")? {
        "read committed" => Ok(()),
        other => Err(schema(format!("appends need READ COMMITTED, but here transactions are {other} by default"))),
    }
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.into());
    migrator.dangerous_set_table_name(TABLE);
    migrator.set_locking(false);
    migrator
}

fn schema(message: String) -> Error {
    Error::Schema { message, source: None }
}

fn unfit(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => classify(error),
        other => {
            Error::Schema { message: "the database could not be migrated".to_owned(), source: Some(Arc::new(other)) }
        }
    }
}
