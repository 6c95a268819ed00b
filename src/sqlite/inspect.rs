//! What a SQLite database holds, for whoever looks after it.

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    SqliteStore,
    backend::SYSTEM,
    classify::classify,
    read,
    row::{self, named},
    statement::{COUNT_ROWS, COUNT_TYPES, LIST_QUEUES, READ_STORAGE},
};
use crate::store::{
    COUNTED_ROWS, Error, Inspect, Readable, RowCount, Storage, TableSize, TypeCount, check_most, telemetry::operation,
};

impl SqliteStore {
    async fn read_storage(&self) -> Result<Storage, Error> {
        let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
        let row = sqlx::query(READ_STORAGE).fetch_one(&mut *connection).await.map_err(classify)?;
        let bound = i64::try_from(COUNTED_ROWS).unwrap_or(i64::MAX).saturating_add(1);
        let tables = sqlx::query(COUNT_ROWS).bind(bound).fetch_all(&mut *connection).await.map_err(classify)?;
        let file: Option<String> = named(&row, "file")?;
        let log = file.filter(|file| !file.is_empty()).map(|file| format!("{file}-wal"));
        Ok(Storage {
            engine: format!("SQLite {}", named::<&str>(&row, "version")?),
            schema_version: named::<Option<i64>>(&row, "schema_version")?.unwrap_or(0),
            bytes: count(&row, "bytes")?,
            free_bytes: Some(count(&row, "free_bytes")?),
            // One look at a folder that SQLite has at hand: nothing to wait for.
            log_bytes: log.and_then(|file| std::fs::metadata(file).ok()).map(|log| log.len()),
            tables: tables.iter().map(table).collect::<Result<_, _>>()?,
        })
    }

    async fn read_types(&self, most: i64) -> Result<Vec<TypeCount>, Error> {
        let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
        let rows = sqlx::query(COUNT_TYPES).bind(most).fetch_all(&mut *connection).await.map_err(classify)?;
        rows.iter().map(type_count).collect()
    }
}

fn count(row: &SqliteRow, name: &str) -> Result<u64, Error> {
    Ok(named::<i64>(row, name)?.max(0).unsigned_abs())
}

fn table(row: &SqliteRow) -> Result<TableSize, Error> {
    let rows = match named::<Option<i64>>(row, "all_rows")? {
        Some(rows) => RowCount::Exact(rows.max(0).unsigned_abs()),
        None => RowCount::of(named(row, "rows")?, None),
    };
    Ok(TableSize { name: named(row, "name")?, rows, bytes: None })
}

fn type_count(row: &SqliteRow) -> Result<TypeCount, Error> {
    Ok(TypeCount {
        aggregate_type: named(row, "aggregate_type")?,
        event_type: named(row, "event_type")?,
        schema_version: u32::try_from(named::<i64>(row, "schema_version")?).unwrap_or(u32::MAX),
        events: count(row, "events")?,
        first_events: count(row, "first_events")?,
        first_at: row::time(named(row, "first_at")?)?,
        last_at: row::time(named(row, "last_at")?)?,
    })
}

#[async_trait]
impl Inspect for SqliteStore {
    async fn storage(&self) -> Result<Storage, Error> {
        operation(SYSTEM, "storage", self.read_storage()).await
    }

    async fn readable(&self) -> Result<Readable, Error> {
        let read = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            read::head(&mut connection).await
        };
        let position = operation(SYSTEM, "readable", read).await?;
        // One writer, whose events are there or are not.
        Ok(Readable { position, last_drawn: position, held_by: None })
    }

    async fn count_types(&self, most: u32) -> Result<Vec<TypeCount>, Error> {
        let most = check_most(most)?;
        operation(SYSTEM, "count_types", self.read_types(most)).await
    }

    async fn timer_queues(&self, after: Option<&str>, most: u32) -> Result<Vec<String>, Error> {
        let (after, most) = (after.unwrap_or_default().to_owned(), check_most(most)?);
        let list = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            let query = sqlx::query(LIST_QUEUES).bind(after).bind(most);
            let rows = query.fetch_all(&mut *connection).await.map_err(classify)?;
            rows.iter().map(|row| row.try_get("queue").map_err(classify)).collect()
        };
        operation(SYSTEM, "timer_queues", list).await
    }
}
