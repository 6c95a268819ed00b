//! The port of clients' calls, on SQLite.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments, sqlite::SqliteRow};

use super::{
    SqliteStore,
    backend::SYSTEM,
    checkpoint::changes,
    classify::{classify, classify_commit},
    row::{named, time},
    statement::{BEGIN_CALL, FIND_CALL, FORGET_CALL, LET_GO_OF_CALL, LIST_CALLS, RENEW_CALL, RESOLVE_CALL, TAKE_CALL},
    transaction,
};
use crate::store::{
    BegunCall, CallLease, CallName, CallQuery, Error, KeyStore, NewCall, PendingCall, StoredRequest, TakenCall,
    check_lease, headers_from_json, headers_to_json, telemetry::operation,
};

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

fn of_call<'q>(sql: &'static str, name: &'q CallName) -> Statement<'q> {
    sqlx::query(sql).bind(&*name.client).bind(name.key.as_str())
}

fn of_lease<'q>(sql: &'static str, lease: &'q CallLease) -> Statement<'q> {
    of_call(sql, &lease.name).bind(lease.holder)
}

fn lapses_at(now: DateTime<Utc>, length: Duration) -> i64 {
    let end = TimeDelta::from_std(length).ok().and_then(|length| now.checked_add_signed(length));
    end.unwrap_or(DateTime::<Utc>::MAX_UTC).timestamp_micros()
}

/// How long it is from one time to a later one; zero where it is none.
fn span(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    to.signed_duration_since(from).to_std().unwrap_or_default()
}

fn pending(row: &SqliteRow, client: &CallName, now: DateTime<Utc>) -> Result<PendingCall, Error> {
    let created_at = time(named(row, "created_at")?)?;
    let lapses_at = named::<Option<i64>>(row, "lease_expires_at")?.map(time).transpose()?;
    Ok(PendingCall {
        name: client.clone(),
        method: named(row, "method")?,
        url: named(row, "url")?,
        created_at,
        age: span(created_at, now),
        takes: named(row, "takes")?,
        lease_left: lapses_at.map_or(Duration::ZERO, |lapses_at| span(now, lapses_at)),
    })
}

async fn begin(
    connection: &mut SqliteConnection,
    (call, lease, length): (&NewCall, &CallLease, Duration),
    now: DateTime<Utc>,
) -> Result<BegunCall, Error> {
    let headers = headers_to_json(&call.request.headers)?;
    let begin = of_call(BEGIN_CALL, &call.name)
        .bind(call.fingerprint.as_bytes().as_slice())
        .bind(&*call.request.method)
        .bind(&*call.request.uri)
        .bind(headers)
        .bind(&*call.request.body)
        .bind(lease.holder)
        .bind(lapses_at(now, length))
        .bind(now.timestamp_micros());
    if let Some(row) = begin.fetch_optional(&mut *connection).await.map_err(classify)? {
        let begun = pending(&row, &call.name, now)?;
        return Ok(if begun.takes == 1 { BegunCall::New } else { BegunCall::Again(begun) });
    }
    let found = of_call(FIND_CALL, &call.name).fetch_one(connection).await.map_err(classify)?;
    if named::<&[u8]>(&found, "fingerprint")? != call.fingerprint.as_bytes() {
        return Ok(BegunCall::OtherRequest);
    }
    let lapses_at = named::<Option<i64>>(&found, "lease_expires_at")?.map(time).transpose()?;
    Ok(BegunCall::InHand { lease_left: lapses_at.map_or(Duration::ZERO, |lapses_at| span(now, lapses_at)) })
}

async fn take(
    connection: &mut SqliteConnection,
    (lease, length): (&CallLease, Duration),
    now: DateTime<Utc>,
) -> Result<Option<TakenCall>, Error> {
    let take = of_lease(TAKE_CALL, lease).bind(lapses_at(now, length)).bind(now.timestamp_micros());
    let Some(row) = take.fetch_optional(connection).await.map_err(classify)? else { return Ok(None) };
    let pending = pending(&row, &lease.name, now)?;
    let request = StoredRequest {
        method: pending.method.clone(),
        uri: pending.url.clone(),
        headers: headers_from_json(named(&row, "headers")?)?,
        body: named::<&[u8]>(&row, "body")?.into(),
    };
    Ok(Some(TakenCall { pending, request }))
}

async fn list(
    connection: &mut SqliteConnection,
    query: &CallQuery,
    now: DateTime<Utc>,
) -> Result<Vec<PendingCall>, Error> {
    let (created_at, key) =
        query.after.as_ref().map_or((i64::MIN, ""), |(at, key)| (at.timestamp_micros(), key.as_str()));
    let list = sqlx::query(LIST_CALLS).bind(&*query.client).bind(created_at).bind(key).bind(query.limit);
    let rows = list.fetch_all(connection).await.map_err(classify)?;
    rows.iter()
        .map(|row| {
            let key = named::<&str>(row, "idempotency_key")?.parse()?;
            pending(row, &CallName { client: Arc::clone(&query.client), key }, now)
        })
        .collect()
}

impl SqliteStore {
    async fn change_call(&self, name: &'static str, statement: Statement<'_>) -> Result<bool, Error> {
        let change = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let changed = changes(&mut transaction, statement).await?;
            transaction.commit().await.map_err(classify_commit)?;
            Ok(changed)
        };
        operation(SYSTEM, name, change).await
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn begin_call(&self, call: &NewCall, lease: &CallLease, length: Duration) -> Result<BegunCall, Error> {
        call.check(length)?;
        let begin = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let begun = begin(&mut transaction, (call, lease, length), self.backend().now()).await?;
            transaction.commit().await.map_err(classify_commit)?;
            Ok(begun)
        };
        operation(SYSTEM, "begin_call", begin).await
    }

    async fn take_call(&self, lease: &CallLease, length: Duration) -> Result<Option<TakenCall>, Error> {
        check_lease(length)?;
        let take = async {
            let mut transaction = transaction::begin(&self.backend().writer).await?;
            let taken = take(&mut transaction, (lease, length), self.backend().now()).await?;
            transaction.commit().await.map_err(classify_commit)?;
            Ok(taken)
        };
        operation(SYSTEM, "take_call", take).await
    }

    async fn renew_call(&self, lease: &CallLease, length: Duration) -> Result<bool, Error> {
        check_lease(length)?;
        let renew = of_lease(RENEW_CALL, lease).bind(lapses_at(self.backend().now(), length));
        self.change_call("renew_call", renew).await
    }

    async fn let_go_of_call(&self, lease: &CallLease) -> Result<bool, Error> {
        self.change_call("let_go_of_call", of_lease(LET_GO_OF_CALL, lease)).await
    }

    async fn resolve_call(&self, lease: &CallLease) -> Result<bool, Error> {
        self.change_call("resolve_call", of_lease(RESOLVE_CALL, lease)).await
    }

    async fn forget_call(&self, name: &CallName) -> Result<bool, Error> {
        name.check()?;
        self.change_call("forget_call", of_call(FORGET_CALL, name)).await
    }

    async fn pending_calls(&self, query: &CallQuery) -> Result<Vec<PendingCall>, Error> {
        query.check()?;
        let read = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            list(&mut connection, query, self.backend().now()).await
        };
        operation(SYSTEM, "pending_calls", read).await
    }
}
