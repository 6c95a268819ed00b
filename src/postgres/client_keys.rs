//! The port of clients' calls, on PostgreSQL.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, postgres::PgRow, query::Query};

use super::{
    PostgresStore,
    backend::SYSTEM,
    checkpoint::changes,
    checkpoints::committed,
    classify::reply,
    row::{json, named, time},
    statement::{BEGIN_CALL, FIND_CALL, FORGET_CALL, LET_GO_OF_CALL, LIST_CALLS, RENEW_CALL, RESOLVE_CALL, TAKE_CALL},
};
use crate::store::{
    BegunCall, CallLease, CallName, CallQuery, Error, KeyStore, NewCall, PendingCall, StoredRequest, TakenCall,
    check_lease, headers_from_json, headers_to_json, telemetry::operation,
};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// The time that the application has set; `None`: the server's own.
type Set = Option<DateTime<Utc>>;

fn of_call<'q>(sql: &'static str, name: &'q CallName) -> Statement<'q> {
    sqlx::query(sql).bind(&*name.client).bind(name.key.as_str())
}

fn of_lease<'q>(sql: &'static str, lease: &'q CallLease) -> Statement<'q> {
    of_call(sql, &lease.name).bind(lease.holder)
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// How long it is from one time to a later one; zero where it is none.
fn span(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    to.signed_duration_since(from).to_std().unwrap_or_default()
}

fn lease_left(row: &PgRow, now: DateTime<Utc>) -> Result<Duration, Error> {
    Ok(time(row, "lease_expires_at")?.map_or(Duration::ZERO, |lapses_at| span(now, lapses_at)))
}

fn present(row: &PgRow, name: &str) -> Result<DateTime<Utc>, Error> {
    time(row, name)?.ok_or_else(|| Error::corrupt(format!("a call has no {name}")))
}

fn pending(row: &PgRow, name: &CallName) -> Result<PendingCall, Error> {
    let (created_at, now) = (present(row, "created_at")?, present(row, "now")?);
    let takes = named::<i32>(row, "takes")?;
    Ok(PendingCall {
        name: name.clone(),
        method: named(row, "method")?,
        url: named(row, "url")?,
        created_at,
        age: span(created_at, now),
        takes: u32::try_from(takes).map_err(|_| Error::corrupt("a call was taken less than once"))?,
        lease_left: lease_left(row, now)?,
    })
}

/// How often a call is looked for that comes and goes.
const LOOKS: u32 = 3;

async fn begin(
    connection: &mut PgConnection,
    (call, lease, length): (&NewCall, &CallLease, Duration),
    set: Set,
) -> Result<BegunCall, Error> {
    let headers = headers_to_json(&call.request.headers)?;
    for _ in 0..LOOKS {
        let begin = of_call(BEGIN_CALL, &call.name)
            .bind(call.fingerprint.as_bytes().as_slice())
            .bind(&*call.request.method)
            .bind(&*call.request.uri)
            .bind(&*headers)
            .bind(&*call.request.body)
            .bind(lease.holder)
            .bind(micros(length))
            .bind(set);
        if let Some(row) = reply(begin.fetch_optional(&mut *connection)).await? {
            let begun = pending(&row, &call.name)?;
            return Ok(if begun.takes == 1 { BegunCall::New } else { BegunCall::Again(begun) });
        }
        // It may be gone by now: then it is free.
        let find = of_call(FIND_CALL, &call.name).bind(set);
        if let Some(found) = reply(find.fetch_optional(&mut *connection)).await? {
            if named::<&[u8]>(&found, "fingerprint")? != call.fingerprint.as_bytes() {
                return Ok(BegunCall::OtherRequest);
            }
            return Ok(BegunCall::InHand { lease_left: lease_left(&found, present(&found, "now")?)? });
        }
    }
    Err(Error::Contention { source: None })
}

async fn take(
    connection: &mut PgConnection,
    (lease, length): (&CallLease, Duration),
    set: Set,
) -> Result<Option<TakenCall>, Error> {
    let take = of_lease(TAKE_CALL, lease).bind(micros(length)).bind(set);
    let Some(row) = reply(take.fetch_optional(connection)).await? else { return Ok(None) };
    let pending = pending(&row, &lease.name)?;
    let headers = json(&row, "headers")?.ok_or_else(|| Error::corrupt("a call has no headers"))?;
    let request = StoredRequest {
        method: pending.method.clone(),
        uri: pending.url.clone(),
        headers: headers_from_json(headers)?,
        body: named::<&[u8]>(&row, "body")?.into(),
    };
    Ok(Some(TakenCall { pending, request }))
}

async fn list(connection: &mut PgConnection, query: &CallQuery, set: Set) -> Result<Vec<PendingCall>, Error> {
    let (created_at, key) = query.after.as_ref().map_or((DateTime::UNIX_EPOCH, ""), |(at, key)| (*at, key.as_str()));
    let list = sqlx::query(LIST_CALLS).bind(&*query.client).bind(created_at).bind(key);
    let rows = reply(list.bind(i64::from(query.limit)).bind(set).fetch_all(connection)).await?;
    rows.iter()
        .map(|row| {
            let key = named::<&str>(row, "idempotency_key")?.parse()?;
            pending(row, &CallName { client: Arc::clone(&query.client), key })
        })
        .collect()
}

impl PostgresStore {
    async fn change_call(&self, name: &'static str, statement: Statement<'_>) -> Result<bool, Error> {
        let change = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let changed = changes(taken.connection(), statement).await;
            taken.settle(committed(changed))
        };
        operation(SYSTEM, name, change).await
    }
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn begin_call(&self, call: &NewCall, lease: &CallLease, length: Duration) -> Result<BegunCall, Error> {
        call.check(length)?;
        let begin = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let begun = begin(taken.connection(), (call, lease, length), self.backend().given_time()).await;
            taken.settle(committed(begun))
        };
        operation(SYSTEM, "begin_call", begin).await
    }

    async fn take_call(&self, lease: &CallLease, length: Duration) -> Result<Option<TakenCall>, Error> {
        check_lease(length)?;
        let take = async {
            let mut taken = self.backend().keepers.acquire().await?;
            let done = take(taken.connection(), (lease, length), self.backend().given_time()).await;
            taken.settle(committed(done))
        };
        operation(SYSTEM, "take_call", take).await
    }

    async fn renew_call(&self, lease: &CallLease, length: Duration) -> Result<bool, Error> {
        check_lease(length)?;
        let renew = of_lease(RENEW_CALL, lease).bind(micros(length)).bind(self.backend().given_time());
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
            let mut taken = self.backend().readers.acquire().await?;
            let found = list(taken.connection(), query, self.backend().given_time()).await;
            taken.settle(found)
        };
        operation(SYSTEM, "pending_calls", read).await
    }
}
