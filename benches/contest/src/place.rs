//! Where a contender keeps its database: a directory of its own, or a database on a server.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Files of one process.
    Sqlite,
    /// A server.
    Postgres,
    /// An engine of the contender's own, with files of its own.
    #[value(skip)]
    Own,
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Own => "own",
        })
    }
}

/// An empty place for one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// For files.
    Directory(PathBuf),
    /// A database on a server, by its URL.
    Url(String),
}

impl Place {
    /// The directory.
    ///
    /// # Errors
    ///
    /// Where the place is a server.
    pub fn directory(&self) -> Result<&Path> {
        match self {
            Self::Directory(directory) => Ok(directory),
            Self::Url(_) => bail!("a directory was expected"),
        }
    }

    /// The URL of the database on the server.
    ///
    /// # Errors
    ///
    /// Where the place is a directory.
    pub fn url(&self) -> Result<&str> {
        match self {
            Self::Url(url) => Ok(url),
            Self::Directory(_) => bail!("a server was expected"),
        }
    }
}
