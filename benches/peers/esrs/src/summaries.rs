//! A row for each order, as an event handler of esrs: its rebuilder deletes a row and hands it the order's events.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use annals_contest::{OrderEvent, async_trait};
use esrs::{
    handler::TransactionalEventHandler,
    store::{StoreEvent, postgres::PgStoreError},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::order::OrderAggregate;

pub(crate) const CREATE_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS order_summaries (
        order_id uuid PRIMARY KEY, status text NOT NULL, customer text NOT NULL,
        lines bigint NOT NULL, total_cents bigint NOT NULL
    )";

pub(crate) const SELECT_SUMMARIES: &str = "SELECT order_id, status, customer, lines, total_cents FROM order_summaries";

const PLACE: &str =
    "INSERT INTO order_summaries (order_id, status, customer, lines, total_cents) VALUES ($1, 'placed', $2, 0, 0)";

const ADD_LINE: &str =
    "UPDATE order_summaries SET lines = lines + 1, total_cents = total_cents + $2 WHERE order_id = $1";

const SET_STATUS: &str = "UPDATE order_summaries SET status = $2 WHERE order_id = $1";

const DELETE: &str = "DELETE FROM order_summaries WHERE order_id = $1";

/// Counts what it handles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summaries {
    pub(crate) applied: Arc<AtomicU64>,
}

#[async_trait]
impl TransactionalEventHandler<OrderAggregate, PgStoreError, PgConnection> for Summaries {
    async fn handle(&self, event: &StoreEvent<OrderEvent>, connection: &mut PgConnection) -> Result<(), PgStoreError> {
        let order = event.aggregate_id;
        let query = match event.payload() {
            OrderEvent::Placed(placed) => sqlx::query(PLACE).bind(order).bind(&placed.customer),
            OrderEvent::LineAdded(line) => sqlx::query(ADD_LINE).bind(order).bind(line.total_cents()),
            event @ (OrderEvent::Paid(_) | OrderEvent::Shipped(_)) => {
                sqlx::query(SET_STATUS).bind(order).bind(event.kind())
            }
        };
        query.execute(connection).await?;
        self.applied.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn delete(&self, order: Uuid, connection: &mut PgConnection) -> Result<(), PgStoreError> {
        sqlx::query(DELETE).bind(order).execute(connection).await?;
        Ok(())
    }
}
