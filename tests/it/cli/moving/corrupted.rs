//! Files that are not what was exported.

use std::{path::Path, sync::Arc};

use annals::{
    EventStore as _, EventStoreExt as _, ManualClock,
    store::{Auditable, TransferStore},
};

use super::data::{contents, exported, fill, imported, is_sound, refused};
use crate::cli::{
    place::{on_both, sqlite},
    program::{run, run_on},
};

on_both! {
    a_file_that_was_changed_is_refused_where_it_was
    an_event_that_has_no_place_is_refused
    a_receipt_that_has_no_place_is_refused
}

/// Imports it; only sound lines may have come into the database.
async fn import_of(url: &str, store: &(impl TransferStore + Auditable), file: &Path, bytes: &[u8], line: usize) {
    std::fs::write(file, bytes).unwrap();
    let words = refused(url, file);
    assert!(words.contains(&format!("line {line}")), "{line}: {words}");
    is_sound(store).await;
    let (code, _, err) = run(&["import", "--dry-run", file.to_str().unwrap()]);
    assert!(code == 3 && err.contains(&format!("line {line}")), "{line}: {err}");
}

async fn a_file_that_was_changed_is_refused_where_it_was<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    let (from_url, from, _, _folder) = sqlite().await;
    fill(&from, &clock, 1, 60).await;
    let whole = exported(&from_url);
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let folder = tempfile::tempdir().unwrap();
    let file = &folder.path().join("shop.jsonl");
    let random = &mut fastrand::Rng::with_seed(9);
    for _ in 0..12 {
        // A bit.
        let at = random.usize(..whole.len());
        let mut bytes = whole.clone().into_bytes();
        bytes[at] ^= 1 << random.u32(..8);
        let line = whole[..at].matches('\n').count() + 1;
        import_of(url, &store, file, &bytes, line).await;
        // The end.
        let at = random.usize(..whole.len() - 1);
        let line = whole[..at].matches('\n').count() + 1;
        import_of(url, &store, file, &whole.as_bytes()[..at], line).await;
        // Lines that change places, are missing, come twice.
        let at = random.usize(..lines.len() - 1);
        let mut moved = lines.clone();
        moved.swap(at, at + 1);
        import_of(url, &store, file, moved.concat().as_bytes(), at + 1).await;
        let missing = [&lines[..at], &lines[at + 1..]].concat();
        import_of(url, &store, file, missing.concat().as_bytes(), at + 1).await;
        let doubled = [&lines[..=at], &lines[at..]].concat();
        import_of(url, &store, file, doubled.concat().as_bytes(), at + 2).await;
    }
    import_of(url, &store, file, format!("{whole}{}", lines[1]).as_bytes(), lines.len() + 1).await;
    import_of(url, &store, file, b"", 1).await;
    import_of(url, &store, file, b"id,name\n1,2\n", 1).await;
    // What was written of them is right, and the rest comes with the whole file.
    std::fs::write(file, &whole).unwrap();
    imported(url, file);
    is_sound(&store).await;
    assert_eq!(exported(url), whole);
}

async fn an_event_that_has_no_place_is_refused<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    let (from_url, from, _, _folder) = sqlite().await;
    fill(&from, &clock, 1, 30).await;
    let events = from.collect_log(&annals::LogQuery::all()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = &folder.path().join("shop.jsonl");
    std::fs::write(file, exported(&from_url)).unwrap();
    // The same aggregate, as somebody else went on with it.
    let last = events.iter().rfind(|event| event.sequence() > 2).unwrap();
    let earlier: Vec<_> = events
        .iter()
        .filter(|event| event.aggregate_id() == last.aggregate_id() && event.sequence() < last.sequence())
        .cloned()
        .collect();
    store.write_events(&earlier).await.unwrap();
    let other = annals::Append::new(last.aggregate_type().to_owned(), last.aggregate_id());
    let other = other.event(annals::NewEvent::from_json("opened", "{}").unwrap());
    store.append_one(other).await.unwrap();
    let before = contents(&store).await;
    let words = refused(url, file);
    let line = events.iter().position(|event| event == last).unwrap() + 2;
    assert!(words.contains(&format!("line {line}, event {} of", last.sequence())), "{words}");
    assert!(words.contains("another event stands in its place"), "{words}");
    assert_eq!(contents(&store).await, before, "nothing of the batch was written");
    // By the port: a hole, another type.
    let hole = store.write_events(&events[1..2]).await;
    let misfit = hole.unwrap_err().to_string();
    assert!(misfit.contains("missing") || misfit.contains("another"), "{misfit}");
    assert_eq!(contents(&store).await, before);
    is_sound(&store).await;
}

async fn a_receipt_that_has_no_place_is_refused<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    let (from_url, from, _, _folder) = sqlite().await;
    fill(&from, &clock, 1, 30).await;
    let folder = tempfile::tempdir().unwrap();
    let file = &folder.path().join("shop.jsonl");
    std::fs::write(file, exported(&from_url)).unwrap();
    let receipts = from.read_receipts(None, from.head().await.unwrap(), 1_000).await.unwrap();
    // Before its events.
    let is_client = |key: &annals::IdempotencyKey| !key.as_str().starts_with(' ');
    let first = receipts.iter().find(|moved| moved.receipt.last_sequence > 0 && is_client(&moved.key)).unwrap();
    let error = store.write_receipts(std::slice::from_ref(first)).await.unwrap_err().to_string();
    assert!(error.contains("the last event it names is not there"), "{error}");
    let events = from.collect_log(&annals::LogQuery::all()).await.unwrap();
    store.write_events(&events).await.unwrap();
    // Under its key there is another by now: one that ends, or not.
    let mut other = first.clone();
    other.receipt.fingerprint = annals::Fingerprint::of("another").unwrap();
    store.write_receipts(&[other.clone()]).await.unwrap();
    let words = refused(url, file);
    assert!(words.contains("its key has another receipt here") && words.contains("line "), "{words}");
    assert!(!words.contains(first.key.as_str()), "keys stay out of words: {words}");
    is_sound(&store).await;
    let (code, _, err) = run_on(url, &["import", "-q", file.to_str().unwrap()]);
    assert!(code == 1 && err.contains("its key"), "{err}");
}

#[tokio::test]
async fn a_receipt_that_has_expired_is_no_obstacle() {
    let (_, from, clock, _folder) = sqlite().await;
    fill(&from, &clock, 1, 30).await;
    let (_, to, to_clock, _to_folder) = sqlite().await;
    let events = from.collect_log(&annals::LogQuery::all()).await.unwrap();
    to.write_events(&events).await.unwrap();
    let receipts = from.read_receipts(None, from.head().await.unwrap(), 1_000).await.unwrap();
    let mut expired = receipts[0].clone();
    expired.receipt.fingerprint = annals::Fingerprint::of("another").unwrap();
    expired.receipt.expires_at = Some(annals::Clock::now(&*to_clock));
    let one = |receipt: &annals::store::MovedReceipt| vec![receipt.clone()];
    assert_eq!(to.write_receipts(&one(&expired)).await.unwrap().new, 1);
    assert_eq!(to.write_receipts(&receipts).await.unwrap().new, receipts.len() as u64, "it is replaced");
    assert_eq!(to.write_receipts(&one(&expired)).await.unwrap().present, 1, "it is passed over");
    assert_eq!(to.read_receipts(None, to.head().await.unwrap(), 1_000).await.unwrap(), receipts);
}
