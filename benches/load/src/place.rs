//! Where a contender keeps its database: a directory of its own, or a database on a server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    /// Files of one process.
    Sqlite,
    /// A server.
    Postgres,
}

/// An empty place for one database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    /// For files.
    Directory(PathBuf),
    /// A database on a server, by its URL.
    Url(String),
}

const READ_BYTES: &str = "
    SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";

impl Place {
    pub(crate) fn directory(&self) -> Result<&Path> {
        match self {
            Self::Directory(directory) => Ok(directory),
            Self::Url(_) => bail!("a directory was expected"),
        }
    }

    pub(crate) fn url(&self) -> Result<&str> {
        match self {
            Self::Url(url) => Ok(url),
            Self::Directory(_) => bail!("a server was expected"),
        }
    }

    /// What is on the disk: files; or tables with their indexes.
    pub(crate) async fn bytes(&self) -> Result<u64> {
        match self {
            Self::Directory(directory) => {
                let mut bytes = 0;
                for entry in fs::read_dir(directory)? {
                    bytes += entry?.metadata()?.len();
                }
                Ok(bytes)
            }
            Self::Url(url) => {
                let mut connection = PgConnection::connect(url).await?;
                let bytes: i64 = sqlx::query_scalar(READ_BYTES).fetch_one(&mut connection).await?;
                Ok(bytes.unsigned_abs())
            }
        }
    }
}
