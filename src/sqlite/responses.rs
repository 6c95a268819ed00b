//! The port of stored answers, on connections and transactions of SQLite.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::{SqliteStore, SqliteWork, backend::SYSTEM, classify::classify, commits::SharedWrite, response};
use crate::store::{
    AbandonedRequest, ClaimedResponse, Error, LetGo, ResponseAction, ResponseClaim, ResponseLease, ResponseQuery,
    ResponseRow, ResponseStore, ResponseWork, ScopedKey, StoredResponse, check_abandoned, check_kept, check_operator,
    telemetry::{operation, response_operated},
};

/// Takes a claim.
struct Claim(ResponseClaim);

#[async_trait]
impl SharedWrite for Claim {
    type Answer = ClaimedResponse;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<ClaimedResponse, Error> {
        response::claim(connection, &self.0, now).await
    }
}

/// Changes what stands under a key.
enum Change {
    Renew(ResponseLease, Duration),
    Complete(ResponseLease, StoredResponse, Duration),
    LetGo(ResponseLease, LetGo),
    Bury((ScopedKey, u64), StoredResponse, Duration),
    Operate(ScopedKey, ResponseAction, String),
}

#[async_trait]
impl SharedWrite for Change {
    type Answer = bool;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<bool, Error> {
        match self {
            Self::Renew(lease, keep_for) => response::renew(connection, (lease, *keep_for), now).await,
            Self::Complete(lease, response, keep_for) => {
                response::complete(connection, (lease, response, *keep_for), now).await
            }
            Self::LetGo(lease, how) => response::let_go(connection, (lease, *how), now).await,
            Self::Bury((key, fence), response, keep_for) => {
                response::bury(connection, (key, *fence), (response, *keep_for), now).await
            }
            Self::Operate(key, action, operator) => response::operate(connection, key, (*action, operator), now).await,
        }
    }
}

#[async_trait]
impl ResponseStore for SqliteStore {
    async fn claim_response(&self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        claim.check()?;
        let take = async {
            // A replay needs no writer.
            let answered = {
                let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
                response::answered(&mut connection, claim, self.backend().now()).await?
            };
            match answered {
                Some(answered) => Ok(answered),
                None => self.backend().commits.write(Claim(claim.clone())).await,
            }
        };
        operation(SYSTEM, "claim_response", take).await
    }

    async fn find_response(&self, key: &ScopedKey) -> Result<Option<ClaimedResponse>, Error> {
        let find = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            response::find(&mut connection, key, self.backend().now()).await
        };
        operation(SYSTEM, "find_response", find).await
    }

    async fn renew_response(&self, lease: &ResponseLease, keep_for: Duration) -> Result<bool, Error> {
        lease.check()?;
        check_kept(keep_for)?;
        let renew = self.backend().commits.write(Change::Renew(lease.clone(), keep_for));
        operation(SYSTEM, "renew_response", renew).await
    }

    async fn complete_response(
        &self,
        lease: &ResponseLease,
        response: &StoredResponse,
        keep_for: Duration,
    ) -> Result<bool, Error> {
        response.check(keep_for)?;
        let complete = self.backend().commits.write(Change::Complete(lease.clone(), response.clone(), keep_for));
        operation(SYSTEM, "complete_response", complete).await
    }

    async fn let_go_of_response(&self, lease: &ResponseLease, how: LetGo) -> Result<bool, Error> {
        let let_go = self.backend().commits.write(Change::LetGo(lease.clone(), how));
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
        let bury = self.backend().commits.write(Change::Bury((key.clone(), fence), response.clone(), keep_for));
        operation(SYSTEM, "bury_response", bury).await
    }

    async fn abandoned_requests(&self, lapsed_for: Duration, limit: u32) -> Result<Vec<AbandonedRequest>, Error> {
        check_abandoned(lapsed_for, limit)?;
        let read = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            response::abandoned(&mut connection, (lapsed_for, limit), self.backend().now()).await
        };
        operation(SYSTEM, "abandoned_requests", read).await
    }

    async fn list_responses(&self, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
        query.check()?;
        let list = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            response::list(&mut connection, query).await
        };
        operation(SYSTEM, "list_responses", list).await
    }

    async fn operate_response(&self, key: &ScopedKey, action: ResponseAction, operator: &str) -> Result<bool, Error> {
        check_operator(operator)?;
        let operate = self.backend().commits.write(Change::Operate(key.clone(), action, operator.to_owned()));
        let is_done = operation(SYSTEM, "operate_response", operate).await?;
        if is_done {
            response_operated(action.as_str(), operator);
        }
        Ok(is_done)
    }
}

#[async_trait]
impl ResponseWork for SqliteWork {
    async fn claim_response(&mut self, claim: &ResponseClaim) -> Result<ClaimedResponse, Error> {
        claim.check()?;
        let now = self.time();
        let take = async {
            let connection = self.enter().await?;
            let claimed = response::claim(connection, claim, now).await;
            self.leave(claimed).await
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
        let now = self.time();
        let complete = async {
            let connection = self.enter().await?;
            let completed = response::complete(connection, (lease, response, keep_for), now).await;
            self.leave(completed).await
        };
        operation(SYSTEM, "complete_response", complete).await
    }
}
