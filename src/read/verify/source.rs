//! Where the next position comes from.

use super::{Finding, FindingKind, notes::Notes};
use crate::store::{Audit, Error, PositionSource};

/// Makes sure that no position is given out again, and that each is drawn by itself.
pub(super) async fn check(audit: &mut dyn Audit, notes: &mut Notes<'_>) -> Result<(), Error> {
    let head = notes.head();
    match audit.position_source().await? {
        PositionSource::Events => {}
        PositionSource::Missing => {
            let message = "the sequence annals_positions is not there: nothing can be appended".to_owned();
            notes.take(Finding::new(FindingKind::SequenceMissing, message));
        }
        PositionSource::Sequence { last_drawn, cache, increment } => {
            if (cache, increment) != (1, 1) {
                let message = format!(
                    "the sequence annals_positions has CACHE {cache} and INCREMENT {increment}: both have to be 1, or \
                     readers of the log miss events"
                );
                notes.take(Finding::new(FindingKind::SequenceSettings, message));
            }
            if let Some(head) = head.filter(|head| u64::try_from(last_drawn).map_or(true, |last| last < head.get())) {
                let message = format!(
                    "the sequence annals_positions is at {last_drawn}, but the log ends at position {head}: positions \
                     would be given out again; set it right with setval() before anything is written"
                );
                let finding = Finding::new(FindingKind::SequenceBehind, message);
                notes.take(Finding { position: Some(head), ..finding });
            }
        }
    }
    Ok(())
}
