//! Stored answers, statement by statement.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    checkpoint::changes,
    classify::classify,
    row::{column, ends_at, named, time},
    statement::{
        ABANDONED_REQUESTS, BURY_RESPONSE, CLAIM_RESPONSE, COMPLETE_RESPONSE, DRAW_FENCES, EXPIRE_RESPONSE,
        FIND_RESPONSE, FREE_RESPONSE, LET_GO_OF_RESPONSE, LIST_RESPONSES, RELEASE_RESPONSE, RENEW_RESPONSE,
        REVIVE_RESPONSE,
    },
};
use crate::store::{
    AbandonedRequest, ClaimedResponse, Error, FoundResponse, IdempotencyKey, LetGo, Operation, ResponseAction,
    ResponseClaim, ResponseLease, ResponseQuery, ResponseRow, Scope, ScopedKey, StoredResponse, body_columns,
    fingerprint, from_column, headers_json, number, recipe, request_json, request_of, state, to_column,
};

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement whose first binds are a key.
fn of_key<'q>(sql: &'static str, key: &'q ScopedKey) -> Statement<'q> {
    sqlx::query(sql).bind(key.scope.as_str()).bind(key.key.as_str())
}

/// A statement whose first binds are a key and a fence.
fn of_fence<'q>(sql: &'static str, key: &'q ScopedKey, fence: u64) -> Statement<'q> {
    of_key(sql, key).bind(to_column(fence))
}

/// Binds an answer: status, headers, kind of body, body.
fn bind_response<'q>(statement: Statement<'q>, response: &'q StoredResponse) -> Result<Statement<'q>, Error> {
    let (kind, body) = body_columns(&response.body);
    Ok(statement.bind(response.status).bind(headers_json(&response.headers)?).bind(kind).bind(body))
}

/// Draws a fence that nobody had before.
async fn draw_fence(connection: &mut SqliteConnection) -> Result<i64, Error> {
    let row = sqlx::query(DRAW_FENCES).bind(1_i64).fetch_one(connection).await.map_err(classify)?;
    column(&row, 0)
}

/// Takes a claim, or says what has become of it, within a transaction.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    claim: &ResponseClaim,
    now: DateTime<Utc>,
) -> Result<ClaimedResponse, Error> {
    let request = claim.request.as_ref().map(request_json).transpose()?;
    let fence = draw_fence(connection).await?;
    let new_run = Uuid::now_v7();
    let take = of_key(CLAIM_RESPONSE, &claim.key)
        .bind(&claim.fingerprint.as_bytes()[..])
        .bind(claim.recipe)
        .bind(new_run)
        .bind(ends_at(now, claim.lease))
        .bind(ends_at(now, claim.lease + claim.keep_for))
        .bind(claim.attempts)
        .bind(claim.scope_keys)
        .bind(request)
        .bind(claim.request.as_ref().map(|request| &*request.body))
        .bind(now.timestamp_micros())
        .bind(fence)
        .bind(claim.key.scope.principal());
    if let Some(row) = take.fetch_optional(&mut *connection).await.map_err(classify)? {
        return Ok(ClaimedResponse::Mine(ResponseLease {
            key: claim.key.clone(),
            fence: from_column(named(&row, "fence")?)?,
            run_id: named(&row, "run_id")?,
            attempt: number(named(&row, "attempts")?)?,
            is_new_run: named::<Uuid>(&row, "run_id")? == new_run,
            length: claim.lease,
        }));
    }
    match look(connection, &claim.key, now).await? {
        Some(found) => found.answer(),
        None => Ok(ClaimedResponse::TooManyKeys),
    }
}

/// What a reader can answer to a claim without the writer; `None`: the key may be there to be taken.
pub(super) async fn answered(
    connection: &mut SqliteConnection,
    claim: &ResponseClaim,
    now: DateTime<Utc>,
) -> Result<Option<ClaimedResponse>, Error> {
    let found = look(connection, &claim.key, now).await?;
    let is_free = |found: &FoundResponse| {
        found.has_expired() || found.may_be_taken_over(claim.fingerprint, claim.recipe, claim.attempts)
    };
    found.filter(|found| !is_free(found)).map(FoundResponse::answer).transpose()
}

/// Reads what stands under a key.
async fn look(
    connection: &mut SqliteConnection,
    key: &ScopedKey,
    now: DateTime<Utc>,
) -> Result<Option<FoundResponse>, Error> {
    let find = of_key(FIND_RESPONSE, key).bind(now.timestamp_micros());
    let row = find.fetch_optional(connection).await.map_err(classify)?;
    row.map(|row| found(&row)).transpose()
}

fn found(row: &SqliteRow) -> Result<FoundResponse, Error> {
    Ok(FoundResponse {
        fingerprint: named(row, "fingerprint")?,
        recipe: named(row, "recipe")?,
        state: named(row, "state")?,
        fence: named(row, "fence")?,
        attempts: named(row, "attempts")?,
        lease_left: named(row, "lease_left")?,
        left: named(row, "time_left")?,
        status: named(row, "status")?,
        headers: named(row, "headers")?,
        body_kind: named(row, "body_kind")?,
        body: named(row, "body")?,
    })
}

