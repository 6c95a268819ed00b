//! Events that were set aside, against the log and the checkpoints.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::{Finding, FindingKind, Stage, notes::Notes};
use crate::store::{Audit, Error, ParkedRow};

/// Makes sure that the events that were set aside are there, and that somebody can come back to them.
pub(super) async fn check(audit: &mut dyn Audit, notes: &mut Notes<'_>) -> Result<(), Error> {
    notes.enter(Stage::ParkedEvents);
    let mut behind = String::new();
    let mut visit = |row: ParkedRow| {
        notes.counts.parked_events += 1;
        let name = &row.key.name;
        if behind != *name {
            behind.clone_from(name);
            // Once for each name: all its rows are orphans alike.
            if !row.has_checkpoint {
                let message = format!("{name} has parked events, but no checkpoint");
                notes.take(Finding::new(FindingKind::ParkedOrphan, message).of_checkpoint(name));
            }
        }
        if let Some(finding) = misplaced(&row) {
            notes.take(finding);
        }
        ControlFlow::Continue(())
    };
    audit
        .parked_events(None, &mut visit)
        .await
        .or_else(|error| notes.take_failure("annals_parked_events", "", error))?;
    notes.show_progress();
    Ok(())
}

fn misplaced(ParkedRow { key, position, found_position, .. }: &ParkedRow) -> Option<Finding> {
    let (name, sequence) = (&key.name, key.event.sequence);
    let aggregate_id = Uuid::from_slice(&key.event.aggregate_id).ok();
    let id = aggregate_id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    let (kind, what) = match found_position {
        Some(found) if found == position => return None,
        Some(found) => (FindingKind::ParkedDiverged, format!("that event is at position {found}")),
        None => (FindingKind::ParkedMissing, "there is no such event".to_owned()),
    };
    let message = format!("{name} has parked event {sequence} of aggregate {id} at position {position}, but {what}");
    let mut finding = Finding::new(kind, message).in_log_at(*position).of_checkpoint(name);
    (finding.aggregate_id, finding.sequence) = (aggregate_id, u64::try_from(sequence).ok());
    Some(finding)
}
