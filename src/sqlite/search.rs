//! The port of searches, on connections of SQLite.

use std::time::Instant;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use super::{
    SqliteStore,
    backend::SYSTEM,
    classify::classify,
    read,
    row::{self, named},
    statement::{
        FIND_CORRELATED_EVENTS, FIND_CORRELATED_EVENTS_BACKWARD, FIND_EVENTS, FIND_EVENTS_BACKWARD, LIST_RECEIPTS,
    },
};
use crate::store::{
    Direction, Error, EventSearch, EventsFound, IdempotencyKey, KeyedReceipt, Position, ReceiptQuery, Search,
    SearchPage, SearchPages, Visit, telemetry::operation, to_column,
};

#[async_trait]
impl Search for SqliteStore {
    async fn find_events(&self, search: &EventSearch, visit: Visit<'_>) -> Result<EventsFound, Error> {
        search.check()?;
        let find = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            events(&mut connection, search, visit).await
        };
        operation(SYSTEM, "find_events", find).await
    }

    async fn list_receipts(&self, query: &ReceiptQuery) -> Result<Vec<KeyedReceipt>, Error> {
        query.check()?;
        let list = async {
            let mut connection = self.backend().readers.acquire().await.map_err(classify)?;
            receipts(&mut connection, query).await
        };
        operation(SYSTEM, "list_receipts", list).await
    }
}

async fn events(
    connection: &mut SqliteConnection,
    search: &EventSearch,
    visit: Visit<'_>,
) -> Result<EventsFound, Error> {
    let mut pages = SearchPages::of(search, read::head(connection).await?);
    while let Some(page) = pages.next() {
        let (began, mut read, mut last) = (Instant::now(), 0, Position::START);
        let mut rows = statement(search, page).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(classify)? {
            let event = row::event(&row)?;
            (read, last) = (read + 1, event.position);
            visit(event)?;
        }
        drop(rows);
        pages.turn(page, (read, last), began.elapsed());
    }
    Ok(pages.found())
}

fn statement(search: &EventSearch, page: SearchPage) -> Query<'_, Sqlite, SqliteArguments> {
    let sql = match (&search.correlation_id, search.direction) {
        (None, Direction::Forward) => FIND_EVENTS,
        (None, Direction::Backward) => FIND_EVENTS_BACKWARD,
        (Some(_), Direction::Forward) => FIND_CORRELATED_EVENTS,
        (Some(_), Direction::Backward) => FIND_CORRELATED_EVENTS_BACKWARD,
    };
    let statement = sqlx::query(sql)
        .bind(to_column(page.after.get()))
        .bind(to_column(page.to.get()))
        .bind(to_column(page.events))
        .bind(search.selection.aggregate_types.as_deref().map(read::json_array))
        .bind(search.selection.event_types.as_deref().map(read::json_array))
        .bind(search.recorded_from.map(|time| time.timestamp_micros()))
        .bind(search.recorded_before.map(|time| time.timestamp_micros()));
    match &search.correlation_id {
        Some(id) => statement.bind(id.as_str()),
        None => statement,
    }
}

async fn receipts(connection: &mut SqliteConnection, query: &ReceiptQuery) -> Result<Vec<KeyedReceipt>, Error> {
    let mut rows = sqlx::query(LIST_RECEIPTS)
        .bind(query.aggregate_id)
        .bind(query.after_key())
        .bind(query.outcome())
        .bind(query.limit)
        .fetch(connection);
    let mut receipts = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(classify)? {
        let key = IdempotencyKey::from_stored(named(&row, "idempotency_key")?);
        receipts.extend(row::receipt(&row)?.map(|receipt| KeyedReceipt { key, receipt }));
    }
    Ok(receipts)
}
