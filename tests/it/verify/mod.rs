//! The check of a whole log: it passes what is sound, and finds what is not, at its place and nowhere else.

mod beside_writers;
mod bounds;
mod damage;
mod history;
mod inspection;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::fmt;

use annals::{CheckpointStore, EventStore, FindingKind, KnownType, Position, Report, Verify, store::Auditable};
use async_trait::async_trait;
use uuid::Uuid;

use crate::faults::tally::Tally;

/// A database of a test's own, and the ways in which its SQL differs from another's.
#[async_trait]
trait Site: Send + Sync {
    type Store: EventStore + CheckpointStore + Auditable + Clone + 'static;

    async fn open() -> Self;

    fn store(&self) -> &Self::Store;

    /// Runs SQL as somebody with a shell could: past the triggers.
    async fn run(&self, sql: &str);

    fn id(id: Uuid) -> String;

    async fn close(self);

    /// Some time.
    fn time() -> &'static str;
}

/// The types of all events here.
///
/// Those of `other` are of another type than the first of their aggregate: that is what is to be found.
const KNOWN: [(&str, &str); 3] = [("tally", "added"), ("note", "noted"), ("other", "noted")];

fn known((aggregate_type, event_type): (&str, &str)) -> KnownType {
    KnownType { aggregate_type: aggregate_type.to_owned(), event_type: event_type.to_owned(), schema_version: 1 }
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
    let report = loop {
        match Verify::new(store).refold::<Tally>().known_types(KNOWN.map(known)).run().await {
            Ok(report) => break report,
            // A server that still sees to many that have gone away takes on no other.
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        tokio::task::yield_now().await;
    };
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
