//! Stored answers, statement by statement.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, postgres::PgRow, query::Query};
use uuid::Uuid;

use super::{
    classify::within_reach,
    row::{micros, named, time},
    statement::{
        ABANDONED_REQUESTS, BURY_RESPONSE, CLAIM_RESPONSE, COMPLETE_RESPONSE, EXPIRE_RESPONSE, FIND_RESPONSE,
        FREE_RESPONSE, LET_GO_OF_RESPONSE, LIST_RESPONSES, RELEASE_RESPONSE, RENEW_RESPONSE, REVIVE_RESPONSE,
    },
};
use crate::store::{
    AbandonedRequest, ClaimedResponse, Error, FoundResponse, IdempotencyKey, LetGo, Operation, ResponseAction,
    ResponseClaim, ResponseLease, ResponseQuery, ResponseRow, Scope, ScopedKey, StoredRequest, StoredResponse,
    body_columns, fingerprint, from_column, headers_json, number, recipe, request_json, request_of, state, to_column,
};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// The time, where it is not the server's.
pub(super) type Now = Option<DateTime<Utc>>;

/// How often a claim is looked at again that others were faster with: each time one of them has got on.
const LOOKS: u32 = 8;

/// A statement whose first binds are a key.
fn of_key<'q>(sql: &'static str, key: &'q ScopedKey) -> Statement<'q> {
    sqlx::query(sql).bind(key.scope.as_str()).bind(key.key.as_str())
}

/// A statement whose first binds are a key and a fence.
fn of_fence<'q>(sql: &'static str, key: &'q ScopedKey, fence: u64) -> Statement<'q> {
    of_key(sql, key).bind(to_column(fence))
}

/// Binds an answer: status, headers, kind of body, body, how long it is kept.
fn bind_response<'q>(
    statement: Statement<'q>,
    response: &'q StoredResponse,
    keep_for: Duration,
) -> Result<Statement<'q>, Error> {
    let (kind, body) = body_columns(&response.body);
    let statement = statement.bind(small(response.status)).bind(headers_json(&response.headers)?);
    Ok(statement.bind(kind).bind(body).bind(micros(keep_for)))
}