pub(super) async fn find(
    connection: &mut SqliteConnection,
    key: &ScopedKey,
    now: DateTime<Utc>,
) -> Result<Option<ClaimedResponse>, Error> {
    let found = look(connection, key, now).await?;
    found.filter(|found| !found.has_expired()).map(FoundResponse::answer).transpose()
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    (lease, keep_for): (&ResponseLease, Duration),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let renew = of_fence(RENEW_RESPONSE, &lease.key, lease.fence);
    changes(connection, renew.bind(ends_at(now, lease.length)).bind(ends_at(now, lease.length + keep_for))).await
}

pub(super) async fn complete(
    connection: &mut SqliteConnection,
    (lease, response, keep_for): (&ResponseLease, &StoredResponse, Duration),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let complete = bind_response(of_fence(COMPLETE_RESPONSE, &lease.key, lease.fence), response)?;
    changes(connection, complete.bind(ends_at(now, keep_for)).bind(now.timestamp_micros())).await
}

pub(super) async fn let_go(
    connection: &mut SqliteConnection,
    (lease, how): (&ResponseLease, LetGo),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let let_go = match how {
        LetGo::Free => of_fence(FREE_RESPONSE, &lease.key, lease.fence),
        LetGo::Resume => of_fence(LET_GO_OF_RESPONSE, &lease.key, lease.fence).bind(now.timestamp_micros()),
    };
    changes(connection, let_go).await
}

pub(super) async fn bury(
    connection: &mut SqliteConnection,
    (key, fence): (&ScopedKey, u64),
    (response, keep_for): (&StoredResponse, Duration),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let bury = bind_response(of_fence(BURY_RESPONSE, key, fence), response)?;
    changes(connection, bury.bind(ends_at(now, keep_for)).bind(now.timestamp_micros())).await
}

pub(super) async fn operate(
    connection: &mut SqliteConnection,
    key: &ScopedKey,
    (action, operator): (ResponseAction, &str),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let of_action = |sql| of_key(sql, key).bind(action.as_str()).bind(operator.to_owned()).bind(now.timestamp_micros());
    let operate = match action {
        ResponseAction::Expire => of_action(EXPIRE_RESPONSE),
        ResponseAction::Release => of_action(RELEASE_RESPONSE).bind(draw_fence(connection).await?),
        ResponseAction::Revive => of_action(REVIVE_RESPONSE).bind(draw_fence(connection).await?),
    };
    changes(connection, operate).await
}

pub(super) async fn abandoned(
    connection: &mut SqliteConnection,
    (lapsed_for, limit): (Duration, u32),
    now: DateTime<Utc>,
) -> Result<Vec<AbandonedRequest>, Error> {
    let lapsed_by = TimeDelta::from_std(lapsed_for).ok().and_then(|lapsed| now.checked_sub_signed(lapsed));
    let lapsed_by = lapsed_by.unwrap_or(DateTime::<Utc>::MIN_UTC).timestamp_micros();
    let read = sqlx::query(ABANDONED_REQUESTS).bind(lapsed_by).bind(limit).bind(now.timestamp_micros());
    read.fetch_all(connection).await.map_err(classify)?.iter().map(abandoned_request).collect()
}

fn abandoned_request(row: &SqliteRow) -> Result<AbandonedRequest, Error> {
    let ScopedKey { scope, key } = key(row)?;
    Ok(AbandonedRequest {
        scope,
        key,
        fingerprint: fingerprint(named(row, "fingerprint")?)?,
        recipe: recipe(named(row, "recipe")?)?,
        attempts: number(named(row, "attempts")?)?,
        request: request_of(named(row, "request")?, named::<Option<_>>(row, "request_body")?.unwrap_or_default())?,
    })
}

pub(super) async fn list(connection: &mut SqliteConnection, query: &ResponseQuery) -> Result<Vec<ResponseRow>, Error> {
    let (first, last) = query.bounds();
    let list = sqlx::query(LIST_RESPONSES).bind(first.0).bind(first.1).bind(last);
    let list = list.bind(query.state.map(|state| state.as_str())).bind(query.limit);
    list.fetch_all(connection).await.map_err(classify)?.iter().map(response_row).collect()
}

fn response_row(row: &SqliteRow) -> Result<ResponseRow, Error> {
    let operation = match named::<Option<String>>(row, "operation")? {
        Some(name) => {
            let at = time(named(row, "operated_at")?)?;
            Some(Operation { name, operator: named(row, "operator")?, at })
        }
        None => None,
    };
    Ok(ResponseRow {
        key: key(row)?,
        state: state(named(row, "state")?)?,
        fence: from_column(named(row, "fence")?)?,
        run_id: named(row, "run_id")?,
        attempts: number(named(row, "attempts")?)?,
        created_at: time(named(row, "created_at")?)?,
        lease_expires_at: named::<Option<i64>>(row, "lease_expires_at")?.map(time).transpose()?,
        status: named(row, "status")?,
        expires_at: time(named(row, "expires_at")?)?,
        operation,
    })
}

fn key(row: &SqliteRow) -> Result<ScopedKey, Error> {
    let key = IdempotencyKey::from_stored(named(row, "idempotency_key")?);
    Ok(ScopedKey::new(Scope::from_stored(named(row, "scope")?), key))
}
