//! The port of stored answers, on connections and transactions of PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    PostgresStore, PostgresWork,
    backend::SYSTEM,
    classify::classify,
    response::{self, Met},
    turn::in_turn,
};
use crate::store::{
    AbandonedRequest, ClaimedResponse, Error, LetGo, ResponseAction, ResponseClaim, ResponseLease, ResponseQuery,
    ResponseRow, ResponseStore, ResponseWork, ScopedKey, StoredResponse, check_abandoned, check_kept, check_operator,
    telemetry::{operation, response_operated},
};

#[async_trait]
impl ResponseStore for PostgresStore {
    async fn claim_response(&self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        claim.check()?;
        let take = in_turn!(self.backend().to_claim(), connection, now => response::claim(connection, claim, now));
        operation(SYSTEM, "claim_response", take).await
    }

    async fn find_response(&self, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        let find = in_turn!(self.backend().to_look(), connection, now => response::find(connection, key, now));
        operation(SYSTEM, "find_response", find).await
    }

    async fn renew_response(&self, lease: &ResponseLease, keep_for: Duration) -> Result<bool, Error> {
        lease.check()?;
        check_kept(keep_for)?;
        let renew =
            in_turn!(self.backend().to_keep(), connection, now => response::renew(connection, (lease, keep_for), now));
        operation(SYSTEM, "renew_response", renew).await
    }

    async fn complete_response(
        &self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        response.check(keep_for)?;
        let complete = in_turn!(self.backend().to_keep(), connection, now => response::complete(connection, (lease, response, keep_for), now));
        operation(SYSTEM, "complete_response", complete).await
    }

    async fn let_go_of_response(&self, lease: &ResponseLease, how: LetGo) -> Result<bool, Error> {
        let let_go =
            in_turn!(self.backend().to_keep(), connection, now => response::let_go(connection, (lease, how), now));
        operation(SYSTEM, "let_go_of_response", let_go).await
    }

    async fn bury_response(
        &self,
        key: &ScopedKey,
        fence: u64,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        response.check(keep_for)?;
        let bury = in_turn!(self.backend().to_keep(), connection, now => response::bury(connection, (key, fence), (response, keep_for), now));
        operation(SYSTEM, "bury_response", bury).await
    }

    async fn abandoned_requests(&self, lapsed_for: Duration, limit: u32) -> Result<Vec<AbandonedRequest>, Error> {
        check_abandoned(lapsed_for, limit)?;
        let read = in_turn!(self.backend().to_look(), connection, now => response::abandoned(connection, (lapsed_for, limit), now));
        operation(SYSTEM, "abandoned_requests", read).await
    }

    async fn list_responses(&self, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
        query.check()?;
        let list = in_turn!(self.backend().to_look(), connection, _ => response::list(connection, query));
        operation(SYSTEM, "list_responses", list).await
    }

    async fn operate_response(&self, key: &ScopedKey, action: ResponseAction, operator: &str) -> Result<bool, Error> {
        check_operator(operator)?;
        let operate = in_turn!(self.backend().to_keep(), connection, now => response::operate(connection, key, (action, operator), now));
        let is_done = operation(SYSTEM, "operate_response", operate).await?;
        if is_done {
            response_operated(action.as_str(), operator);
        }
        Ok(is_done)
    }
}

/// What a statement inside an open transaction met: nothing of it is committed yet.
fn within(met: Met) -> Error {
    met.told(classify)
}

#[async_trait]
impl ResponseWork for PostgresWork {
    async fn claim_response(&mut self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        claim.check()?;
        let now = self.given_time();
        let take = async {
            let claimed = response::claim(self.enter()?, claim, now).await.map_err(within);
            self.leave(claimed)
        };
        operation(SYSTEM, "claim_response", take).await
    }

    async fn complete_response(
        &mut self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        response.check(keep_for)?;
        let now = self.given_time();
        let complete = async {
            let completed = response::complete(self.enter()?, (lease, response, keep_for), now).await.map_err(within);
            self.leave(completed)
        };
        operation(SYSTEM, "complete_response", complete).await
    }
}
