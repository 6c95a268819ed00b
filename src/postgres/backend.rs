//! The port, on connections of PostgreSQL.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{PgPool, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{
    append::{self, Patience},
    classify::REPLY_WITHIN,
    log::{Horizon, Sight},
    notify::Notices,
    options::{PostgresOptions, Role},
    page,
    plain::Caution,
    pool::{self, Connections},
    read, row, snapshot,
    stall::Stall,
};
use crate::store::{
    Append, Appended, Backend, Clock, Concurrency, Error, Fault, IdempotencyKey, Limits, LoadQuery, LoadVisitor,
    LogQuery, LogRead, Moves, Page, PageQuery, Position, Receipt, SnapshotRef, StreamQuery, StreamRead, Visit,
    telemetry,
};

/// How many batches of loads are under way at once.
const LOADERS: u32 = 2;

/// How many statements on checkpoints, leases, answers and steps are under way at once. They have connections of their own:
/// a lease must not lapse because all others are being read from.
const KEEPERS: u32 = 8;

/// How many claims on requests are under way at once. They may wait for somebody's transaction, and so keep nobody else from
/// a connection.
const CLAIMERS: u32 = 8;

/// How long a batch is run again while others come first.
const RERUN_FOR: Duration = Duration::from_secs(5);

/// Connections of each kind.
#[derive(Debug)]
pub(super) struct PostgresBackend {
    pub(super) writers: Connections,
    loaders: Connections,
    pub(super) readers: Connections,
    pub(super) keepers: Connections,
    pub(super) claimers: Connections,
    pub(super) works: PgPool,
    pub(super) limits: Limits,
    concurrency: Concurrency,
    pub(super) sight: Sight,
    pub(super) notices: Notices,
    pub(super) lock_timeout: Duration,
    inspects: bool,
    pub(super) moves: Moves,
    clock: Arc<dyn Clock>,
    caution: Caution,
}

impl PostgresBackend {
    pub(super) fn new(connect: &PgConnectOptions, options: &PostgresOptions) -> Self {
        let timeout = options.acquire_timeout;
        let to = |role| options.apply(connect.clone(), role);
        Self {
            writers: Connections::new(to(Role::Writer), options.writers, timeout),
            loaders: Connections::new(to(Role::Reader), LOADERS, timeout),
            readers: Connections::new(to(Role::Reader), options.readers, timeout),
            keepers: Connections::new(to(Role::Reader), KEEPERS, timeout),
            claimers: Connections::new(to(Role::Reader), CLAIMERS, timeout),
            works: pool::pool(to(Role::Work), options.works, timeout),
            limits: options.limits,
            concurrency: Concurrency { writes: options.writers as usize, loads: LOADERS as usize },
            sight: Sight { is_pooled: options.is_pooled, stall: Stall::new(options.stall_after) },
            notices: Notices::new(to(Role::Reader), timeout, options.is_pooled),
            lock_timeout: options.lock_timeout,
            inspects: options.inspects,
            moves: Moves::new(),
            clock: Arc::clone(&options.clock),
            caution: Caution::default(),
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        row::within_calendar(self.clock.now_in_micros())
    }

    /// Refuses to write where the database was opened to look at it: for transactions that say they write, whatever their
    /// connection is set to.
    pub(super) fn check_writable(&self) -> Result<(), Error> {
        if self.inspects {
            let detail = Some("the database was opened for inspection".to_owned());
            return Err(Error::Backend { fault: Fault::ReadOnly, detail, source: None });
        }
        Ok(())
    }

    /// The time now, where it is not the machine's: then the server tells it, the same to all who ask.
    pub(super) fn given_time(&self) -> Option<DateTime<Utc>> {
        (!self.clock.is_machine_time()).then(|| self.now())
    }

    pub(super) async fn close(&self) {
        self.writers.close().await;
        self.loaders.close().await;
        self.readers.close().await;
        self.keepers.close().await;
        self.claimers.close().await;
        self.works.close().await;
        self.notices.close().await;
    }

    pub(super) async fn horizon(&self) -> Result<Horizon, Error> {
        let mut taken = self.readers.acquire().await?;
        let read = self.sight.watch(taken.connection()).await;
        taken.settle(read)
    }

    async fn write_all(&self, batch: &[Append]) -> Result<Vec<Result<Appended, Error>>, Error> {
        let mut taken = self.writers.acquire().await?;
        // Once for the whole batch, and once for the append that is stuck.
        let patience = RERUN_FOR + self.lock_timeout * 2;
        let until = Patience::Until(Instant::now() + patience, &self.caution);
        let write = append::write(taken.connection(), batch, self.now(), until);
        let answers = match tokio::time::timeout(patience + REPLY_WITHIN, write).await {
            Ok(answers) => answers?,
            Err(late) => {
                taken.give_up();
                return Err(Error::outcome_unknown(late));
            }
        };
        let mut written = batch.iter().zip(&answers).filter(|(append, _)| !append.events.is_empty());
        if written.any(|(_, answer)| answer.as_ref().is_ok_and(|appended| !appended.replayed)) {
            self.notices.committed();
        }
        // A connection that is gone is not kept, and neither is one of which that is not sure.
        if !answers.iter().any(|answer| {
            matches!(
                answer,
                Err(Error::OutcomeUnknown { .. }
                    | Error::Unavailable { .. }
                    | Error::Backend { fault: Fault::ReadOnly, .. })
            )
        }) {
            taken.keep();
        }
        Ok(answers)
    }

    async fn load_all(&self, queries: &[PageQuery]) -> Result<Vec<page::PostgresPage>, Error> {
        let mut taken = self.loaders.acquire().await?;
        let load = page::load(taken.connection(), queries, self.now());
        let pages = tokio::time::timeout(REPLY_WITHIN, load).await.unwrap_or_else(|late| Err(Error::unavailable(late)));
        taken.settle(pages)
    }
}

/// The database, as OpenTelemetry names it.
pub(super) const SYSTEM: &str = "postgresql";

#[async_trait]
impl Backend for PostgresBackend {
    fn concurrency(&self) -> Concurrency {
        self.concurrency
    }

