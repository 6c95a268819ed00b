//! Events on their way into their table, many with one statement.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{classify::classify, statement::ManyRows};
use crate::store::{Error, to_column};

/// What is written for an event.
pub(super) struct NewRow<'a> {
    pub(super) position: u64,
    pub(super) aggregate_id: Uuid,
    pub(super) sequence: u64,
    pub(super) aggregate_type: &'a str,
    pub(super) event_type: &'a str,
    pub(super) schema_version: u32,
    pub(super) command_id: Uuid,
    pub(super) payload: Arc<str>,
    pub(super) metadata: &'a str,
    pub(super) checksum: u64,
    pub(super) recorded_at: DateTime<Utc>,
}

/// Writes rows, with `insert_event.sql`. After an error the transaction has to be given up.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    statements: &ManyRows,
    rows: &[NewRow<'_>],
) -> Result<(), Error> {
    let mut names = Names::default();
    for (sql, chunk) in statements.covers(rows) {
        let Some(first) = chunk.first() else { continue };
        let mut query = sqlx::query(sql).bind(first.aggregate_type).bind(first.metadata);
        for row in chunk {
            // The driver copies each text, and null costs nothing.
            let other_type = (row.aggregate_type != first.aggregate_type).then(|| names.shared(row.aggregate_type));
            let other_metadata = (row.metadata != first.metadata).then_some(row.metadata);
            query = query
                .bind(to_column(row.position))
                .bind(row.aggregate_id)
                .bind(to_column(row.sequence))
                .bind(other_type)
                .bind(names.shared(row.event_type))
                .bind(row.schema_version)
                .bind(row.command_id)
                .bind(Arc::clone(&row.payload))
                .bind(other_metadata)
                .bind(row.checksum.cast_signed())
                .bind(row.recorded_at.timestamp_micros());
        }
        let written = query.execute(&mut *connection).await.map_err(classify)?.rows_affected();
        // Rows that are left null are passed over: none of the others may be.
        if written != chunk.len() as u64 {
            return Err(Error::corrupt(format!("of {} events {written} were written", chunk.len())));
        }
    }
    Ok(())
}

/// Names that the driver is given again and again, each in one allocation.
#[derive(Default)]
struct Names<'a>(Vec<(&'a str, Arc<str>)>);

/// The most names that are kept: they are looked through one after the other.
const KEPT_NAMES: usize = 16;

impl<'a> Names<'a> {
    fn shared(&mut self, name: &'a str) -> Arc<str> {
        if let Some((_, kept)) = self.0.iter().find(|(known, _)| *known == name) {
            return Arc::clone(kept);
        }
        let shared = Arc::from(name);
        if self.0.len() < KEPT_NAMES {
            self.0.push((name, Arc::clone(&shared)));
        }
        shared
    }
}
