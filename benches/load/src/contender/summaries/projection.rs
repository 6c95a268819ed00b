//! The table as a projection of annals.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use ::annals::{BoxError, Projection, RecordedEvent, Selection, Table, Target, Upcasters};
use annals_contest::OrderEvent;
use sqlx::SqlStr;

use super::{OF_A_BUILD, change};

/// A row for each order. Counts what it applies.
#[derive(Debug, Clone, Default)]
pub(in crate::contender) struct Summaries {
    pub(in crate::contender) applied: Arc<AtomicU64>,
}

macro_rules! projection_on {
    ($connection:ty, $create:expr) => {
        impl Projection<$connection> for Summaries {
            fn name(&self) -> &str {
                "order-summaries"
            }

            fn selection(&self) -> Selection {
                Selection::all().aggregate_types(["order"])
            }

            fn tables(&self) -> Vec<Table> {
                vec![Table::new("order_summaries", $create)]
            }

            async fn apply(&self, event: &RecordedEvent, target: &mut Target<'_, $connection>) -> Result<(), BoxError> {
                let happened: OrderEvent = event.decode(&Upcasters::none())?;
                let sql: SqlStr = target.sql(OF_A_BUILD.of(&happened));
                change(sql, event.aggregate_id(), &happened).execute(target.connection()).await?;
                self.applied.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    };
}

projection_on!(
    sqlx::SqliteConnection,
    "CREATE TABLE {order_summaries} (
        order_id BLOB NOT NULL PRIMARY KEY, status TEXT NOT NULL, customer TEXT NOT NULL,
        lines INTEGER NOT NULL, total_cents INTEGER NOT NULL
    ) STRICT"
);

projection_on!(
    sqlx::PgConnection,
    "CREATE TABLE {order_summaries} (
        order_id uuid PRIMARY KEY, status text NOT NULL, customer text NOT NULL,
        lines bigint NOT NULL, total_cents bigint NOT NULL
    )"
);
