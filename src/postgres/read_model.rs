//! The tables of a projection, and which of its builds is shown.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{
    checkpoint::{self, changes, number, of_consumer, of_lease},
    classify::{classify, sqlstate},
    statement::{DELETE_CHECKPOINTS, DELETE_PARKED_EVENTS, RENAME_PARKED_EVENTS, SET_BUILD, SWAP_BUILD},
};
use crate::store::{Checkpoint, Consumer, Error, Fault, Lease};

pub(super) async fn run_script(connection: &mut PgConnection, script: &str) -> Result<(), Error> {
    // Safe: made of texts of the application's code and of checked names alone, as the port demands.
    let run = sqlx::raw_sql(AssertSqlSafe(script)).execute(connection).await;
    run.map(drop).map_err(|error| refused("a projection's tables could not be made or removed", error))
}

/// The columns of a view cannot be changed in its place.
const OTHER_COLUMNS: &str = "42P16";

/// There is something of another kind under the name.
const NO_VIEW: &str = "42809";

pub(super) async fn show_table(connection: &mut PgConnection, view: &str, table: &str) -> Result<(), Error> {
    // In its place, so that it keeps who may read it; where that cannot be, anew. Safe: both names were checked to be plain.
    let replace = AssertSqlSafe(format!(r#"CREATE OR REPLACE VIEW "{view}" AS SELECT * FROM "{table}""#));
    let mut tried = connection.begin().await.map_err(classify)?;
    let error = match sqlx::raw_sql(replace).execute(&mut *tried).await {
        Ok(_) => return tried.commit().await.map_err(classify),
        Err(error) => error,
    };
    match sqlstate(&error).as_deref() {
        Some(OTHER_COLUMNS) => tried.rollback().await.map_err(classify)?,
        Some(NO_VIEW) => {
            let message = format!("a projection is to be shown as {view}, but that is the name of something else");
            return Err(Error::Schema { message, source: Some(Arc::new(error)) });
        }
        _ => return Err(refused(&format!("the view {view} could not be made"), error)),
    }
    let anew = AssertSqlSafe(format!(r#"DROP VIEW "{view}"; CREATE VIEW "{view}" AS SELECT * FROM "{table}""#));
    let shown = sqlx::raw_sql(anew).execute(connection).await;
    shown.map(drop).map_err(|error| refused(&format!("the view {view} could not be made anew"), error))
}

/// Says that the database refused statements of a projection's own.
fn refused(what: &str, error: sqlx::Error) -> Error {
    match classify(error) {
        Error::Backend { fault: Fault::Other, source, .. } | Error::Schema { source, .. } => {
            Error::Schema { message: what.to_owned(), source }
        }
        other => other,
    }
}

pub(super) async fn set_build(
    connection: &mut PgConnection,
    lease: &Lease,
    (build, version): (u32, u32),
) -> Result<bool, Error> {
    changes(connection, of_lease(SET_BUILD, lease).bind(number(build)).bind(number(version))).await
}

/// Puts what was built anew in the place of what is shown.
pub(super) async fn swap_build(
    connection: &mut PgConnection,
    rebuild: &Lease,
    shown: &Consumer,
) -> Result<bool, Error> {
    // In the order of their names, as whoever else locks both.
    let found = checkpoint::lock(connection, shown).await?;
    let rebuilt = checkpoint::lock(connection, &rebuild.consumer).await?;
    let (Some(found), Some(rebuilt)) = (found, rebuilt) else {
        return Ok(false);
    };
    if !rebuilt.is_held_by(rebuild) {
        return Ok(false);
    }
    found.check_level_with(&rebuilt)?;
    let Checkpoint { build, version, .. } = rebuilt;
    changes(connection, of_consumer(SWAP_BUILD, shown).bind(number(build)).bind(number(version))).await?;
    changes(connection, sqlx::query(DELETE_PARKED_EVENTS).bind(shown.name())).await?;
    let rename = sqlx::query(RENAME_PARKED_EVENTS).bind(rebuild.consumer.name()).bind(shown.name());
    changes(connection, rename).await?;
    changes(connection, sqlx::query(DELETE_CHECKPOINTS).bind(rebuild.consumer.name()).bind(0)).await?;
    Ok(true)
}