    async fn write(&self, batch: &[Append]) -> Vec<Result<Appended, Error>> {
        match telemetry::operation(SYSTEM, "append", self.write_all(batch)).await {
            Ok(answers) => answers,
            // The whole batch has this one answer.
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn load_pages(&self, queries: &[PageQuery]) -> Vec<Result<Box<dyn Page>, Error>> {
        match telemetry::operation(SYSTEM, "load_pages", self.load_all(queries)).await {
            Ok(pages) => pages.into_iter().map(|page| Ok(Box::new(page) as Box<dyn Page>)).collect(),
            Err(error) => queries.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn read_stream(&self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        let read = async {
            let mut taken = self.readers.acquire().await?;
            let done = read::stream(taken.connection(), query, self.now(), visit).await;
            taken.settle(done)
        };
        telemetry::operation(SYSTEM, "read_stream", read).await
    }

    async fn load(&self, query: &LoadQuery, visitor: &mut dyn LoadVisitor) -> Result<StreamRead, Error> {
        let load = async {
            let mut taken = self.readers.acquire().await?;
            let done = snapshot::load(taken.connection(), query, self.now(), visitor).await;
            taken.settle(done)
        };
        telemetry::operation(SYSTEM, "load", load).await
    }

    async fn save_snapshot(&self, snapshot: SnapshotRef<'_>) -> Result<(), Error> {
        let save = async {
            let mut taken = self.readers.acquire().await?;
            let done = snapshot::save(taken.connection(), snapshot, self.now()).await;
            taken.settle(done)
        };
        telemetry::operation(SYSTEM, "save_snapshot", save).await
    }

    async fn read_log(&self, query: &LogQuery, visit: Visit<'_>) -> Result<LogRead, Error> {
        let read = async {
            let mut taken = self.readers.acquire().await?;
            let done = self.sight.read(taken.connection(), query, visit).await;
            taken.settle(done)
        };
        telemetry::operation(SYSTEM, "read_log", read).await
    }

    async fn receipt(&self, aggregate_id: Uuid, key: &IdempotencyKey) -> Result<Option<Receipt>, Error> {
        let read = async {
            let mut taken = self.readers.acquire().await?;
            let done = read::receipt(taken.connection(), aggregate_id, key, self.now()).await;
            taken.settle(done)
        };
        telemetry::operation(SYSTEM, "receipt", read).await
    }

    async fn head(&self) -> Result<Position, Error> {
        let read = async {
            let mut taken = self.readers.acquire().await?;
            let done = self.sight.head(taken.connection()).await;
            taken.settle(done)
        };
        telemetry::operation(SYSTEM, "head", read).await
    }

    async fn noticed(&self) {
        self.notices.noticed().await;
    }
}
