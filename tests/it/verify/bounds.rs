//! What is held at once, kept and shown.

use std::sync::Mutex;

use annals::{Append, EventStore as _, ExpectedVersion, FindingKind, IdempotencyKey, NewEvent, Verify};
use uuid::Uuid;

use super::{Site, assert_found};

const COMMANDS: u64 = 1_000;

/// An aggregate with so many receipts, one for each event, and as many other aggregates.
async fn write_hot<S: Site>(site: &S, hot: Uuid) {
    let append = |id, expected, key: String| {
        let event = NewEvent::new("noted", &key).unwrap();
        Append::new("note", id).expected(expected).event(event).idempotency_key(IdempotencyKey::new(key).unwrap())
    };
    let appends = (0..COMMANDS).flat_map(|number| {
        let of_hot = append(hot, ExpectedVersion::Exact(number), format!("hot-{number}"));
        let id = Uuid::new_v5(&hot, &number.to_le_bytes());
        [of_hot, append(id, ExpectedVersion::New, format!("k-{number}"))]
    });
    for answer in site.store().append(appends.collect()).await {
        answer.unwrap();
    }
}

pub async fn rows_held_at_once_are_bounded<S: Site>() {
    let (site, hot) = (S::open().await, Uuid::max());
    write_hot(&site, hot).await;
    for rows in [200, 300, 1_000_000] {
        let report = Verify::new(site.store()).hold_rows(rows).run().await.unwrap();
        assert!(report.is_sound(), "{report}");
        let counts = report.counts;
        assert_eq!((counts.events, counts.receipts, counts.aggregates), (2 * COMMANDS, 2 * COMMANDS, COMMANDS + 1));
        assert!((1..=rows).contains(&report.most_held_rows), "{} rows were held, not {rows}", report.most_held_rows);
    }
    // Wherever the receipts of an aggregate are split, what is wrong with any of them is found.
    let id = S::id(hot);
    site.run(&format!(
        "UPDATE annals_receipts SET last_sequence = 300 WHERE aggregate_id = {id} AND idempotency_key = 'hot-250';
         UPDATE annals_receipts SET first_sequence = 900, last_sequence = 899
         WHERE aggregate_id = {id} AND idempotency_key = 'hot-899'"
    ))
    .await;
    let expected =
        [(FindingKind::ReceiptEvents, Some(hot), Some(252)), (FindingKind::CommandRepeated, Some(hot), Some(900))];
    for rows in [200, 1_000_000] {
        let report = Verify::new(site.store()).hold_rows(rows).run().await.unwrap();
        assert_found(&report, &expected, format!("{rows} rows"));
    }
    site.close().await;
}

pub async fn all_findings_are_counted_and_shown_but_not_all_kept<S: Site>() {
    let (site, hot) = (S::open().await, Uuid::max());
    write_hot(&site, hot).await;
    site.run(&format!("UPDATE annals_events SET payload = '17' WHERE aggregate_id <> {}", S::id(hot))).await;
    let (shown, progress) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let report = Verify::new(site.store())
        .keep_findings(7)
        .on_finding(|finding| shown.lock().unwrap().push(finding.clone()))
        .on_progress(|far| progress.lock().unwrap().push(*far))
        .run()
        .await
        .unwrap();
    let shown = shown.into_inner().unwrap();
    assert_eq!((report.counts.findings, shown.len() as u64, report.findings.len()), (COMMANDS, COMMANDS, 7));
    assert_eq!(report.findings, shown[..7]);
    assert!(report.to_string().ends_with(&format!("and {} more", COMMANDS - 7)), "{report}");
    let progress = progress.into_inner().unwrap();
    assert!(progress.len() > 10, "{progress:?}");
    assert!(progress.is_sorted_by_key(|far| (far.counts.events, far.counts.places)), "it only goes forward");
    assert_eq!(progress.last().unwrap().counts, report.counts);
    site.close().await;
}
