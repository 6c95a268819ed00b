//! The PostgreSQL server of a run, and a fresh database on it for each measurement.

use anyhow::{Context as _, Error, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::postgres_server::{Server, url::with_database};

/// The server that a run measures on.
#[derive(Debug)]
pub(crate) struct RunServer {
    url: String,
    /// Ends with this value, where the run has started it.
    started: Option<Server>,
    made: u32,
}

impl RunServer {
    /// The server of a URL; one that is started now where there is none. With what its configuration says: the defaults.
    pub(crate) async fn of(url: Option<&str>) -> Result<Self> {
        if let Some(url) = url {
            return Ok(Self { url: url.to_owned(), started: None, made: 0 });
        }
        let server = Server::options().start().await.map_err(Error::msg)?;
        Ok(Self { url: server.url("postgres"), started: Some(server), made: 0 })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) const fn is_ours(&self) -> bool {
        self.started.is_some()
    }

    /// Makes an empty database: its name and its URL.
    pub(crate) async fn create(&mut self) -> Result<(String, String)> {
        self.made += 1;
        let name = format!("annals_load_{}_{}", std::process::id(), self.made);
        self.execute(format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")).await?;
        let url = with_database(&self.url, &name).map_err(Error::msg)?;
        Ok((name, url))
    }

    /// Removes a database; what it left to be written is written now, and not in the time of the next.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        self.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        self.execute("CHECKPOINT".to_owned()).await
    }

    async fn execute(&self, statement: String) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url).await.context("connecting to PostgreSQL")?;
        // Safe: its only variable part is a name made of letters and numbers, which no bind can stand for.
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }
}
