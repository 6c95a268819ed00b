//! Checkpoints against the log.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::{Finding, FindingKind, Stage, notes::Notes};
use crate::store::{Audit, CheckpointRow, Error, EventName, Position};

/// Makes sure that no checkpoint is ahead of the log, and that the events they remember stand where they say.
pub(super) async fn check(audit: &mut dyn Audit, notes: &mut Notes<'_>) -> Result<(), Error> {
    notes.enter(Stage::Checkpoints);
    let has_dense_positions = audit.has_dense_positions();
    let mut visit = |row: CheckpointRow| {
        notes.counts.checkpoints += 1;
        if let Some(finding) = wrong(&row, notes.head(), has_dense_positions) {
            notes.take(finding);
        }
        ControlFlow::Continue(())
    };
    audit.checkpoints(None, &mut visit).await.or_else(|error| notes.take_failure("annals_checkpoints", "", error))?;
    notes.show_progress();
    Ok(())
}

fn wrong(row: &CheckpointRow, head: Option<Position>, has_dense_positions: bool) -> Option<Finding> {
    let CheckpointRow { key, position, remembered, found } = row;
    let name = match key.partition {
        0 => key.name.clone(),
        partition => format!("{}, partition {partition},", key.name),
    };
    let finding = |kind, message: String| {
        let mut finding = Finding::new(kind, message).in_log_at(*position).of_checkpoint(&key.name);
        if let Some(event) = remembered {
            finding.aggregate_id = Uuid::from_slice(&event.event.aggregate_id).ok();
            finding.sequence = u64::try_from(event.event.sequence).ok();
            finding.command_id = Uuid::from_slice(&event.command_id).ok();
        }
        Some(finding)
    };
    // One that begins at the end of a log may stand at a position that was drawn and never used.
    let is_known = has_dense_positions || remembered.is_some();
    if is_known
        && let (Some(head), Ok(ahead)) = (head, u64::try_from(*position))
        && ahead > head.get()
    {
        let remembered = remembered.as_ref().map(|event| format!(" after {}", shown(event))).unwrap_or_default();
        let message = format!("checkpoint {name} is at position {position}{remembered}, but the log ends at {head}");
        return finding(FindingKind::CheckpointAhead, message);
    }
    match (remembered, found) {
        (None, _) => None,
        (Some(remembered), Some(found)) if remembered == found => None,
        (Some(remembered), Some(found)) => {
            let (remembered, found) = (shown(remembered), shown(found));
            let message = format!("checkpoint {name} remembers {remembered} at position {position}, there is {found}");
            finding(FindingKind::CheckpointDiverged, message)
        }
        (Some(remembered), None) => {
            let remembered = shown(remembered);
            let message = format!("checkpoint {name} remembers {remembered} at position {position}, there is no event");
            finding(FindingKind::CheckpointMissing, message)
        }
    }
}

fn shown(EventName { event, command_id }: &EventName) -> String {
    let id = |bytes: &[u8]| Uuid::from_slice(bytes).map_or_else(|_| "?".to_owned(), |id| id.to_string());
    format!("event {} of aggregate {} by command {}", event.sequence, id(&event.aggregate_id), id(command_id))
}
