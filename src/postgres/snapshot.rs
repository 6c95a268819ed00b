//! Loading from a snapshot, and keeping one.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, postgres::PgRow};
use uuid::Uuid;

use super::{
    classify::{REPLY_WITHIN, classify_commit, reply},
    read,
    row::{self, column},
    statement::{LOAD_STREAM, SAVE_SNAPSHOT},
};
use crate::store::{Error, LoadQuery, LoadVisitor, SnapshotRef, StreamQuery, StreamRead, Trail, telemetry, to_column};

pub(super) async fn load(
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
    query: &LoadQuery,
    visitor: &mut dyn LoadVisitor,
) -> Result<Option<u64>, Error> {
    let shape = shape(query.snapshot_version);
    let mut rows = sqlx::query(LOAD_STREAM).bind(query.aggregate_id).bind(shape).fetch(connection);
    let mut walk = Walk::from_sequence(1);
    while let Some(row) = reply(rows.try_next()).await? {
        if !walk.step(&row, query.aggregate_id, visitor)? {
            return Ok(None);
        }
    }
    Ok(Some(walk.version))
}

/// The shape of a state as its column holds it. Numbers beyond it are one: nobody counts that far.
pub(super) fn shape(snapshot_version: u32) -> i32 {
    i32::try_from(snapshot_version).unwrap_or(i32::MAX)
}

/// Walks over the rows of one stream: a snapshot, if there is one, and the events after it.
pub(super) struct Walk {
    trail: Trail,
    /// The version so far.
    pub(super) version: u64,
}

/// The column that says whether a row is a snapshot.
const SNAPSHOT_VERSION: usize = 11;

impl Walk {
    pub(super) fn from_sequence(sequence: u64) -> Self {
        Self { trail: Trail::from_sequence(sequence), version: 0 }
    }

    /// Visits a row; false where it is a snapshot that cannot be used.
    pub(super) fn step(
        &mut self,
        row: &PgRow,
        aggregate_id: Uuid,
        visitor: &mut dyn LoadVisitor,
    ) -> Result<bool, Error> {
        let event = row::event(row)?;
        self.version = event.sequence;
        let Some(snapshot_version) = column::<Option<i32>>(row, SNAPSHOT_VERSION)? else {
            self.trail.follow(&event)?;
            return visitor.visit_event(event).map(|()| true);
        };
        // The event that it was taken after, with the state in the payload's place.
        let (sequence, state) = (event.sequence, event.payload);
        let snapshot_version = u32::try_from(snapshot_version).unwrap_or(0);
        let snapshot = SnapshotRef { aggregate_id, sequence, snapshot_version, state };
        if event.checksum != snapshot.checksum() || !visitor.visit_snapshot(snapshot) {
            telemetry::snapshot_passed_over();
            return Ok(false);
        }
        self.trail = Trail::after(aggregate_id, sequence, event.command_id);
        Ok(true)
    }
}

pub(super) async fn save(
    connection: &mut PgConnection,
    snapshot: SnapshotRef<'_>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let save = sqlx::query(SAVE_SNAPSHOT)
        .bind(snapshot.aggregate_id)
        .bind(shape(snapshot.snapshot_version))
        .bind(to_column(snapshot.sequence))
        .bind(snapshot.state)
        .bind(snapshot.checksum().cast_signed())
        .bind(now)
        .execute(connection);
    match tokio::time::timeout(REPLY_WITHIN, save).await {
        Ok(saved) => saved.map(drop).map_err(classify_commit),
        Err(late) => Err(Error::outcome_unknown(late)),
    }
}
