//! `annals migrate`: the schema, brought up to date.

use annals::{
    SqliteStore, postgres, sqlite,
    store::{PendingMigration, SchemaState},
};
use clap::Args as ClapArgs;
use serde_json::json;

use crate::{
    args::Session,
    database::{self, Kind, existing},
    ending::{Ended, Failure},
};

/// Brings the schema of the database up to this version
///
/// All migrations or none, in one transaction; several at once do no harm. A service that starts does the same by itself:
/// this is for those whose service may not change a schema, and for whoever wants to see first what would be done.
///
/// With --print nothing is changed: the script goes to standard output, for psql or sqlite3. It notes what it did, so that
/// the service opens the database without migrating. A SQLite file that is not there is made with `?mode=rwc` in the URL.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals migrate                                      brings it up to date
  annals migrate --print                              what would that do?
  annals migrate --print --all | psql \"$ADMIN_URL\"    a new database, made by an administrator
  annals migrate --database-url 'sqlite:new.db?mode=rwc'")]
pub struct MigrateArgs {
    /// Write the SQL to standard output, and change nothing
    #[arg(long)]
    print: bool,

    /// With --print: all migrations, for a database that has none. It need not be there
    #[arg(long, requires = "print")]
    all: bool,
}

/// Looks what is to be done, and does or prints it.
pub async fn run(session: &Session, args: &MigrateArgs) -> Result<Ended, Failure> {
    let url = session.url()?;
    let kind = Kind::of(url, session.schema.as_deref())?;
    if args.all {
        return print(session, kind, 0);
    }
    let before = state(session).await?;
    if args.print {
        return print(session, kind, before.found);
    }
    if !before.is_current() {
        match kind {
            Kind::Sqlite => drop(SqliteStore::connect(&existing(url)?).await?),
            Kind::Postgres => drop(database::postgres(session.schema.as_deref()).connect(url).await?),
        }
    }
    // For a deploy's log: what it says is an account of what it did.
    if session.printer.is_quiet() {
        return Ok(Ended::Done);
    }
    let done = json!({ "from": before.found, "to": before.needed, "migrations": names(&before.pending) });
    session.printer.object(&done, || match before.is_current() {
        true => format!("schema {}: up to date", before.found),
        false => format!("schema {} → {}: {}", before.found, before.needed, names(&before.pending).join(", ")),
    })?;
    Ok(Ended::Done)
}

/// Which schema the database has. It is not changed, nor made.
pub async fn state(session: &Session) -> Result<SchemaState, Failure> {
    let url = session.url()?;
    Ok(match Kind::of(url, session.schema.as_deref())? {
        Kind::Sqlite => SqliteStore::options().schema_state(&existing(url)?).await?,
        Kind::Postgres => database::postgres(session.schema.as_deref()).schema_state(url).await?,
    })
}

fn print(session: &Session, kind: Kind, found: i64) -> Result<Ended, Failure> {
    let (script, needed) = match kind {
        Kind::Sqlite => (sqlite::schema_script(found), sqlite::SCHEMA_VERSION),
        Kind::Postgres => (postgres::schema_script(found), postgres::SCHEMA_VERSION),
    };
    let shown = json!({ "from": found, "to": needed, "sql": script });
    session.printer.object(&shown, || script.clone())?;
    if script.is_empty() {
        session.printer.words(format!("schema {found}: up to date, there is nothing to do"));
    }
    Ok(Ended::Done)
}

fn names(pending: &[PendingMigration]) -> Vec<String> {
    pending.iter().map(|migration| format!("{:04}_{}", migration.version, migration.name)).collect()
}
