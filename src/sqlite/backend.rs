//! The port, on connections of SQLite.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::SqlitePool;
use uuid::Uuid;

use super::{
    append::{Statements, Writer},
    classify::classify,
    commits::SharedCommits,
    options::SqliteOptions,
    read, snapshot, transaction,
};
use crate::store::{
    Append, Appended, Backend, Clock, Error, IdempotencyKey, Limits, LoadQuery, LoadVisitor, LogQuery, LogRead, Moves,
    Position, Receipt, SnapshotRef, StreamQuery, StreamRead, Visit, telemetry,
};

/// One connection that writes, and some that read.
#[derive(Debug)]
pub(super) struct SqliteBackend {
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    pub(super) limits: Limits,
    pub(super) moves: Moves,
    pub(super) commits: SharedCommits,
    clock: Arc<dyn Clock>,
    statements: Arc<Statements>,
}

impl SqliteBackend {
    pub(super) fn new(writer: SqlitePool, readers: SqlitePool, options: &SqliteOptions) -> Self {
        let clock = Arc::clone(&options.clock);
        let statements = Arc::new(Statements::new());
        let commits = SharedCommits::new(writer.clone(), Arc::clone(&clock));
        Self { writer, readers, limits: options.limits, moves: Moves::new(), commits, clock, statements }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now_in_micros()
    }

    /// What writes appends into a transaction, at the time of now.
    pub(super) fn append_writer(&self) -> Writer {
        Writer::new(Arc::clone(&self.statements), self.now())
    }
}

impl SqliteBackend {
    async fn write_all(&self, batch: &[Append]) -> Result<Vec<Result<Appended, Error>>, Error> {
        let mut transaction = transaction::begin(&self.writer).await?;
        let mut answers = self.append_writer().write(&mut transaction, batch).await?;
        if let Err(error) = transaction.commit().await {
            let unknown = Error::outcome_unknown(error);
            telemetry::operation_failed(&unknown);
            // An answer stands that was read from what had been committed before. Those of an aggregate to which this
            // batch has written rest on what may not be there.
            let mut touched = HashSet::new();
            for (append, answer) in batch.iter().zip(&mut answers) {
                let is_written = matches!(answer, Ok(appended) if !appended.replayed);
                if is_written || touched.contains(&append.aggregate_id) {
                    touched.insert(append.aggregate_id);
                    *answer = Err(unknown.clone());
                }
            }
        }
        Ok(answers)
    }
}

/// The database, as OpenTelemetry names it.
pub(super) const SYSTEM: &str = "sqlite";

#[async_trait]
impl Backend for SqliteBackend {
    async fn write(&self, batch: &[Append]) -> Vec<Result<Appended, Error>> {
        match telemetry::operation(SYSTEM, "append", self.write_all(batch)).await {
            Ok(answers) => answers,
            // Nothing was written: the whole batch has this one answer.
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        let read = async {
            let mut connection = self.readers.acquire().await.map_err(classify)?;
            read::stream(&mut connection, query, self.now(), visit).await
        };
        telemetry::operation(SYSTEM, "read_stream", read).await
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        let load = async {
            let mut connection = self.readers.acquire().await.map_err(classify)?;
            snapshot::load(&mut connection, query, self.now(), visitor).await
        };
        telemetry::operation(SYSTEM, "load", load).await
    }

    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error> {
        let save = async {
            let mut connection = self.writer.acquire().await.map_err(classify)?;
            snapshot::save(&mut connection, snapshot, self.now()).await
        };
        telemetry::operation(SYSTEM, "save_snapshot", save).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        let read = async {
            let mut connection = self.readers.acquire().await.map_err(classify)?;
            read::log(&mut connection, query, visit).await
        };
        telemetry::operation(SYSTEM, "read_log", read).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        let read = async {
            let mut connection = self.readers.acquire().await.map_err(classify)?;
            read::receipt(&mut connection, aggregate_id, key, self.now()).await
        };
        telemetry::operation(SYSTEM, "receipt", read).await
    }

    async fn head(&self) -> Result<Position, Error> {
        let read = async {
            let mut connection = self.readers.acquire().await.map_err(classify)?;
            read::head(&mut connection).await
        };
        telemetry::operation(SYSTEM, "head", read).await
    }
}
