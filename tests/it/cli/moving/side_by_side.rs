//! Imports beside one another and beside writers.

use std::{sync::Arc, time::Duration};

use annals::{
    EventStoreExt as _, LogQuery, ManualClock,
    store::{Auditable, TransferStore},
};

use super::data::{contents, exported, fill, imported, is_sound};
use crate::cli::{
    place::{on_both, sqlite},
    program::annals,
};

on_both! { two_imports_at_once_and_writers_beside_them_do_no_harm }

async fn two_imports_at_once_and_writers_beside_them_do_no_harm<S: TransferStore + Auditable + Clone + 'static>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    let (from_url, from, _, _folder) = sqlite().await;
    fill(&from, &clock, 1, 900).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl");
    std::fs::write(&file, exported(&from_url)).unwrap();
    let mut children: Vec<_> = (0..3)
        .map(|_| annals(&["import", "-q", file.to_str().unwrap()]).env("DATABASE_URL", url).spawn().unwrap())
        .collect();
    // A reader of the log misses none of what comes.
    let (reader, mut seen) = (store.clone(), Vec::new());
    let reading = tokio::spawn(async move {
        let mut cursor = annals::Cursor::START;
        loop {
            let query = LogQuery::all().after_cursor(cursor).limit(300);
            let mut see = |event: annals::EventRef<'_>| {
                seen.push((event.aggregate_id, event.sequence));
                Ok(())
            };
            let next = reader.read_log(&query, &mut see).await.unwrap().cursor(&query);
            let is_end = next == cursor;
            cursor = next;
            if is_end && tokio::time::timeout(Duration::from_secs(3), reader.wait_for(cursor.position)).await.is_err() {
                return seen;
            }
        }
    });
    let sent = fill(&store, &clock, 2, 150).await;
    for child in &mut children {
        let ended = child.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
    is_sound(&store).await;
    let (_, events) = contents(&store).await;
    let own: usize = sent.iter().map(|append| append.events.len()).sum();
    let (_, moved) = contents(&from).await;
    assert_eq!(events, own + moved);
    let mut seen = reading.await.unwrap();
    assert_eq!(seen.len(), events, "a reader missed some, or saw some twice");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), events);
    assert_eq!(imported(url, &file)["new"]["events"], 0);
}

#[tokio::test]
async fn events_of_an_append_may_stand_apart_in_the_log_of_sqlite() {
    let (_, from, clock, _from_folder) = sqlite().await;
    fill(&from, &clock, 1, 40).await;
    let events = from.collect_log(&LogQuery::all()).await.unwrap();
    // As on PostgreSQL, where two processes draw positions at once: each append's events apart.
    let (even, odd): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| event.aggregate_id().as_bytes()[15].is_multiple_of(2));
    let mut mixed = Vec::new();
    let (mut even, mut odd) = (even.into_iter(), odd.into_iter());
    loop {
        let pair = [even.next(), odd.next()];
        if pair.iter().all(Option::is_none) {
            break;
        }
        mixed.extend(pair.into_iter().flatten());
    }
    let (url, to, _, _folder) = sqlite().await;
    assert_eq!(to.write_events(&mixed).await.unwrap().new, mixed.len() as u64);
    let found = to.collect_log(&LogQuery::all()).await.unwrap();
    let names = |events: &[annals::RecordedEvent]| events.iter().map(annals::RecordedEvent::name).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&mixed));
    is_sound(&to).await;
    let lines = exported(&url);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixed.jsonl");
    std::fs::write(&file, &lines).unwrap();
    let (back_url, back, _, _back_folder) = sqlite().await;
    imported(&back_url, &file);
    is_sound(&back).await;
    assert_eq!(exported(&back_url), lines);
}