/// A number as its column holds it; greater ones were refused before.
fn small(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// A number as its column holds it; greater ones were refused before.
fn medium(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Runs a statement, and tells whether it changed anything.
async fn changes(connection: &mut PgConnection, statement: Statement<'_>) -> Result<bool, sqlx::Error> {
    let done = within_reach(statement.execute(connection)).await?;
    Ok(done.rows_affected() > 0)
}

/// What a statement met: the driver's error, which may be worth another try, or the store's own.
#[derive(Debug)]
pub(super) enum Met {
    Driver(sqlx::Error),
    Store(Error),
}

impl From<sqlx::Error> for Met {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Error> for Met {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Met {
    /// What it is to the caller.
    pub(super) fn told(self, classify: impl FnOnce(sqlx::Error) -> Error) -> Error {
        match self {
            Self::Driver(error) => classify(error),
            Self::Store(error) => error,
        }
    }
}

/// Takes a claim, or says what has become of it. One statement, unless somebody is faster.
pub(super) async fn claim(
    connection: &mut PgConnection,
    claim: &ResponseClaim,
    now: Now,
) -> Result<ClaimedResponse, Met> {
    let request = claim.request.as_ref().map(request_json).transpose()?;
    let run_id = Uuid::now_v7();
    for _ in 0..LOOKS {
        let take = of_key(CLAIM_RESPONSE, &claim.key)
            .bind(&claim.fingerprint.as_bytes()[..])
            .bind(small(claim.recipe))
            .bind(run_id)
            .bind(micros(claim.lease))
            .bind(micros(claim.keep_for))
            .bind(medium(claim.attempts))
            .bind(claim.scope_keys.map(medium))
            .bind(request.as_deref())
            .bind(claim.request.as_ref().map(body_of))
            .bind(now)
            .bind(claim.key.scope.principal());
        let row = within_reach(take.fetch_optional(&mut *connection)).await?;
        if let Some(answered) = row.map(|row| claimed(&row, claim, run_id)).transpose()?.flatten() {
            return Ok(answered);
        }
        // What was committed while the statement waited is seen by the next one.
    }
    Err(Error::Contention { source: None }.into())
}

fn body_of(request: &StoredRequest) -> &[u8] {
    &request.body
}

/// What a claim's row says; `None`: look again.
fn claimed(row: &PgRow, claim: &ResponseClaim, new_run: Uuid) -> Result<Option<ClaimedResponse>, Error> {
    match named(row, "outcome")? {
        "mine" => Ok(Some(ClaimedResponse::Mine(ResponseLease {
            key: claim.key.clone(),
            fence: from_column(named(row, "fence")?)?,
            run_id: named(row, "run_id")?,
            attempt: number(named::<i32>(row, "attempts")?.into())?,
            is_new_run: named::<Uuid>(row, "run_id")? == new_run,
            length: claim.lease,
        }))),
        "found" => found(row)?.answer().map(Some),
        "full" => Ok(Some(ClaimedResponse::TooManyKeys)),
        _ => Ok(None),
    }
}

/// Reads the columns of what stands under a key.
fn found(row: &PgRow) -> Result<FoundResponse, Error> {
    Ok(FoundResponse {
        fingerprint: named(row, "fingerprint")?,
        recipe: named::<i16>(row, "recipe")?.into(),
        state: named(row, "state")?,
        fence: named(row, "fence")?,
        attempts: named::<i32>(row, "attempts")?.into(),
        lease_left: named(row, "lease_left")?,
        left: named(row, "time_left")?,
        status: named::<Option<i16>>(row, "status")?.map(i64::from),
        headers: named(row, "headers")?,
        body_kind: named(row, "body_kind")?,
        body: named(row, "body")?,
    })
}

pub(super) async fn find(
    connection: &mut PgConnection,
    key: &ScopedKey,
    now: Now,
) -> Result<Option<ClaimedResponse>, Met> {
    let row = within_reach(of_key(FIND_RESPONSE, key).bind(now).fetch_optional(connection)).await?;
    let found = row.map(|row| found(&row)).transpose()?;
    Ok(found.filter(|found| !found.has_expired()).map(FoundResponse::answer).transpose()?)
}

pub(super) async fn renew(
    connection: &mut PgConnection,
    (lease, keep_for): (&ResponseLease, Duration),
    now: Now,
) -> Result<bool, Met> {
    let renew = of_fence(RENEW_RESPONSE, &lease.key, lease.fence).bind(micros(lease.length));
    Ok(changes(connection, renew.bind(micros(keep_for)).bind(now)).await?)
}

pub(super) async fn complete(
    connection: &mut PgConnection,
    (lease, response, keep_for): (&ResponseLease, &StoredResponse, Duration),
    now: Now,
) -> Result<bool, Met> {
    let complete = of_fence(COMPLETE_RESPONSE, &lease.key, lease.fence);
    Ok(changes(connection, bind_response(complete, response, keep_for)?.bind(now)).await?)
}

pub(super) async fn let_go(
    connection: &mut PgConnection,
    (lease, how): (&ResponseLease, LetGo),
    now: Now,
) -> Result<bool, Met> {
    let let_go = match how {
        LetGo::Free => of_fence(FREE_RESPONSE, &lease.key, lease.fence),
        LetGo::Resume => of_fence(LET_GO_OF_RESPONSE, &lease.key, lease.fence).bind(now),
    };
    Ok(changes(connection, let_go).await?)
}

pub(super) async fn bury(
    connection: &mut PgConnection,
    (key, fence): (&ScopedKey, u64),
    (response, keep_for): (&StoredResponse, Duration),
    now: Now,
) -> Result<bool, Met> {
    let bury = of_fence(BURY_RESPONSE, key, fence);
    Ok(changes(connection, bind_response(bury, response, keep_for)?.bind(now)).await?)
}

pub(super) async fn operate(
    connection: &mut PgConnection,
    key: &ScopedKey,
    (action, operator): (ResponseAction, &str),
    now: Now,
) -> Result<bool, Met> {
    let sql = match action {
        ResponseAction::Expire => EXPIRE_RESPONSE,
        ResponseAction::Release => RELEASE_RESPONSE,
        ResponseAction::Revive => REVIVE_RESPONSE,
    };
    Ok(changes(connection, of_key(sql, key).bind(action.as_str()).bind(operator).bind(now)).await?)
}

pub(super) async fn abandoned(
    connection: &mut PgConnection,
    (lapsed_for, limit): (Duration, u32),
    now: Now,
) -> Result<Vec<AbandonedRequest>, Met> {
    let read = sqlx::query(ABANDONED_REQUESTS).bind(micros(lapsed_for)).bind(i64::from(limit)).bind(now);
    let rows = within_reach(read.fetch_all(connection)).await?;
    Ok(rows.iter().map(abandoned_request).collect::<Result<_, _>>()?)
}

fn abandoned_request(row: &PgRow) -> Result<AbandonedRequest, Error> {
    let ScopedKey { scope, key } = key(row)?;
    Ok(AbandonedRequest {
        scope,
        key,
        fingerprint: fingerprint(named(row, "fingerprint")?)?,
        recipe: recipe(named::<i16>(row, "recipe")?.into())?,
        attempts: number(named::<i32>(row, "attempts")?.into())?,
        request: request_of(named(row, "request")?, named::<Option<_>>(row, "request_body")?.unwrap_or_default())?,
    })
}

pub(super) async fn list(connection: &mut PgConnection, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Met> {
    let (first, last) = query.bounds();
    let list = sqlx::query(LIST_RESPONSES).bind(first.0).bind(first.1).bind(last);
    let list = list.bind(query.state.map(|state| state.as_str())).bind(i64::from(query.limit));
    let rows = within_reach(list.fetch_all(connection)).await?;
    Ok(rows.iter().map(response_row).collect::<Result<_, _>>()?)
}

fn response_row(row: &PgRow) -> Result<ResponseRow, Error> {
    let there = |name| time(row, name)?.ok_or_else(|| Error::corrupt(format!("a stored answer has no time {name}")));
    let operation = match named::<Option<String>>(row, "operation")? {
        Some(name) => Some(Operation { name, operator: named(row, "operator")?, at: there("operated_at")? }),
        None => None,
    };
    let status = named::<Option<i16>>(row, "status")?;
    Ok(ResponseRow {
        key: key(row)?,
        state: state(named(row, "state")?)?,
        fence: from_column(named(row, "fence")?)?,
        run_id: named(row, "run_id")?,
        attempts: number(named::<i32>(row, "attempts")?.into())?,
        created_at: there("created_at")?,
        lease_expires_at: time(row, "lease_expires_at")?,
        status: status.map(i16::cast_unsigned),
        expires_at: there("expires_at")?,
        operation,
    })
}

fn key(row: &PgRow) -> Result<ScopedKey, Error> {
    let key = IdempotencyKey::from_stored(named(row, "idempotency_key")?);
    Ok(ScopedKey::new(Scope::from_stored(named(row, "scope")?), key))
}
