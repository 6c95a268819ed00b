//! The loop one would write on SQLite: pages by id, and the position in the transaction that changes the rows.

use annals_contest::OrderEvent;
use anyhow::Result;
use sqlx::{Row as _, SqlSafeStr as _, SqliteConnection, SqlitePool};

use super::{BATCH_EVENTS, Entry, OF_THE_NEXT, Shape, change, summed_up};

const BEGIN_ANEW: &str = "
    DROP TABLE IF EXISTS next_order_summaries;
    CREATE TABLE next_order_summaries (
        order_id BLOB NOT NULL PRIMARY KEY, status TEXT NOT NULL, customer TEXT NOT NULL,
        lines INTEGER NOT NULL, total_cents INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS projections (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
    INSERT INTO projections (name, position) VALUES ('next_order_summaries', 0)
    ON CONFLICT (name) DO UPDATE SET position = 0";

const SELECT_PAGE: &str = "SELECT id, aggregate_id, event_type, payload FROM events WHERE id > ? ORDER BY id LIMIT ?";

const UPSERT_SUMMARY: &str = "
    INSERT INTO next_order_summaries AS row (order_id, status, customer, lines, total_cents) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (order_id) DO UPDATE SET
        status = CASE excluded.status WHEN '' THEN row.status ELSE excluded.status END,
        lines = row.lines + excluded.lines,
        total_cents = row.total_cents + excluded.total_cents";

const SET_POSITION: &str = "UPDATE projections SET position = ? WHERE name = 'next_order_summaries'";

const SHOW: &str = "
    DROP TABLE IF EXISTS order_summaries;
    ALTER TABLE next_order_summaries RENAME TO order_summaries";

/// Makes the table anew beside the one that is there, and puts it in its place.
pub(in crate::contender) async fn rebuild(pool: &SqlitePool, shape: Shape) -> Result<u64> {
    let mut connection = pool.acquire().await?;
    sqlx::raw_sql(BEGIN_ANEW).execute(&mut *connection).await?;
    let (mut last, mut applied) = (0, 0);
    loop {
        let page = page_behind(&mut connection, last).await?;
        let Some((end, _, _)) = page.last() else { break };
        last = *end;
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        match shape {
            Shape::Each => apply_each(&mut transaction, &page).await?,
            Shape::SummedUp => apply_summed_up(&mut transaction, &page).await?,
        }
        sqlx::query(SET_POSITION).bind(last).execute(&mut *transaction).await?;
        transaction.commit().await?;
        applied += u64::try_from(page.len())?;
    }
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(SHOW).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(applied)
}

async fn page_behind(connection: &mut SqliteConnection, last: i64) -> Result<Vec<Entry>> {
    let rows = sqlx::query(SELECT_PAGE).bind(last).bind(BATCH_EVENTS).fetch_all(connection).await?;
    let entry = |row: &sqlx::sqlite::SqliteRow| {
        Ok((row.try_get(0)?, row.try_get(1)?, OrderEvent::decode(row.try_get(2)?, row.try_get(3)?)?))
    };
    rows.iter().map(entry).collect()
}

async fn apply_each(connection: &mut SqliteConnection, page: &[Entry]) -> Result<()> {
    for (_, order, event) in page {
        change(OF_THE_NEXT.of(event).into_sql_str(), *order, event).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn apply_summed_up(connection: &mut SqliteConnection, page: &[Entry]) -> Result<()> {
    for (order, row) in summed_up(page) {
        let query = sqlx::query(UPSERT_SUMMARY).bind(order).bind(row.status).bind(row.customer);
        query.bind(row.lines).bind(row.total_cents).execute(&mut *connection).await?;
    }
    Ok(())
}
