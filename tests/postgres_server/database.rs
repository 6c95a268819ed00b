//! A database for each test, on the server of the run.

use sqlx::{Connection as _, PgConnection};
use tokio::sync::OnceCell;

use super::{
    Server,
    keeper::Keeper,
    url::{with_database, with_user},
};

/// The server that the tests of this process share.
#[derive(Debug)]
struct Shared {
    /// Ends with the process, where this process started it.
    server: Option<Server>,
    url: String,
    keeper: Keeper,
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();

impl Shared {
    async fn get() -> Result<&'static Self, String> {
        SHARED.get_or_try_init(Self::start).await
    }

    async fn start() -> Result<Self, String> {
        let (server, url) = match std::env::var("DATABASE_URL") {
            Ok(url) if !url.is_empty() => (None, with_database_kept(url)?),
            _ => {
                let server = Server::options().in_memory().start().await?;
                let url = server.url("postgres");
                (Some(server), url)
            }
        };
        let keeper = Keeper::start(&url).await?;
        Ok(Self { server, url, keeper })
    }
}

/// The URL itself, where other databases' URLs can be made of it.
fn with_database_kept(url: String) -> Result<String, String> {
    with_database(&url, "postgres").map(|_| url)
}

/// An empty database of one test. It is dropped with this value, with whoever is connected to it.
#[derive(Debug)]
pub struct Database {
    shared: &'static Shared,
    name: String,
    url: String,
}

impl Database {
    /// Makes an empty database.
    ///
    /// # Panics
    ///
    /// Where there is no server, with what to do about it: a test without its database has failed.
    pub async fn create() -> Self {
        Self::try_create().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Makes an empty database, or says why there is none.
    pub async fn try_create() -> Result<Self, String> {
        let shared = Shared::get().await?;
        let name = shared.keeper.create().await?;
        let url = with_database(&shared.url, &name)?;
        Ok(Self { shared, name, url })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, for the user who owns it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL for another user. Roles are of the whole server: tests give theirs names that nobody else has.
    ///
    /// # Panics
    ///
    /// Never: the URL is known to be one.
    pub fn url_as(&self, user: &str, password: Option<&str>) -> String {
        with_user(&self.url, user, password).expect("the URL was taken apart before")
    }

    /// A connection to it that knows nothing of any store.
    ///
    /// # Panics
    ///
    /// Where the server refuses it.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(error) = self.shared.keeper.drop_now(&self.name) {
            // The next run drops it.
            eprintln!("{} is left: {error}", self.name);
        }
    }
}
