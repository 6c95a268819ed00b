//! The log in the order of its positions.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::{Finding, FindingKind, Stage, notes::Notes, source};
use crate::store::{Audit, Error, Place};

/// Gaps kept; missing positions beyond them are reported by themselves.
const MOST_GAPS: usize = 1_024;
/// How often progress is shown, in places.
const PROGRESS_PLACES: u64 = 10_000;

/// Keeps where events were found missing by their aggregate, so that their positions are not reported as well.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<Gap>);

#[derive(Debug)]
struct Gap {
    /// Positions between which the events stood.
    after: i64,
    before: i64,
    events: u64,
}

impl Gaps {
    pub(super) fn add(&mut self, after: i64, before: i64, events: u64) {
        if self.0.len() < MOST_GAPS {
            self.0.push(Gap { after, before, events });
        }
    }

    /// Tells whether as many events are known to be missing between two positions, and takes them away.
    fn explain(&mut self, after: i64, before: i64) -> bool {
        let Some(mut missing) = before.checked_sub(after).and_then(|span| u64::try_from(span - 1).ok()) else {
            return false;
        };
        for gap in self.0.iter_mut().filter(|gap| gap.after <= after && before <= gap.before) {
            let taken = gap.events.min(missing);
            gap.events -= taken;
            missing -= taken;
        }
        self.0.retain(|gap| gap.events > 0);
        missing == 0
    }
}

/// Makes sure that no position is there twice and, where they have no holes, that none is missing.
///
/// `by_aggregate`: how many events were there in the order of aggregates, where all could be read.
pub(super) async fn check(
    audit: &mut dyn Audit,
    notes: &mut Notes<'_>,
    gaps: &mut Gaps,
    by_aggregate: Option<u64>,
) -> Result<(), Error> {
    notes.enter(Stage::Log);
    let has_dense_positions = audit.has_dense_positions();
    let mut last: Option<Place> = None;
    let mut visit = |place: Place| {
        notes.counts.places += 1;
        let before = last.as_ref().map_or(0, |last| last.position);
        if last.is_some() && place.position == before {
            notes.take(repeated(&place));
        } else if place.position < 1 {
            notes.take(about(&place, FindingKind::PositionOrder, "below the first position"));
        } else if has_dense_positions
            && place.position > before.max(0) + 1
            && !gaps.explain(before.max(0), place.position)
        {
            notes.take(missing(before.max(0) + 1, place.position - 1));
        }
        last = Some(place);
        if notes.counts.places.is_multiple_of(PROGRESS_PLACES) {
            notes.show_progress();
        }
        ControlFlow::Continue(())
    };
    let is_whole = audit.places(None, &mut visit).await.map(|()| true).or_else(|error| {
        let behind = last.map(|last| format!(" behind position {}", last.position)).unwrap_or_default();
        notes.take_failure("annals_events", &behind, error).map(|()| false)
    })?;
    let places = notes.counts.places;
    if let Some(events) = by_aggregate.filter(|events| is_whole && *events != places) {
        let message = format!("annals_events has {events} rows by aggregate, and {places} by position");
        notes.take(Finding::new(FindingKind::TableDiverged, message));
    }
    source::check(audit, notes).await?;
    notes.show_progress();
    Ok(())
}

fn repeated(place: &Place) -> Finding {
    about(place, FindingKind::PositionRepeated, "where another event stands as well")
}

fn about(Place { position, event }: &Place, kind: FindingKind, what: &str) -> Finding {
    let id = Uuid::from_slice(&event.aggregate_id).ok();
    let aggregate = id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    let message = format!("event {} of aggregate {aggregate} stands at position {position}, {what}", event.sequence);
    let mut finding = Finding::new(kind, message).in_log_at(*position);
    (finding.aggregate_id, finding.sequence) = (id, u64::try_from(event.sequence).ok());
    finding
}

fn missing(first: i64, last: i64) -> Finding {
    let message = match last - first {
        0 => format!("no event stands at position {first}"),
        _ => format!("no events stand at positions {first} to {last}"),
    };
    Finding::new(FindingKind::PositionMissing, message).in_log_at(first)
}

#[cfg(test)]
mod tests {
    use super::Gaps;

    #[test]
    fn a_hole_is_explained_by_as_many_events_that_are_missing_around_it() {
        let mut gaps = Gaps::default();
        gaps.add(4, 9, 2);
        gaps.add(10, i64::MAX, 1);
        assert!(!gaps.explain(2, 4), "it lies before");
        assert!(gaps.explain(5, 8));
        assert!(!gaps.explain(5, 8), "both are taken");
        assert!(gaps.explain(12, 14));
        assert!(!gaps.explain(15, 17));
    }
}
