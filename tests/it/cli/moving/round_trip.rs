//! There and back again.

use annals::{
    EventStore as _,
    store::{Auditable, TransferStore},
};

use super::data::{all_are_replays, contents, exported, fill, imported, is_sound};
use crate::cli::{
    place::{on_both, postgres, sqlite},
    program::{done_on, run_on},
};

on_both! {
    a_move_there_and_back_gives_the_same_lines
    a_second_import_changes_nothing
    an_empty_store_is_moved_too
    a_gzipped_export_is_the_same
}

async fn a_move_there_and_back_gives_the_same_lines<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: std::sync::Arc<annals::ManualClock>,
) {
    let sent = fill(&store, &clock, 1, 150).await;
    let receipts = is_sound(&store).await;
    assert!(receipts > 60, "{receipts}");
    let first = exported(url);
    assert_eq!(first.lines().filter(|line| line.starts_with(r#"{"kind":"receipt""#)).count() as u64, receipts);
    assert!(first.contains("payload_text") && first.contains("rejection_text") && first.contains("expires_at"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl");
    std::fs::write(&file, &first).unwrap();
    // Each reads what the one before wrote.
    let (lite_url, lite, _, _lite_folder) = sqlite().await;
    let (pg_url, pg, _, _database) = postgres().await;
    let (back_url, back, _, _back_folder) = sqlite().await;
    for next in [&lite_url, &pg_url, &back_url] {
        let told = imported(next, &file);
        assert_eq!((&told["new"]["receipts"], &told["already_there"]["events"]), (&receipts.into(), &0.into()));
        std::fs::write(&file, exported(next)).unwrap();
        let same = std::fs::read_to_string(&file).unwrap() == first;
        assert!(same, "the lines differ");
    }
    for receipts_there in [is_sound(&lite).await, is_sound(&pg).await, is_sound(&back).await] {
        assert_eq!(receipts_there, receipts);
    }
    // Whoever repeats a command on the new database gets the answer of the old one.
    all_are_replays(&lite, &sent).await;
    all_are_replays(&pg, &sent).await;
    assert_eq!(exported(&pg_url), first);
    // And the store goes on.
    let before = pg.head().await.unwrap();
    let other = fill(&pg, &clock, 2, 20).await;
    assert!(pg.head().await.unwrap() > before && !other.is_empty());
    is_sound(&pg).await;
}

async fn a_second_import_changes_nothing<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: std::sync::Arc<annals::ManualClock>,
) {
    let (from_url, from, _, _folder) = sqlite().await;
    fill(&from, &clock, 3, 60).await;
    // Others are there already, and stay.
    fill(&store, &clock, 4, 40).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl");
    std::fs::write(&file, exported(&from_url)).unwrap();
    let first = imported(url, &file);
    let before = contents(&store).await;
    let again = imported(url, &file);
    assert_eq!(first["new"], again["already_there"]);
    assert_eq!((&again["new"]["events"], &again["new"]["receipts"]), (&0.into(), &0.into()));
    assert_eq!(contents(&store).await, before);
    is_sound(&store).await;
    // More of the same: the new alone.
    let more = fill(&from, &clock, 5, 30).await;
    std::fs::write(&file, exported(&from_url)).unwrap();
    let more_told = imported(url, &file);
    let events: u64 = more.iter().map(|append| append.events.len() as u64).sum();
    assert_eq!(more_told["new"]["events"], events);
    is_sound(&store).await;
}

async fn an_empty_store_is_moved_too<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    _: std::sync::Arc<annals::ManualClock>,
) {
    let lines = exported(url);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.jsonl");
    std::fs::write(&file, &lines).unwrap();
    assert_eq!(imported(url, &file)["new"]["events"], 0);
    is_sound(&store).await;
}

async fn a_gzipped_export_is_the_same<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: std::sync::Arc<annals::ManualClock>,
) {
    fill(&store, &clock, 6, 40).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl.gz");
    let path = file.to_str().unwrap();
    done_on(url, &["export", "-q", "--output", path]);
    let mut lines = String::new();
    std::io::Read::read_to_string(
        &mut flate2::read::MultiGzDecoder::new(std::fs::File::open(&file).unwrap()),
        &mut lines,
    )
    .unwrap();
    assert_eq!(lines, exported(url));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    let (to_url, to, _, _to_folder) = sqlite().await;
    imported(&to_url, &file);
    is_sound(&to).await;
    assert_eq!(exported(&to_url), lines);
    // It is not written over without a word, and told apart by what is in it.
    let (code, _, err) = run_on(url, &["export", "--output", path]);
    assert!(code == 2 && err.contains("--force"), "{err}");
    done_on(url, &["export", "-q", "--output", path, "--force", "--gzip"]);
    let renamed = folder.path().join("plain.jsonl");
    std::fs::rename(&file, &renamed).unwrap();
    assert_eq!(imported(&to_url, &renamed)["new"]["events"], 0);
}
