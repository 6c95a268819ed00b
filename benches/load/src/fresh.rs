//! An empty place for one measurement, and what removes it.

use annals_contest::{Engine, Place};
use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{args::Args, server::RunServer};

/// A place of a measurement's own.
pub(crate) struct Fresh {
    pub(crate) place: Place,
    /// Gone with this value.
    directory: Option<TempDir>,
    /// The name of a database on the server.
    database: Option<String>,
}

impl Fresh {
    /// Makes a directory, or a database on the server.
    pub(crate) async fn make(args: &Args, engine: Engine, server: Option<&mut RunServer>) -> Result<Self> {
        Ok(match engine {
            Engine::Sqlite | Engine::Own => {
                let directory = tempfile::tempdir_in(args.directory())?;
                let place = Place::Directory(directory.path().to_owned());
                Self { place, directory: Some(directory), database: None }
            }
            Engine::Postgres => {
                let (name, url) = server.context("there is no server")?.create().await?;
                Self { place: Place::Url(url), directory: None, database: Some(name) }
            }
        })
    }

    /// The name of the database, where there is a server.
    pub(crate) fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Removes it, whatever came of the measurement.
    pub(crate) async fn remove(self, server: Option<&mut RunServer>) -> Result<()> {
        drop(self.directory);
        match (self.database, server) {
            (Some(name), Some(server)) => server.remove(&name).await,
            _ => Ok(()),
        }
    }
}
