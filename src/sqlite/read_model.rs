//! The tables of a projection, and which of its builds is shown.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    checkpoint::{self, changes, of_consumer, of_lease},
    classify::classify,
    row::column,
    statement::{DELETE_CHECKPOINTS, DELETE_PARKED_EVENTS, FIND_OBJECT, RENAME_PARKED_EVENTS, SET_BUILD, SWAP_BUILD},
};
use crate::store::{Checkpoint, Consumer, Error, Fault, Lease};

pub(super) async fn run_script(connection: &mut SqliteConnection, script: &str) -> Result<(), Error> {
    // Safe: made of texts of the application's code and of checked names alone, as the port demands.
    let run = sqlx::raw_sql(AssertSqlSafe(script)).execute(connection).await;
    run.map(drop).map_err(|error| refused("a projection's tables could not be made or removed", error))
}

pub(super) async fn show_table(connection: &mut SqliteConnection, view: &str, table: &str) -> Result<(), Error> {
    let found = sqlx::query(FIND_OBJECT).bind(view).fetch_optional(&mut *connection).await.map_err(classify)?;
    if let Some(row) = found {
        let kind: String = column(&row, 0)?;
        if kind != "view" {
            let message = format!("a projection is to be shown as {view}, but that is the name of a {kind}");
            return Err(Error::Schema { message, source: None });
        }
    }
    // A view can be made of a table that is not there: reading it tells. Safe: both names were checked to be plain.
    let show = AssertSqlSafe(format!(
        r#"DROP VIEW IF EXISTS "{view}"; CREATE VIEW "{view}" AS SELECT * FROM "{table}"; SELECT 1 FROM "{view}" LIMIT 0"#
    ));
    let shown = sqlx::raw_sql(show).execute(connection).await;
    shown.map(drop).map_err(|error| refused(&format!("the view {view} could not be made"), error))
}

/// Says that the database refused statements of a projection's own.
fn refused(what: &str, error: sqlx::Error) -> Error {
    match classify(error) {
        Error::Backend { fault: Fault::Other, source, .. } => Error::Schema { message: what.to_owned(), source },
        other => other,
    }
}

pub(super) async fn set_build(
    connection: &mut SqliteConnection,
    lease: &Lease,
    (build, version): (u32, u32),
) -> Result<bool, Error> {
    changes(connection, of_lease(SET_BUILD, lease).bind(build).bind(version)).await
}

/// Puts what was built anew in the place of what is shown.
pub(super) async fn swap_build(
    connection: &mut SqliteConnection,
    rebuild: &Lease,
    shown: &Consumer,
) -> Result<bool, Error> {
    let found = checkpoint::read(connection, shown).await?;
    let rebuilt = checkpoint::read(connection, &rebuild.consumer).await?;
    let (Some(found), Some(rebuilt)) = (found, rebuilt) else {
        return Ok(false);
    };
    if !rebuilt.is_held_by(rebuild) {
        return Ok(false);
    }
    found.check_level_with(&rebuilt)?;
    let Checkpoint { build, version, .. } = rebuilt;
    changes(connection, of_consumer(SWAP_BUILD, shown).bind(build).bind(version)).await?;
    changes(connection, sqlx::query(DELETE_PARKED_EVENTS).bind(shown.name())).await?;
    let rename = sqlx::query(RENAME_PARKED_EVENTS).bind(rebuild.consumer.name()).bind(shown.name());
    changes(connection, rename).await?;
    changes(connection, sqlx::query(DELETE_CHECKPOINTS).bind(rebuild.consumer.name()).bind(0)).await?;
    Ok(true)
}
