//! What a PostgreSQL database holds, for whoever looks after it.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Postgres, Row as _, pool::PoolConnection, postgres::PgRow};

use super::{
    PostgresStore,
    backend::SYSTEM,
    classify::{classify, reply},
    log::{Holder, Horizon},
    pool::not_acquired,
    row::{self, named},
    statement::{COUNT_ROWS, COUNT_TYPES, FIND_ACTIVITY, LIST_QUEUES, READ_STORAGE},
};
use crate::store::{
    COUNTED_ROWS, Error, Inspect, Readable, RowCount, Storage, TableSize, TypeCount, check_most, telemetry::operation,
};

impl PostgresStore {
    /// A connection on which the planner may walk through a table.
    async fn to_inspect(&self) -> Result<PoolConnection<Postgres>, Error> {
        let works = &self.backend().works;
        works.acquire().await.map_err(|error| not_acquired(works, error))
    }

    async fn read_storage(&self) -> Result<Storage, Error> {
        let mut connection = self.to_inspect().await?;
        let row = reply(sqlx::query(READ_STORAGE).fetch_one(&mut *connection)).await?;
        let bound = i64::try_from(COUNTED_ROWS).unwrap_or(i64::MAX).saturating_add(1);
        let tables = reply(sqlx::query(COUNT_ROWS).bind(bound).fetch_all(&mut *connection)).await?;
        Ok(Storage {
            engine: format!("PostgreSQL {}", named::<&str>(&row, "version")?),
            schema_version: named::<Option<i64>>(&row, "schema_version")?.unwrap_or(0),
            bytes: named::<i64>(&row, "bytes")?.max(0).unsigned_abs(),
            free_bytes: None,
            log_bytes: None,
            tables: tables.iter().map(table).collect::<Result<_, _>>()?,
        })
    }

    async fn find_holder(&self, holder: &Holder) -> Result<String, Error> {
        let Some(pid) = holder.pid() else { return Ok(holder.to_string()) };
        let mut connection = self.to_inspect().await?;
        let found = reply(sqlx::query(FIND_ACTIVITY).bind(pid).fetch_optional(&mut *connection)).await?;
        let Some(row) = found else { return Ok(holder.to_string()) };
        let mut text = holder.to_string();
        if let Some(name) = named::<Option<&str>>(&row, "application_name")?.filter(|name| !name.is_empty()) {
            text.push_str(&format!(" ({name})"));
        }
        if let Some(address) = named::<Option<&str>>(&row, "address")? {
            text.push_str(&format!(" from {address}"));
        }
        if let Some(state) = named::<Option<&str>>(&row, "state")? {
            text.push_str(&format!(", {state}"));
        }
        if let Some(micros) = named::<Option<i64>>(&row, "begun_ago")? {
            let ago = Duration::from_micros(micros.max(0).unsigned_abs());
            text.push_str(&format!(", in a transaction for {} s", ago.as_secs()));
        }
        Ok(text)
    }

    async fn read_types(&self, most: i64) -> Result<Vec<TypeCount>, Error> {
        let mut connection = self.to_inspect().await?;
        let rows = reply(sqlx::query(COUNT_TYPES).bind(most).fetch_all(&mut *connection)).await?;
        rows.iter().map(type_count).collect()
    }
}

fn table(row: &PgRow) -> Result<TableSize, Error> {
    let bytes = named::<Option<i64>>(row, "bytes")?;
    Ok(TableSize {
        name: named(row, "name")?,
        rows: RowCount::of(named(row, "rows")?, named(row, "estimated")?),
        bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()),
    })
}

fn type_count(row: &PgRow) -> Result<TypeCount, Error> {
    let count = |name| named::<i64>(row, name).map(|count| count.max(0).unsigned_abs());
    let time =
        |name| row::time(row, name)?.ok_or_else(|| Error::corrupt("an event without the time it was recorded at"));
    Ok(TypeCount {
        aggregate_type: named(row, "aggregate_type")?,
        event_type: named(row, "event_type")?,
        schema_version: named::<i32>(row, "schema_version")?.max(0).unsigned_abs(),
        events: count("events")?,
        first_events: count("first_events")?,
        first_at: time("first_at")?,
        last_at: time("last_at")?,
    })
}

#[async_trait]
impl Inspect for PostgresStore {
    async fn storage(&self) -> Result<Storage, Error> {
        operation(SYSTEM, "storage", self.read_storage()).await
    }

    async fn readable(&self) -> Result<Readable, Error> {
        let Horizon { position, last_drawn, held_by } = self.horizon().await?;
        let held_by = match held_by {
            Some(holder) => Some(operation(SYSTEM, "find_holder", self.find_holder(&holder)).await?),
            None => None,
        };
        Ok(Readable { position, last_drawn, held_by })
    }

    async fn count_types(&self, most: u32) -> Result<Vec<TypeCount>, Error> {
        let most = check_most(most)?;
        operation(SYSTEM, "count_types", self.read_types(most)).await
    }

    async fn timer_queues(&self, after: Option<&str>, most: u32) -> Result<Vec<String>, Error> {
        let (after, most) = (after.unwrap_or_default().to_owned(), check_most(most)?);
        let list = async {
            let mut connection = self.backend().readers.acquire().await?;
            let rows = sqlx::query(LIST_QUEUES).bind(after).bind(most).fetch_all(connection.connection());
            let names = reply(rows).await.and_then(|rows| {
                rows.iter().map(|row| row.try_get("queue").map_err(classify)).collect::<Result<Vec<String>, _>>()
            });
            connection.settle(names)
        };
        operation(SYSTEM, "timer_queues", list).await
    }
}
