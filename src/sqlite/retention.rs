//! The port of retention, on connections of SQLite.

use async_trait::async_trait;

use super::{
    SqliteStore,
    backend::SYSTEM,
    classify::{classify, classify_commit},
    statement::{SWEEP_RECEIPTS, SWEEP_RESPONSES, SWEEP_STEPS},
    transaction,
};
use crate::store::{Error, Expiring, Retention, telemetry::operation};

#[async_trait]
impl Retention for SqliteStore {
    async fn sweep(&self, what: Expiring, limit: u32) -> Result<u64, Error> {
        what.check(limit)?;
        let sql = match what {
            Expiring::Responses => SWEEP_RESPONSES,
            Expiring::Receipts => SWEEP_RECEIPTS,
            Expiring::Steps => SWEEP_STEPS,
        };
        // In a transaction of its own: a batch must not make the claims of others wait longer than it has to.
        let sweep = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let sweep = sqlx::query(sql).bind(limit).bind(self.backend().now().timestamp_micros());
            let swept = sweep.execute(&mut *transaction).await.map_err(classify)?.rows_affected();
            transaction.commit().await.map_err(classify_commit)?;
            Ok(swept)
        };
        operation(SYSTEM, "sweep", sweep).await
    }
}
