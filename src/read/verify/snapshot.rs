//! Snapshots, each by itself.

use async_trait::async_trait;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::{
    Finding, FindingKind,
    feed::{Item, Take, Taken, shown_id},
};
use crate::store::{Audit, Error, SnapshotRef, SnapshotRow};

/// Holds a snapshot that is whole.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) snapshot_version: u32,
    pub(super) sequence: u64,
    pub(super) event_checksum: u64,
    pub(super) state: String,
}

/// Holds a snapshot, or what is wrong with it by itself.
#[derive(Debug)]
pub(super) struct SnapshotItem {
    aggregate_id: Uuid,
    pub(super) snapshot: Result<Snapshot, Finding>,
}

#[async_trait]
impl Item for SnapshotItem {
    const TABLE: &'static str = "annals_snapshots";
    type Key = Vec<u8>;

    async fn read(audit: &mut dyn Audit, after: Option<&Vec<u8>>, take: Take<'_, Self>) -> Result<(), Error> {
        let mut visit = |row: SnapshotRow<'_>| take(Self::of(&row), row.aggregate_id.to_owned(), row.state.len());
        audit.snapshots(after.map(Vec::as_slice), &mut visit).await
    }

    fn aggregate_id(&self) -> Uuid {
        self.aggregate_id
    }

    fn behind(key: &Vec<u8>) -> String {
        format!(" behind the snapshot of aggregate {}", shown_id(key))
    }
}

impl SnapshotItem {
    fn of(row: &SnapshotRow<'_>) -> Taken<Self> {
        let Ok(aggregate_id) = Uuid::from_slice(row.aggregate_id) else {
            let message = format!("a snapshot at event {} has an aggregate id that is not 16 bytes", row.sequence);
            return Err(Finding::new(FindingKind::SnapshotDamaged, message));
        };
        let sequence = u64::try_from(row.sequence).ok();
        let snapshot = whole(aggregate_id, row).map_err(|what| {
            let at = row.sequence;
            let message = format!("the snapshot of aggregate {aggregate_id} at event {at} is damaged: {what}");
            Finding { sequence, ..Finding::new(FindingKind::SnapshotDamaged, message).of(aggregate_id) }
        });
        Ok(Self { aggregate_id, snapshot })
    }
}

fn whole(aggregate_id: Uuid, row: &SnapshotRow<'_>) -> Result<Snapshot, &'static str> {
    let (Ok(snapshot_version), Ok(sequence)) = (u32::try_from(row.snapshot_version), u64::try_from(row.sequence))
    else {
        return Err("a number is out of range");
    };
    let state = str::from_utf8(row.state).map_err(|_| "its state is not UTF-8")?;
    let shown = SnapshotRef { aggregate_id, snapshot_version, sequence, state };
    if shown.checksum() != row.checksum.cast_unsigned() {
        return Err("its checksum does not match");
    }
    serde_json::from_str::<IgnoredAny>(state).map_err(|_| "its state is not JSON")?;
    let event_checksum = row.event_checksum.cast_unsigned();
    Ok(Snapshot { snapshot_version, sequence, event_checksum, state: state.to_owned() })
}
