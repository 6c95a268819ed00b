//! Where it is measured: beside the database, on the same disk or server, and never in the application's own tables.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use annals::{PostgresStore, SqliteStore};
use sqlx::{Connection as _, PgConnection, sqlite::SqliteConnectOptions};

use crate::{
    database::{Database, Kind, existing},
    ending::Failure,
};

/// A database of its own, gone with [`remove`](Self::remove).
#[derive(Debug)]
pub enum Bed {
    /// A folder beside the file.
    Folder(PathBuf),
    /// A schema of the same database, and the connection that keeps others out of it.
    Schema(PgConnection),
}

/// Whoever has this lock may make and remove the schema.
const TAKE: &str = "SELECT pg_try_advisory_lock(1634627169, 1650814819)";
const MAKE: &str = "DROP SCHEMA IF EXISTS annals_bench CASCADE; CREATE SCHEMA annals_bench";
const REMOVE: &str = "DROP SCHEMA IF EXISTS annals_bench CASCADE";

impl Bed {
    /// Makes it, and opens a store in it.
    pub async fn make(url: &str) -> Result<(Self, Database), Failure> {
        match Kind::of(url, None)? {
            Kind::Sqlite => {
                // It has to be there: a mistake in the URL is no reason to measure some other disk.
                SqliteStore::options().schema_state(&existing(url)?).await?;
                let file = SqliteConnectOptions::from_str(url)?.get_filename().to_owned();
                let beside = file.parent().filter(|parent| !parent.as_os_str().is_empty());
                let folder = beside.unwrap_or(Path::new(".")).join(format!("annals-bench-{}", std::process::id()));
                fs::create_dir(&folder)?;
                let bed = Self::Folder(folder.clone());
                match SqliteStore::open(folder.join("bench.db")).await {
                    Ok(store) => Ok((bed, Database::Sqlite(store))),
                    Err(error) => {
                        bed.remove().await?;
                        Err(error.into())
                    }
                }
            }
            Kind::Postgres => {
                // As the store does it, whose words on a failure show no password.
                PostgresStore::options().schema_state(url).await?;
                let mut connection = PgConnection::connect(url).await?;
                if !sqlx::query_scalar::<_, bool>(TAKE).fetch_one(&mut connection).await? {
                    return Err(Failure::failed("another bench is running in this database"));
                }
                // Also what a bench has left that was killed.
                sqlx::raw_sql(MAKE).execute(&mut connection).await?;
                let bed = Self::Schema(connection);
                match PostgresStore::options().schema("annals_bench").connect(url).await {
                    Ok(store) => Ok((bed, Database::Postgres(store))),
                    Err(error) => {
                        bed.remove().await?;
                        Err(error.into())
                    }
                }
            }
        }
    }

    /// Where it is, in words.
    pub fn place(&self) -> String {
        match self {
            Self::Folder(folder) => format!("the folder {}", folder.display()),
            Self::Schema(_) => "the schema annals_bench".to_owned(),
        }
    }

    /// How long one write of a page takes until it is on the disk: a median.
    pub fn fsync_micros(&self) -> io::Result<Option<u64>> {
        let Self::Folder(folder) = self else { return Ok(None) };
        let mut file = fs::File::create(folder.join("fsync"))?;
        let mut took = Vec::with_capacity(50);
        for _ in 0..50 {
            let begun = std::time::Instant::now();
            io::Write::write_all(&mut file, &[0; 4_096])?;
            file.sync_data()?;
            took.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        took.sort_unstable();
        Ok(took.get(took.len() / 2).copied())
    }

    /// Removes it, with everything in it.
    pub async fn remove(self) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => fs::remove_dir_all(folder)?,
            Self::Schema(mut connection) => {
                sqlx::raw_sql(REMOVE).execute(&mut connection).await?;
            }
        }
        Ok(())
    }
}
