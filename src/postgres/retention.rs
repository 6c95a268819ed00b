//! The port of retention, on connections of PostgreSQL.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{
    PostgresStore,
    backend::SYSTEM,
    classify::within_reach,
    response::{Met, Now},
    statement::{SWEEP_INBOX, SWEEP_RECEIPTS, SWEEP_RESPONSES, SWEEP_STEPS, SWEEP_TIMERS},
    turn::in_turn,
};
use crate::store::{Error, Expiring, Retention, telemetry::operation};

async fn sweep(connection: &mut PgConnection, (sql, limit): (&'static str, u32), now: Now) -> Result<u64, Met> {
    let sweep = sqlx::query(sql).bind(i64::from(limit)).bind(now);
    Ok(within_reach(sweep.execute(connection)).await?.rows_affected())
}

#[async_trait]
impl Retention for PostgresStore {
    async fn sweep(&self, what: Expiring, limit: u32) -> Result<u64, Error> {
        what.check(limit)?;
        let sql = match what {
            Expiring::Responses => SWEEP_RESPONSES,
            Expiring::Receipts => SWEEP_RECEIPTS,
            Expiring::Steps => SWEEP_STEPS,
            Expiring::Timers => SWEEP_TIMERS,
            Expiring::Inbox => SWEEP_INBOX,
        };
        let sweep = in_turn!(self.backend().to_keep(), connection, now => sweep(connection, (sql, limit), now));
        operation(SYSTEM, "sweep", sweep).await
    }
}
