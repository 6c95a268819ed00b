//! The port of retention, on connections of SQLite.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::time::sleep;

use super::{
    SqliteStore,
    backend::SYSTEM,
    classify::{classify, classify_commit},
    statement::{SWEEP_INBOX, SWEEP_RECEIPTS, SWEEP_RESPONSES, SWEEP_STEPS, SWEEP_TIMERS},
    transaction,
};
use crate::store::{Error, Expiring, Retention, telemetry::operation};

/// The most rows of one transaction.
///
/// Each row lies on a page of its own in the index by key, and the one writer is held until all those pages are on the
/// disk: with a thousand rows, others' claims wait for tens of milliseconds.
const TRANSACTION_ROWS: u32 = 100;

/// The longest pause between two transactions of one batch.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Waits for nobody, and holds nobody up.
const WRITE_LOG_BACK: &str = "PRAGMA wal_checkpoint(PASSIVE)";

impl SqliteStore {
    /// Deletes rows, a few in each transaction. Whoever waits for the writer has it in between.
    async fn sweep_by_transactions(&self, sql: &'static str, limit: u32) -> Result<u32, Error> {
        let mut swept = 0;
        loop {
            let began = Instant::now();
            let rows = TRANSACTION_ROWS.min(limit - swept);
            let gone = self.sweep_transaction(sql, rows).await?;
            swept += gone;
            if gone > 0 {
                self.write_log_back().await;
            }
            if gone < rows || swept >= limit {
                return Ok(swept);
            }
            // Others have writer and disk for as long: a sweep has time.
            sleep(began.elapsed().min(LONGEST_PAUSE)).await;
        }
    }

    async fn sweep_transaction(&self, sql: &'static str, rows: u32) -> Result<u32, Error> {
        let mut transaction = transaction::begin(&self.backend().writer).await?;
        let sweep = sqlx::query(sql).bind(rows).bind(self.backend().now().timestamp_micros());
        let gone = sweep.execute(&mut *transaction).await.map_err(classify)?.rows_affected();
        transaction.commit().await.map_err(classify_commit)?;
        Ok(u32::try_from(gone).unwrap_or(rows))
    }

    /// Writes the log back into the database on a reader's connection. Left to whoever commits past its thousandth page, it
    /// would be done with the writer in hand; and these rows fill the log with pages that nobody else has touched.
    async fn write_log_back(&self) {
        // What is not written back now, the next commits do.
        if let Ok(mut reader) = self.backend().readers.acquire().await {
            drop(sqlx::query(WRITE_LOG_BACK).execute(&mut *reader).await);
        }
    }
}

#[async_trait]
impl Retention for SqliteStore {
    async fn sweep(&self, what: Expiring, limit: u32) -> Result<u64, Error> {
        what.check(limit)?;
        let sql = match what {
            Expiring::Responses => SWEEP_RESPONSES,
            Expiring::Receipts => SWEEP_RECEIPTS,
            Expiring::Steps => SWEEP_STEPS,
            Expiring::Timers => SWEEP_TIMERS,
            Expiring::Inbox => SWEEP_INBOX,
        };
        let sweep = async { self.sweep_by_transactions(sql, limit).await.map(u64::from) };
        operation(SYSTEM, "sweep", sweep).await
    }
}
