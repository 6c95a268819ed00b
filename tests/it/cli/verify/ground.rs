//! A database of either kind that is filled once, and copied for each fault.

use std::path::{Path, PathBuf};

use annals::{PostgresStore, SqliteStore};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::shop::Shop;
use crate::{faults::raw, postgres_server::Database};

/// Where faults are planted.
pub enum Ground {
    File {
        folder: TempDir,
    },
    /// The second one is there to copy and drop databases from.
    Server {
        whole: Database,
        beside: Database,
    },
}

/// A copy that a fault is planted in.
pub struct Plot<'g> {
    ground: &'g Ground,
    pub url: String,
    name: String,
}

impl Ground {
    pub async fn sqlite() -> (Self, Shop) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("whole.db")).await.unwrap();
        let shop = Shop::fill(&store).await;
        store.close().await;
        let ground = Self::File { folder };
        ground.plant(&ground.file("whole"), &shop.read_side(&ground)).await;
        (ground, shop)
    }

    pub async fn postgres() -> (Self, Shop) {
        let (whole, beside) = (Database::create().await, Database::create().await);
        let store = PostgresStore::connect(whole.url()).await.unwrap();
        let shop = Shop::fill(&store).await;
        store.close().await;
        let url = whole.url().to_owned();
        let ground = Self::Server { whole, beside };
        ground.plant(&url, &shop.read_side(&ground)).await;
        (ground, shop)
    }

    pub const fn is_sqlite(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// An id as SQL.
    pub fn id(&self, id: Uuid) -> String {
        if self.is_sqlite() { format!("x'{}'", id.simple()) } else { format!("'{id}'::uuid") }
    }

    /// Some time as SQL.
    pub const fn time(&self) -> &'static str {
        if self.is_sqlite() { "1" } else { "to_timestamp(1)" }
    }

    fn file(&self, name: &str) -> String {
        let Self::File { folder } = self else { unreachable!("a server has no files") };
        folder.path().join(format!("{name}.db")).display().to_string()
    }

    /// Another copy of what is sound.
    pub async fn plot(&self, name: &str) -> Plot<'_> {
        match self {
            Self::File { .. } => {
                std::fs::copy(self.file("whole"), self.file(name)).unwrap();
                Plot { ground: self, url: format!("sqlite:{}", self.file(name)), name: name.to_owned() }
            }
            Self::Server { whole, beside } => {
                let name = format!("{}_{name}", whole.name());
                let copy = format!("CREATE DATABASE {name} TEMPLATE {}", whole.name());
                run(&mut beside.connection().await, &copy).await;
                Plot { ground: self, url: whole.url().replace(whole.name(), &name), name }
            }
        }
    }

    /// Runs SQL as somebody with a shell could: past triggers, which are there again afterwards, and past checks.
    async fn plant(&self, place: &str, sql: &str) {
        match self {
            Self::File { .. } => plant_in_file(Path::new(place), sql).await,
            Self::Server { .. } => {
                let mut connection = PgConnection::connect(place).await.unwrap();
                let off = "ALTER TABLE annals_events DISABLE TRIGGER USER;";
                let on = "ALTER TABLE annals_events ENABLE TRIGGER USER;";
                run(&mut connection, &format!("{off}\n{sql};\n{on}")).await;
                connection.close().await.unwrap();
            }
        }
    }
}

impl Plot<'_> {
    pub async fn plant(&self, sql: &str) {
        let place = if self.ground.is_sqlite() { &self.ground.file(&self.name) } else { &self.url };
        self.ground.plant(place, sql).await;
    }

    /// The file of a database that has one.
    pub fn path(&self) -> PathBuf {
        self.ground.file(&self.name).into()
    }

    pub async fn clear(self) {
        match self.ground {
            Ground::File { .. } => std::fs::remove_file(self.path()).unwrap(),
            Ground::Server { beside, .. } => {
                run(&mut beside.connection().await, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
            }
        }
    }
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
}

async fn plant_in_file(path: &Path, sql: &str) {
    let mut file: SqliteConnection = raw(path).await;
    let triggers = sqlx::query("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetch_all(&mut file);
    let triggers: Vec<(String, String)> =
        triggers.await.unwrap().iter().map(|row| (row.get("name"), row.get("sql"))).collect();
    let drop = triggers.iter().map(|(name, _)| format!("DROP TRIGGER IF EXISTS {name};")).collect::<String>();
    let make = triggers.iter().map(|(_, sql)| format!("{sql};")).collect::<String>();
    let all = format!("PRAGMA ignore_check_constraints = ON; {drop}\n{sql};\n{make}\nPRAGMA wal_checkpoint(TRUNCATE)");
    sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut file).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    file.close().await.unwrap();
}
