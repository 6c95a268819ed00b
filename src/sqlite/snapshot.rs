//! Loading from a snapshot, and keeping one.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use sqlx::SqliteConnection;

use super::{
    classify::classify,
    read,
    row::{self, column},
    statement::{LOAD_STREAM, SAVE_SNAPSHOT},
};
use crate::store::{
    Error, LoadQuery, LoadVisitor, SnapshotRef, StreamQuery, StreamRead, Trail, from_column, telemetry, to_column,
};

pub(super) async fn load(
    connection: &mut SqliteConnection,
    query: &LoadQuery,
    now: DateTime<Utc>,
    visitor: &mut dyn LoadVisitor,
) -> Result<StreamRead, Error> {
    if let Some(key) = &query.receipt_of
        && let Some(receipt) = read::receipt(connection, query.aggregate_id, key, now).await?
    {
        let version = read::version(connection, query.aggregate_id).await?;
        return Ok(StreamRead { version, receipt: Some(receipt) });
    }
    match rows(connection, query, visitor).await? {
        Some(version) => Ok(StreamRead { version, receipt: None }),
        None => {
            let whole = StreamQuery::of(query.aggregate_id);
            read::stream(connection, &whole, now, &mut |event| visitor.visit_event(event)).await
        }
    }
}

/// Visits the snapshot and what comes after it. Nothing where the snapshot cannot be used: then nothing was visited.
async fn rows(
    connection: &mut SqliteConnection,
    query: &LoadQuery,
    visitor: &mut dyn LoadVisitor,
) -> Result<Option<u64>, Error> {
    let mut rows = sqlx::query(LOAD_STREAM).bind(query.aggregate_id).bind(query.snapshot_version).fetch(connection);
    let (mut trail, mut version) = (Trail::from_sequence(1), 0);
    while let Some(row) = rows.try_next().await.map_err(classify)? {
        if let Some(snapshot_version) = column::<Option<u32>>(&row, 2)? {
            let (sequence, checksum) = (from_column(column(&row, 1)?)?, column::<i64>(&row, 3)?.cast_unsigned());
            let (aggregate_id, state) = (query.aggregate_id, column(&row, 0)?);
            let snapshot = SnapshotRef { aggregate_id, sequence, snapshot_version, state };
            if checksum != snapshot.checksum() || !visitor.visit_snapshot(snapshot) {
                telemetry::snapshot_passed_over();
                return Ok(None);
            }
            version = snapshot.sequence;
            trail = Trail::after(snapshot.aggregate_id, snapshot.sequence, column(&row, 4)?);
        } else {
            let event = row::event(&row)?;
            trail.follow(&event)?;
            version = event.sequence;
            visitor.visit_event(event)?;
        }
    }
    Ok(Some(version))
}

pub(super) async fn save(
    connection: &mut SqliteConnection,
    snapshot: SnapshotRef<'_>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query(SAVE_SNAPSHOT)
        .bind(snapshot.aggregate_id)
        .bind(snapshot.snapshot_version)
        .bind(to_column(snapshot.sequence))
        .bind(snapshot.state)
        .bind(snapshot.checksum().cast_signed())
        .bind(now.timestamp_micros())
        .execute(connection)
        .await
        .map_err(classify)?;
    Ok(())
}
