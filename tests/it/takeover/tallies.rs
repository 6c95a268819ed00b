//! A projection that counts, and cannot be told twice or out of turn without showing it.

use std::path::Path;

use annals::{BoxError, Projection, RecordedEvent, Table, Target};

use super::{
    deliveries::{Told, assert_same, log, names},
    place::Own,
    task::{Kind, Point, Teller},
};

/// Counts the events of each aggregate, and keeps a list of all it has applied.
pub struct Tallies(pub Teller);

const TALLIES: &str = "
    CREATE TABLE {tallies} (aggregate TEXT PRIMARY KEY, events BIGINT NOT NULL, last BIGINT NOT NULL)";

macro_rules! projection {
    ($connection:ty, $number:literal) => {
        impl Projection<$connection> for Tallies {
            fn name(&self) -> &str {
                Kind::Projector.consumer()
            }

            fn tables(&self) -> Vec<Table> {
                const APPLIED: &str = concat!(
                    "CREATE TABLE {applied} (number ",
                    $number,
                    " PRIMARY KEY, aggregate TEXT, sequence BIGINT)"
                );
                vec![Table::new("tallies", TALLIES), Table::new("applied", APPLIED)]
            }

            async fn apply(&self, event: &RecordedEvent, target: &mut Target<'_, $connection>) -> Result<(), BoxError> {
                let (aggregate, sequence) = names(event);
                // Neither the one nor the other bears an event that is applied twice, or before an earlier one.
                let count = target.sql(if sequence == 1 {
                    "INSERT INTO {tallies} (aggregate, events, last) VALUES ($1, 1, $2)"
                } else {
                    "UPDATE {tallies} SET events = events + 1, last = $2 WHERE aggregate = $1 AND last = $2 - 1"
                });
                let count = sqlx::query(count).bind(&aggregate).bind(sequence);
                let counted = count.execute(target.connection()).await?.rows_affected();
                if counted != 1 {
                    return Err(format!("event {sequence} of {aggregate} is applied out of turn").into());
                }
                let applied = target.sql("INSERT INTO {applied} (aggregate, sequence) VALUES ($1, $2)");
                sqlx::query(applied).bind(&aggregate).bind(sequence).execute(target.connection()).await?;
                self.0.is_at(Point::Transaction).await;
                Ok(())
            }

            async fn effect(&self, _: &RecordedEvent) -> Result<(), BoxError> {
                self.0.is_at(Point::Effect).await;
                Ok(())
            }
        }
    };
}

projection!(sqlx::SqliteConnection, "INTEGER");
#[cfg(feature = "postgres")]
projection!(sqlx::PgConnection, "BIGSERIAL");

/// Compares the rows with the log: every event was applied once, in order.
///
/// # Panics
///
/// Where it was not.
pub async fn judge(place: &Path) -> Told {
    let log = log(place).await;
    let mut own = Own::connect(place).await;
    let applied = own.pairs("SELECT aggregate, sequence FROM applied ORDER BY number").await;
    assert_same(&applied, &log, "applied");
    let mut counts = std::collections::BTreeMap::<String, i64>::new();
    for (aggregate, _) in &log {
        *counts.entry(aggregate.clone()).or_default() += 1;
    }
    let counts: Vec<_> = counts.into_iter().collect();
    for read in ["SELECT aggregate, events FROM tallies", "SELECT aggregate, last FROM tallies"] {
        let mut rows = own.pairs(read).await;
        rows.sort();
        assert_eq!(rows, counts, "{read}");
    }
    Told { events: log.len(), deliveries: applied.len() }
}
