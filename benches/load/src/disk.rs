//! What a database has on the disk.

use std::{fs, path::Path};

use annals_contest::Place;
use anyhow::Result;
use sqlx::{Connection as _, PgConnection};

const READ_BYTES: &str = "
    SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)";

const READ_LOG_POSITION: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";

/// So that what was just filled is read as it is in a server that has run for a while: with statistics to plan by, and
/// with pages that are known to be visible. Otherwise it is chance whether the server's own round came before the clock.
const TIDY_UP: &str = "VACUUM (ANALYZE)";

/// Tidies up all tables of a server's database. Files are left as they are.
pub(crate) async fn tidy_up(place: &Place) -> Result<()> {
    if let Place::Url(url) = place {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query(TIDY_UP).execute(&mut connection).await?;
        connection.close().await?;
    }
    Ok(())
}

/// What is on the disk: files; or tables with their indexes.
pub(crate) async fn bytes(place: &Place) -> Result<u64> {
    match place {
        Place::Directory(directory) => bytes_of_files(directory),
        Place::Url(url) => read(url, READ_BYTES).await,
    }
}

/// How long the server's log is, in bytes since it was made; `None` where there is no server.
pub(crate) async fn log_position(place: &Place) -> Result<Option<u64>> {
    match place {
        Place::Directory(_) => Ok(None),
        Place::Url(url) => read(url, READ_LOG_POSITION).await.map(Some),
    }
}

async fn read(url: &str, sql: &'static str) -> Result<u64> {
    let mut connection = PgConnection::connect(url).await?;
    let number: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(number.unsigned_abs())
}

fn bytes_of_files(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_of_files(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
