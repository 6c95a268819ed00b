//! The check of a whole log: it passes what is sound, and finds what is not, at its place and nowhere else.

mod beside_writers;
mod bounds;
mod damage;
mod history;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::fmt;

use annals::{EventStore, FindingKind, Position, Report, Verify, store::Auditable};
use async_trait::async_trait;
use uuid::Uuid;

use crate::faults::tally::Tally;

/// A database of a test's own, and the ways in which its SQL differs from another's.
#[async_trait]
trait Site: Send + Sync {
    type Store: EventStore + Auditable + Clone + 'static;

    async fn open() -> Self;

    fn store(&self) -> &Self::Store;

    /// Runs SQL as somebody with a shell could: past the triggers.
    async fn run(&self, sql: &str);

    fn id(id: Uuid) -> String;

    async fn close(self);

    /// Some time.
    fn time() -> &'static str;
}

/// What a finding is about, for comparison.
type Found = (FindingKind, Option<Uuid>, Option<u64>);

fn found(report: &Report) -> Vec<Found> {
    let mut found: Vec<_> =
        report.findings.iter().map(|finding| (finding.kind, finding.aggregate_id, finding.sequence)).collect();
    found.sort();
    found
}

async fn verify(store: &dyn Auditable) -> Report {
    let report = Verify::new(store).refold::<Tally>().run().await.unwrap();
    assert_eq!(report.counts.findings, report.findings.len() as u64);
    report
}

#[track_caller]
fn assert_sound(report: &Report) {
    assert!(report.is_sound(), "{report}");
}

/// Makes sure that exactly this was found, and that each says where in its sentence.
#[track_caller]
fn assert_found(report: &Report, expected: &[Found], when: impl fmt::Display) {
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(found(report), expected, "{when}: {report}");
    for finding in &report.findings {
        for place in [
            finding.aggregate_id.map(|id| id.to_string()),
            finding.sequence.map(|sequence| sequence.to_string()),
            finding.position.map(|position: Position| position.to_string()),
            finding.checkpoint.clone(),
        ] {
            let place = place.unwrap_or_default();
            let says = finding.message.contains(&place) || finding.kind == FindingKind::ReceiptAhead;
            assert!(says, "{when}: {finding:?} does not say {place}");
        }
    }
}
