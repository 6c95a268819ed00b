//! Makes and drops the databases of this process, and those that dead processes left behind.
//!
//! A database's name says whose it is: `annals_test_<database of the keepers>_<run>_<number>`. As long as a run lasts its
//! connection holds an advisory lock on the run's number, so whoever gets that lock may drop what the run has left.
//! Advisory locks belong to one database, hence its OID in the names: keepers in two databases do not see each other.

use std::{
    sync::mpsc::{self, Receiver, Sender},
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Error, PgConnection, postgres::PgConnectOptions};
use tokio::{runtime::Runtime, sync::oneshot};

use super::server::random;

/// The longest a drop is waited for. A database that takes longer is left to the next run.
const LONGEST_DROP: Duration = Duration::from_secs(60);
/// How many left databases one run drops: each takes some 30 ms.
const LEFT_DATABASES: usize = 200;

enum Request {
    Create(oneshot::Sender<Result<String, String>>),
    Drop(String, Sender<Result<(), String>>),
}

/// The thread that makes and drops databases on one server.
#[derive(Debug)]
pub struct Keeper {
    /// Whoever asks waits for the answer, so no more requests wait than there are tests at work.
    requests: Sender<Request>,
}

impl Keeper {
    /// Begins to keep databases on the server of a URL, and drops those that dead processes left there.
    pub async fn start(url: &str) -> Result<Self, String> {
        let options: PgConnectOptions = url.parse().map_err(text)?;
        let (requests, received) = mpsc::channel();
        let (started, has_started) = oneshot::channel();
        // A thread and a runtime of its own: each test has its runtime, and the keeper outlives them.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime for the keeper of the test databases");
            match runtime.block_on(Kept::begin(options)) {
                Ok(kept) => {
                    let _ = started.send(Ok(()));
                    serve(&runtime, kept, &received);
                }
                Err(error) => drop(started.send(Err(text(error)))),
            }
        });
        has_started.await.map_err(gone)??;
        Ok(Self { requests })
    }

    /// Makes an empty database: its name.
    pub async fn create(&self) -> Result<String, String> {
        let (reply, replied) = oneshot::channel();
        self.requests.send(Request::Create(reply)).map_err(gone)?;
        replied.await.map_err(gone)?
    }

    /// Drops a database, with the connections to it, and waits for that.
    pub fn drop_now(&self, name: &str) -> Result<(), String> {
        let (reply, replied) = mpsc::channel();
        self.requests.send(Request::Drop(name.to_owned(), reply)).map_err(gone)?;
        replied.recv_timeout(LONGEST_DROP).map_err(gone)?
    }
}

fn gone(error: impl std::fmt::Display) -> String {
    format!("the keeper of the test databases does not answer: {error}")
}

fn text(error: impl std::fmt::Display) -> String {
    format!("the PostgreSQL server for tests: {error}")
}

/// Answers until the last who could ask is gone. An asker that is gone by then gets no answer.
fn serve(runtime: &Runtime, mut kept: Kept, requests: &Receiver<Request>) {
    for request in requests {
        match request {
            Request::Create(reply) => drop(reply.send(runtime.block_on(kept.create()).map_err(text))),
            Request::Drop(name, reply) => {
                drop(reply.send(runtime.block_on(kept.execute(drop_statement(&name))).map_err(text)));
            }
        }
    }
}

/// What a keeper has at hand.
struct Kept {
    options: PgConnectOptions,
    connection: PgConnection,
    run: i64,
    /// What the names of all databases begin with that keepers in this database make.
    prefix: String,
    /// How many databases were made.
    made: u64,
}

impl Kept {
    async fn begin(options: PgConnectOptions) -> Result<Self, Error> {
        let run = random().cast_signed();
        let mut connection = locked(&options, run).await?;
        let oid = "SELECT oid::bigint FROM pg_database WHERE datname = current_database()";
        let oid: i64 = sqlx::query_scalar(oid).fetch_one(&mut connection).await?;
        let mut kept = Self { options, connection, run, prefix: format!("annals_test_{oid:x}_"), made: 0 };
        kept.drop_left().await?;
        Ok(kept)
    }

    async fn create(&mut self) -> Result<String, Error> {
        self.made += 1;
        let name = format!("{}{:016x}_{}", self.prefix, self.run, self.made);
        // The template that nobody can have changed, and so the same database on every server.
        let encoding = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'";
        self.execute(format!("CREATE DATABASE {name} {encoding}")).await?;
        Ok(name)
    }

    /// Drops the databases of runs that are over.
    async fn drop_left(&mut self) -> Result<(), Error> {
        let names = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname";
        let names: Vec<String> = sqlx::query_scalar(names).bind(&self.prefix).fetch_all(&mut self.connection).await?;
        for name in names.iter().take(LEFT_DATABASES) {
            let Some(run) = run_of(name, &self.prefix) else { continue };
            let lock = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(run);
            if run == self.run || !lock.fetch_one(&mut self.connection).await? {
                continue;
            }
            if let Err(error) = self.execute(drop_statement(name)).await {
                eprintln!("{name} was left behind by an earlier run and cannot be dropped: {error}");
            }
            let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(run);
            unlock.execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Executes one statement outside a transaction; on a new connection where this one was cut.
    async fn execute(&mut self, statement: String) -> Result<(), Error> {
        // Its only variable part is a name of `[a-z0-9_]`, which no bind can stand for.
        let mut executed = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut self.connection).await;
        if matches!(&executed, Err(error) if is_cut(error)) {
            self.connection = locked(&self.options, self.run).await?;
            executed = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.connection).await;
        }
        executed.map(drop)
    }
}

fn drop_statement(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
}

/// A connection that holds the lock of a run.
async fn locked(options: &PgConnectOptions, run: i64) -> Result<PgConnection, Error> {
    let mut connection = options.connect().await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(run).execute(&mut connection).await?;
    Ok(connection)
}

fn is_cut(error: &Error) -> bool {
    matches!(error, Error::Io(_))
        || error.as_database_error().and_then(|error| error.code()).as_deref() == Some("57P01")
}

/// The run that made a database, where the name is one of ours and nothing else.
fn run_of(name: &str, prefix: &str) -> Option<i64> {
    let (run, number) = name.strip_prefix(prefix)?.split_once('_')?;
    let is_ours = run.len() == 16 && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if !is_ours {
        return None;
    }
    u64::from_str_radix(run, 16).ok().map(u64::cast_signed)
}
